"""Writes settings as TOML that `read` reads back, and values as command-line text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from o1coder_gym.settings.fields import Section, Setting, Without, own_settings
from o1coder_gym.settings.reading import NONE


def to_toml(settings: Any) -> str:
    """Returns TOML text that `read` turns back into equal settings; a comment above each key explains it."""
    import tomlkit

    document = tomlkit.document()
    _write(document, settings, ())
    return tomlkit.dumps(document)


def shown(value: Any) -> str:
    """Returns a value as command-line text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    if is_dataclass(value):
        return shown(getattr(value, fields(value)[0].name))
    return NONE if value is None else str(value)


def _write(table: Any, settings: Any, left_out: tuple[str, ...]) -> None:
    """Fills a table; sections stand after all keys, or the keys would belong to them."""
    own = [one for one in own_settings(type(settings)) if one.name not in left_out]
    for one in own:
        value = getattr(settings, one.name)
        if not (one.is_group or one.is_stage):
            _write_key(table, one, value)
    for one in own:
        if one.is_group or one.is_stage:
            without = one.mark(Without)
            below = _section(one, getattr(settings, one.name), without.names if without else ())
            if below:
                table.add(one.name, below)


def _write_key(table: Any, one: Setting, value: Any) -> None:
    import tomlkit

    within = f" [{one.parameter.range.short}]" if one.parameter.range else ""
    table.add(tomlkit.comment(one.parameter.meaning.rstrip(".") + within))
    table.add(one.name, _plain(value))


def _section(one: Setting, value: Any, left_out: tuple[str, ...]) -> Any:
    import tomlkit

    below = tomlkit.table()
    if value is None:
        below.add("skip", True)
        return below
    section = one.mark(Section)
    if section is not None and section.tag:
        below.add(section.tag, next(name for name, kind in section.kinds if type(value) is kind))
    _write(below, value, left_out)
    return below


def _plain(value: Any) -> Any:
    """Returns a value as files have it; what is None in a record is left out."""
    if is_dataclass(value):
        pairs = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {name: _plain(one) for name, one in pairs if one is not None}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        import tomlkit

        return tomlkit.inline_table() | {name: _plain(one) for name, one in value.items()}
    return NONE if value is None else str(value) if isinstance(value, Path) else value
