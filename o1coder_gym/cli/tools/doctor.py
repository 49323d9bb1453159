"""`o1coder doctor`: what this machine has, what the sandbox enforces on it, and what would make it faster."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import o1coder_gym
from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.experiments.measures.machine import Machine, diagnose
from o1coder_gym.models.lookup import DEFAULT_MODEL, KNOWN_MODELS, cache_folder
from o1coder_gym.policies import server_abilities
from o1coder_gym.reporting.results.words import counted
from o1coder_gym.settings import Flag
from o1coder_gym.settings.groups import OutputSettings


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
    found = diagnose()
    machine, sandbox = found.machine, found.sandbox
    if settings.as_json:
        print(to_json(found.to_row()))
        return
    console = Console()
    software = f"o1coder-gym {o1coder_gym.__version__} · Python {platform.python_version()}"
    hardware = f"{platform.machine()} · {counted(machine.cores, 'core')} · {machine.memory_gib:.0f} GiB"
    accelerator = f"accelerator: {machine.accelerator or 'none'}"
    console.print(f"{software} · {hardware}", accelerator, *_speed(machine), sep="\n", highlight=False)
    console.print(_extras_table(found.extras))
    for scheme, what in found.engines.items():
        missing = "not installed: make vllm" if scheme == "vllm" else "not installed"
        console.print(f"engine {scheme}: {what or missing}", highlight=False, soft_wrap=True)
    for name, path in found.models.items():
        place = escape(str(path)) if path else f"not fetched: o1coder models fetch {name}"
        console.print(f"model {name}: {place}", highlight=False, soft_wrap=True)
    console.print(f"cache: {cache_folder()}", highlight=False, soft_wrap=True)
    verdict = "[green]full protection[/]" if sandbox.protects else "[red]reduced protection[/]"
    console.print(f"\nsandbox: {verdict}")
    for line in sandbox.lines():
        console.print(f"  {escape(line)}", style="red" if "BROKEN" in line else "", highlight=False)
    for line in found.advice:
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


app = command(DoctorSettings, doctor, name="doctor")
