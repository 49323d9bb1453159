"""Writes commands.md, the reference of all commands, from their settings classes.

python docs/commands.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from o1coder_gym.cli.commands import help_of, settings_of
from o1coder_gym.cli.main import app
from o1coder_gym.settings import Section, Setting, all_settings

PAGE = Path(__file__).with_name("commands.md")
BEGIN = """\
# All commands

Look up a command, an option, or the key of an option in a settings file.
`o1coder COMMAND … --print-config > run.toml` writes such a file with all settings and their
meanings; `--config run.toml` reads it, and options on the command line override it. The ending of
the file's name says whether it is TOML, YAML or JSON. A key may be at the top of the file or in its
section: `tokens = 512` alone, or below `[budget]`. The value `none` leaves a setting unset. Separate
the numbers of a list by commas; for other lists, repeat the option. `--no-…` turns off a switch that
is on by default or in the file.

The settings classes are the source of this page: `python docs/commands.py` writes it.
"""


def page() -> str:
    """Returns the text of the page."""
    return BEGIN + "".join(_commands(app, ()))


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[str]:
    kind = settings_of(command)
    if words:
        yield f"\n{'#' * min(1 + len(words), 3)} o1coder {' '.join(words)}\n\n{command.help}\n"
    if kind is not None:
        yield from _tables(list(all_settings(kind)))
    for name in command:
        if not name.startswith("-"):
            yield from _commands(command[name], (*words, name))


def _tables(found: list[Setting]) -> Iterator[str]:
    """Yields a table per heading, and one for each section that may be left out."""
    plain = [one for one in found if not one.is_stage]
    for heading in dict.fromkeys(one.group for one in plain):
        rows = [(one.flag or "–", one.key, one) for one in plain if one.group == heading]
        yield from _table(heading, rows)
    for stage in (one for one in found if one.is_stage):
        section = stage.mark(Section)
        names = {kind: name for name, kind in section.kinds} if section else {}
        for kind in stage.classes:
            base = stage.default if type(stage.default) is kind else None
            rows = [("–", f"{stage.key}.{one.key}", one) for one in all_settings(kind, base)]
            said = f", {section.tag} = {names[kind]!r}" if section else ""
            told = f"[{stage.key}]{said}: {stage.parameter.meaning} skip = true leaves it out"
            yield from _table(told, rows)


def _table(heading: str, rows: list[tuple[str, str, Setting]]) -> Iterator[str]:
    yield f"\n{heading}:\n\n| option | key | meaning |\n|---|---|---|\n"
    for flag, key, one in rows:
        meaning = help_of(one).replace("|", "\\|").replace("<", "&lt;")
        yield f"| `{flag}` | `{key}` | {meaning} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
