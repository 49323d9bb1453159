"""Converts text and data to typed values, and describes types in words.

`read_text` reads the text of a spec or an option, as JSON or as plain text; `convert` reads the data of a
TOML or YAML file and is strict: true is not a number, 1 is not true.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

_SCALARS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
}
_LISTS = (list, tuple, Sequence)
_OBJECTS = (dict, Mapping)


def without_metadata(annotation: Any) -> Any:
    """Returns the type in ``Annotated``."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def members(kind: Any) -> tuple[Any, ...]:
    """Returns the types of a union, text last, for any text is text; a single type stands for itself."""
    kind = without_metadata(kind)
    found = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    return tuple(sorted(map(without_metadata, found), key=lambda member: member is str))


def readable(kind: Any) -> bool:
    """Whether a value of the type can be written."""
    return any(
        member in _SCALARS or member is Any or _container(member) in (Literal, *_LISTS, *_OBJECTS)
        for member in members(kind)
    )


def item_of(kind: Any) -> Any:
    """Returns the type of the items of a list, or of a tuple of any length; None of what is neither."""
    found = (get_args(one) for one in members(kind) if _container(one) in _LISTS)
    return next((without_metadata(of[0]) for of in found if of), None)


def choices(kind: Any) -> tuple[Any, ...]:
    """Returns the few values that there are, of the type or of its items; empty if there are many."""
    for member in members(kind):
        if get_origin(member) is Literal:
            return get_args(member)
    item = item_of(kind)
    return choices(item) if item is not None else ()


def read_text(text: str, kind: Any, *, quoted: bool = True) -> Any:
    """Reads a value of a type.

    Args:
        text: JSON, or text as it is.
        kind: The type.
        quoted: Whether text in double quotes is what a JSON string holds.

    Raises:
        ValueError, RecursionError: When it is none.
    """
    for member in members(kind):
        try:
            return _read_one(text, member, quoted)
        except ValueError:
            continue
    raise ValueError(text)


def _read_one(text: str, kind: Any, quoted: bool) -> Any:
    if kind is str:
        return _text(text) if quoted else text
    if kind in (int, float, Path):
        return kind(text)
    if get_origin(kind) is Literal:
        read = [choice for choice in get_args(kind) if choice == _text(text) or json.dumps(choice) == text]
        return read[0] if read else _refuse(text)
    if kind is Any:
        return _any(text)
    return convert(json.loads(text, parse_constant=_refuse), kind)


def convert(value: Any, kind: Any) -> Any:
    """Makes a value of a type of what JSON, TOML or YAML hold; text alone may stand for a path.

    A record, a dataclass in a list, may also be given by the value of its first field.

    Raises:
        ValueError: When it is none.
    """
    import msgspec  # here, for most programs read no values

    item = item_of(kind)
    if item is not None and is_dataclass(item) and isinstance(value, list | tuple):
        value = [_record(one, item) for one in value]
    try:
        return msgspec.convert(value, kind, dec_hook=_path)
    except (msgspec.ValidationError, TypeError) as error:
        raise ValueError(str(error)) from error


def _record(value: Any, kind: Any) -> Any:
    """Puts the value of the first field in its place; refuses keys that msgspec would pass over."""
    known = [field.name for field in fields(kind)]
    if not isinstance(value, Mapping):
        return {known[0]: value}
    # msgspec ignores unknown keys, which would hide a misspelt one.
    return value if {*value} <= {*known} else _refuse(str(value))


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(kind)


def _text(text: str) -> str:
    """Returns text as it is, and what a JSON string holds: ``"null"`` in quotes is text, not null."""
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text


def _any(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(text: str) -> Any:
    raise ValueError(text)


def expected(kind: Any, *, null: str = "null", listed: str = "a JSON list") -> str:
    """Returns a type in words for messages."""
    words = list(_each_expected(kind, null, listed))
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _each_expected(kind: Any, null: str, listed: str) -> Iterator[str]:
    for member in members(kind):
        if get_origin(member) is Literal:
            yield from (str(choice) for choice in get_args(member))
        elif member is type(None):
            yield null
        elif _container(member) in _LISTS:
            yield listed
        elif _container(member) in _OBJECTS:
            yield "a JSON object"
        else:
            yield _SCALARS.get(member, "a JSON value")


def short(kind: Any) -> str:
    """Returns a type as lists of parameters show it: ``int|null``."""
    names = []
    for member in members(kind):
        if get_origin(member) is Literal:
            names += [str(choice) for choice in get_args(member)]
        elif _container(member) in _LISTS:
            names.append("list")
        elif _container(member) in _OBJECTS:
            names.append("object")
        else:
            names.append(
                {type(None): "null", Any: "any"}.get(member) or getattr(member, "__name__", str(member))
            )
    return "|".join(names)


def _container(kind: Any) -> Any:
    return get_origin(kind) or kind
