"""Builds settings; a command line overrides a file, a file group defaults, those the class defaults."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from o1coder_gym.errors import UnknownNameError, UsageError, unreadable
from o1coder_gym.settings.fields import Hint, Section, Setting, Without, all_settings, own_settings
from o1coder_gym.specs.parameters import REQUIRED
from o1coder_gym.specs.parameters.values import choices, convert, expected, item_of, members, read_text

S = TypeVar("S")
NONE = "none"
"""How None is written on a command line and in files: TOML has no null."""


def read(kind: type[S], file: Path | None = None, given: Mapping[str, Any] | None = None) -> S:
    """Returns settings from a file and, over it, from values by key.

    Args:
        kind: Settings class.
        file: TOML, YAML or JSON, by its suffix.
        given: Values by `Setting.key`.

    Raises:
        UsageError: When the file cannot be read, or holds an unknown key or an invalid value.
    """
    values = dict(_flattened(kind, _load(file), f"{file}") if file is not None else ())
    return _build(kind, (), values | dict(given or {}), None, f"{file}" if file else "")


def read_each(kind: type[S], file: Path, key: str) -> dict[str, S]:
    """Returns the settings of each entry of a table of a file; what stands beside the table is meant for all.

    A file without the table is one entry without a name.

    Args:
        kind: Settings class.
        file: TOML, YAML or JSON, by its suffix.
        key: Of the table: names, each with settings.

    Raises:
        UsageError: As by `read`, or when `key` holds no such table.
    """
    table = dict(_load(file))
    entries = table.pop(key, {"": {}})
    if not isinstance(entries, Mapping) or not entries:
        raise UsageError(f"{file}: {key} must be names with settings, got {entries!r}")
    common = dict(_flattened(kind, table, f"{file}"))
    found: dict[str, S] = {}
    for name, entry in entries.items():
        place = f"{file}, [{key}.{name}]" if name else f"{file}"
        if not isinstance(entry, Mapping):
            raise UsageError(f"{place}: expected keys and values, got {entry!r}")
        found[f"{name}"] = _build(kind, (), common | dict(_flattened(kind, entry, place)), None, place)
    return found


def parse_words(setting: Setting, words: str | Sequence[str]) -> Any:
    """Parses the command-line words of a field; several words, or numbers with commas, make a list.

    Raises:
        UsageError: When it is no value of its type, or out of range.
    """
    words = [words] if isinstance(words, str) else words
    none = type(None) in members(setting.kind)
    if none and list(words) == [NONE]:
        return None
    try:
        if not setting.many:
            value = read_text(words[-1], _without_none(setting.kind), quoted=False)
        elif (item := item_of(setting.kind)) in (int, float):
            words = [] if words[-1] == NONE else words[-1].split(",")
            value = tuple(read_text(word, item) for word in words)
        else:
            value = convert(list(words), setting.kind)
    except ValueError as error:
        shown = words[0] if len(words) == 1 else ",".join(words)
        raise _wrong(setting, f"{setting.flag}", shown) from error
    # Checked under the name that the user typed, which is the one that the message should have.
    replace(setting.parameter, name=setting.flag).check(value)
    return value


def _without_none(kind: Any) -> Any:
    """Returns a type without None: on a command line null is a word like another."""
    left = [member for member in members(kind) if member is not type(None)]
    return left[0] if len(left) == 1 else kind


def _wrong(setting: Setting, where: str, value: Any) -> UsageError:
    known = choices(setting.kind)
    if known:
        return UnknownNameError(setting.name, str(value), map(str, known), where=f"{where}: ")
    listed = _listed(setting)
    return UsageError(f"{where} must be {expected(setting.kind, null=NONE, listed=listed)}, got {value!r}")


def _listed(setting: Setting) -> str:
    item = item_of(setting.kind)
    if item in (int, float):
        return f"numbers such as 512,1024{'' if type(None) in members(setting.kind) else ', or none'}"
    return "names, or tables with name" if is_dataclass(item) else f"a list of {expected(item or str)}"


def _parse(setting: Setting, key: str, raw: Any, place: str) -> Any:
    """Reads a value of a file; one that stands alone is a list of one."""
    if raw == NONE and type(None) in members(setting.kind):
        return None
    value = raw if not setting.many or isinstance(raw, list) or raw is None else [raw]
    if value == [NONE] and item_of(setting.kind) in (int, float):
        value = []
    try:
        made = convert(value, setting.kind)
    except ValueError as error:
        raise _wrong(setting, f"{place}: {key}", raw) from error
    replace(setting.parameter, name=key).check(made, f"{place}: ")
    return made


def _flattened(
    kind: type, table: Mapping[str, Any], file: str, above: tuple[str, ...] = (), left_out: Sequence[str] = ()
) -> Iterator[tuple[str, Any]]:
    """Yields key and value; keys may be called as their options are.

    A key of a group may stand without its section where no other is called so.
    """
    own = {one.name: one for one in own_settings(kind) if one.name not in left_out}
    flat = _by_option(own.values()) if above else _flat(kind)
    place = f"{file}, [{'.'.join(above)}]" if above else file
    for key, raw in table.items():
        one = own.get(key)
        if one is None or (one.is_group and not isinstance(raw, Mapping)):
            one = flat.get(key, one)
        if one is None:
            what = "section of" if isinstance(raw, Mapping) and not above else "key in"
            raise UnknownNameError(f"{what} {place}", key, own | flat)
        path = (*above, *one.path)
        if not (one.is_group or one.is_stage):
            yield ".".join(path), _parse(one, key, raw, place)
        elif not isinstance(raw, Mapping):
            raise UsageError(f"{place}: {key} must be a section, got {raw!r}")
        elif one.is_stage:
            yield ".".join(path), _stage(one, raw, file, path)
        else:
            without = one.mark(Without)
            yield from _flattened(one.kind, raw, file, path, without.names if without else ())


@cache
def _flat(kind: type) -> dict[str, Setting]:
    """Returns the fields of groups by their flags' names, and by their own where no other is called so."""
    found = [one for one in all_settings(kind) if not one.dotted]
    names = [one.name for one in found]
    own = {one.name: one for one in found if names.count(one.name) == 1}
    return own | _by_option(found)


