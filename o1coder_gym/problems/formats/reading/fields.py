"""Reads the fields of a foreign row; what is wrong with one is said with its name, null means none."""

from __future__ import annotations

import ast
import base64
import json
import re
import warnings
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from o1coder_gym.errors import ProblemFileError

_Value = TypeVar("_Value")
_FENCE = re.compile(r"```[\w+]*[ \t]*\n(.*?)\n?[ \t]*```", re.S)
_MILLISECONDS_FROM = 100.0
_BYTES_FROM = 1 << 20
_UNPACKED_BYTES = 1 << 30


def get(raw: Mapping[str, Any], name: str, kind: type[_Value] | tuple[type[_Value], ...]) -> _Value:
    """Returns a field of the expected type.

    Raises:
        ProblemFileError: When it is missing or of another type.
    """
    if name not in raw:
        raise ProblemFileError(f"field {name!r}: missing")
    value = raw[name]
    if not isinstance(value, kind):
        raise wrong(name, f"unexpected {type(value).__name__}")
    return value


def optional(raw: Mapping[str, Any], name: str, kind: type[_Value] | tuple[type[_Value], ...]) -> _Value:
    """Returns a field of the expected type, an empty one where it is missing or null.

    Raises:
        ProblemFileError: When it is of another type.
    """
    return _empty(kind) if raw.get(name) is None else get(raw, name, kind)


def _empty(kind: type[_Value] | tuple[type[_Value], ...]) -> _Value:
    return (kind if isinstance(kind, type) else kind[0])()


def decoded(raw: Mapping[str, Any], name: str, kind: type[_Value] | tuple[type[_Value], ...]) -> _Value:
    """Returns a field that some sources store as JSON text; empty text is an empty value.

    Raises:
        ProblemFileError: When it is missing, not JSON or of another type.
    """
    value = get(raw, name, object)
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else _empty(kind)
        except (ValueError, RecursionError) as error:
            raise wrong(name, f"not JSON: {error}") from error
    return get({name: value}, name, kind)


def wrong(name: str, reason: str) -> ProblemFileError:
    """Returns the error that says what is wrong with a field."""
    return ProblemFileError(f"field {name!r}: {reason}")


def python3(programs: Iterable[Any], name: str) -> str | None:
    """Returns the first program that is Python 3, without its fence; None if there are no programs.

    Raises:
        ProblemFileError: When there are programs, and none is Python 3.
    """
    reason = ""
    for index, program in enumerate(programs):
        if not isinstance(program, str):
            raise wrong(f"{name}[{index}]", f"unexpected {type(program).__name__}")
        code = unfenced(program)
        fault = syntax_fault(code)
        if not fault and code.strip():
            return code
        reason = reason or fault or "is empty"
    if reason:
        raise wrong(name, f"no program in it is Python 3: {reason}")
    return None


def syntax_fault(code: str) -> str:
    """Says why a program does not compile; empty if it does."""
    try:
        with warnings.catch_warnings(action="ignore"):
            ast.parse(code)
    except SyntaxError as error:
        return f"{error.msg} (line {error.lineno})"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error) or "nested too deep"  # a MemoryError of the parser has no words
    return ""


def unfenced(text: str) -> str:
    """Returns the code of a Markdown fence, the text itself where there is none; newlines are Unix's."""
    text = text.replace("\r\n", "\n")
    match = _FENCE.search(text)
    return match.group(1) + "\n" if match else text


def unpacked(text: str) -> bytes:
    """Returns what is packed as base64 of zlib, 1 GiB at most.

    Raises:
        ValueError: When it is not.
    """
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(base64.b64decode(text, validate=True), _UNPACKED_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError("is cut off" if not unpacker.unconsumed_tail else "is larger than 1 GiB")
    return data


def seconds(value: Any, name: str) -> float | None:
    """Reads a time limit: ``2``, ``2000`` (milliseconds), ``"2 seconds"``, ``{"seconds": 2, "nanos": 0}``.

    Raises:
        ProblemFileError: When it is none of these.
    """
    if isinstance(value, Mapping):
        value = (value.get("seconds") or 0) + (value.get("nanos") or 0) / 1e9
    number = _number(value, name)
    if number is None:
        return None
    return number / 1000 if number >= _MILLISECONDS_FROM else number


def memory_bytes(value: Any, name: str) -> int | None:
    """Reads a memory limit: bytes, mebibytes, or ``"256 megabytes"``.

    Raises:
        ProblemFileError: When it is none of these.
    """
    number = _number(value, name)
    if number is None:
        return None
    return int(number if number >= _BYTES_FROM else number * (1 << 20))


def _number(value: Any, name: str) -> float | None:
    """Returns the number that begins a value; None for null, for nothing, and for what is no limit (≤ 0)."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and (match := re.match(r"\s*(\d+(?:\.\d+)?)", value)):
        value = float(match.group(1))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(name, f"not a limit: {value!r:.60}")
    return float(value) if value > 0 else None
