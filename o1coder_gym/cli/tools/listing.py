"""``o1coder list``: what specs may name, of this project and of installed packages, and what each takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.errors import O1CoderError, UnknownNameError
from o1coder_gym.runs.progress import notes
from o1coder_gym.settings import Checked, Flag
from o1coder_gym.settings.groups import AsJson
from o1coder_gym.specs import registry
from o1coder_gym.specs.parameters import REQUIRED, Parameter
from o1coder_gym.specs.registry import Entry, Kind

_PLURALS = {kind.plural: kind for kind in registry.KINDS.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSettings(Checked):
    """What is listed.

    Attributes:
        kind: agents, policies, scorers, generators, schedules, executors, embeddings, formats or problems.
    """

    kind: Annotated[str, Flag("KIND")]
    as_json: AsJson = False


def list_registered(settings: KindSettings) -> None:
    """List agents, policies, scorers, … with their parameters, types and defaults."""
    kind, as_json = settings.kind, settings.as_json
    if kind not in _PLURALS:
        raise UnknownNameError("kind", kind, _PLURALS)
    console, wrong = Console(highlight=False), list(registry.misnamed())
    for name in registry.entries(_PLURALS[kind].name):
        try:
            entry = registry.find(_PLURALS[kind].name, name)
            row = _row(entry)
        except O1CoderError as error:
            wrong.append(str(error))
            continue
        if as_json:
            print(to_json(row))
        else:
            _print(console, row)
    if not as_json:
        _print_note(console, _PLURALS[kind])
    for line in wrong:
        notes(highlight=False).print(Text(line), soft_wrap=True)


def _row(entry: Entry) -> dict[str, Any]:
    """Returns what is known of an entry, JSON-able."""
    return {
        "kind": entry.kind,
        "name": entry.name,
        "usage": f"{entry.name}:TARGET" if entry.takes_target() else entry.name,
        "summary": entry.summary(),
        "origin": entry.origin,
        "path": entry.path,
        "parameters": list(_parameters(entry)),
    }


def _parameters(entry: Entry) -> Iterator[dict[str, Any]]:
    for one in entry.parameters():
        if one.readable:
            row = {"name": one.name, "type": one.kind, "required": one.default is REQUIRED}
            yield row | {"default": _default(one), "meaning": one.meaning}


def _default(parameter: Parameter) -> Any:
    return None if parameter.default is REQUIRED else parameter.shown(parameter.default)


def _shown(parameter: dict[str, Any]) -> str:
    """Returns a default as one would write it in a spec."""
    if parameter["required"]:
        return "required"
    default = parameter["default"]
    return default if isinstance(default, str) and default else to_json(default)


def _print(console: Console, row: dict[str, Any]) -> None:
    origin = "" if row["origin"].startswith(registry.PROJECT) else f"  ({row['origin']})"
    console.print(Text.assemble((row["usage"], "bold"), origin))
    console.print(Padding(Text(row["summary"].replace("``", "`")), (0, 0, 0, 2)))
    if row["parameters"]:
        table = Table(
            "parameter", "type", "default", "meaning", box=None, padding=(0, 2, 0, 0), header_style="dim"
        )
        for one in row["parameters"]:
            meaning = one["meaning"].replace("``", "`")
            table.add_row(*map(Text, (one["name"], one["type"].replace("|", " | "), _shown(one), meaning)))
        console.print(Padding(table, (0, 0, 0, 2)))
    console.print()


def _print_note(console: Console, kind: Kind) -> None:
    arguments = "NAME?key=value&key=value" if kind.passed else "NAME"
    console.print(Text(f"A spec is {arguments}. {kind.note}".strip()))


app = command(KindSettings, list_registered, name="list")