def _by_option(found: Iterable[Setting]) -> dict[str, Setting]:
    return {one.flag[2:].replace("-", "_"): one for one in found if one.flag.startswith("--")}


def _stage(one: Setting, raw: Mapping[str, Any], file: str, path: tuple[str, ...]) -> Any:
    """Reads a section that ``skip = true`` leaves out, or that is of one of several classes."""
    table = dict(raw)
    if type(None) in members(one.kind) and table.pop("skip", False):
        return None
    section, without = one.mark(Section), one.mark(Without)
    kind = one.classes[0]
    if section is not None and section.tag:
        kinds = dict(section.kinds)
        usual = next((name for name in kinds if type(one.default) is kinds[name]), section.kinds[0][0])
        name = table.pop(section.tag, usual)
        if name not in kinds:
            raise UnknownNameError(f"{section.tag} in [{'.'.join(path)}] of {file}", str(name), kinds)
        kind = kinds[name]
    default = one.default if isinstance(one.default, kind) else None
    values = dict(_flattened(kind, table, file, path, without.names if without else ()))
    return _build(kind, path, values, default, file)


def _build(
    kind: Any, above: tuple[str, ...], values: Mapping[str, Any], base: Any, file: str, dotted: bool = False
) -> Any:
    made: dict[str, Any] = {}
    section = f", [{'.'.join(above)}]" if above else ""
    where = f"{file}{section}: " if file else ""
    for one in own_settings(kind):
        path = (*above, one.name)
        if one.is_group:
            below = one.default if base is None else getattr(base, one.name)
            deeper = dotted or one.mark(Section) is not None
            made[one.name] = _build(
                one.kind, path, values, None if below is REQUIRED else below, file, deeper
            )
        elif (key := ".".join(path)) in values:
            made[one.name] = values[key]
        elif base is not None:
            made[one.name] = getattr(base, one.name)
        elif one.default is REQUIRED:
            flag = replace(one, path=path, dotted=dotted).flag
            raise _missing(one, f"{where}{one.name}" if file else flag or key)
    try:
        return kind(**made)
    except UsageError as error:
        raise UsageError(f"{where}{error}") from error


def _missing(one: Setting, name: str) -> UsageError:
    """Returns the error for a setting without a value: its name, its meaning, and where to get a value."""
    about, hint = one.parameter.phrase, one.mark(Hint)
    return UsageError(f"{name} is required{about and f': {about}'}{f'; {hint.text}' if hint else ''}")


def _load(path: Path) -> Mapping[str, Any]:
    try:
        found = _loads(path.suffix, path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # TOML's, JSON's and Unicode's errors are ValueErrors
        raise UsageError(unreadable(path, error)) from error
    if not isinstance(found, Mapping):
        raise UsageError(f"{path}: expected keys and values, got {type(found).__name__}")
    return found


def _loads(suffix: str, text: str) -> Any:
    if suffix not in (".yaml", ".yml", ".json"):  # JSON is YAML
        import tomllib

        return tomllib.loads(text)
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads 1e-4 as a number, as YAML 1.2 does; the library reads it as text."""

    number = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
