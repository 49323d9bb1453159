"""Specs: one string that names a thing and its arguments, ``name:target?key=value&key=value``.

``mcts?width=4&c=1.4``, ``hf:FOLDER?dtype=float32``, ``heuristic``. The target, a folder or an address for
instance, and the arguments may be left out. A value is JSON, or text as it is; `parameters.bind` reads it
by the type of the parameter that it is for. A character that would end its part is written as in web
addresses: ``%26`` for ``&`` in a value, ``%3F`` for ``?`` in a target.

This module knows nothing of what is named; `registry` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from o1coder_gym.errors import LISTED, UnknownNameError, UsageError, first_of

_NAME = re.compile(r"[^:?]*")
_PLACE = re.compile(r"[^:?]*\.[^:?]*:[^\W\d][\w.]*(?=\?|$)")
_ENDS_A_VALUE = re.compile(r"[%&#\s\x00-\x1f\x7f]")
_ENDS_A_KEY = re.compile(r"[%&#=\s\x00-\x1f\x7f]")
# Targets are often web addresses, whose own escapes (%20) must pass untouched: only these three are ours.
_ESCAPED_IN_TARGET = re.compile(r"%(?:3F|23|25)", re.I)
_ESCAPE_IN_TARGET = re.compile(r"[?#]|%(?=3F|23|25)", re.I)


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed spec.

    Attributes:
        name: Of the thing; without ``:`` and ``?``.
        target: The text between ``:`` and ``?``; None without a ``:``.
        arguments: (key, value) pairs in order, values as they are written; a key may come twice.
    """

    name: str
    target: str | None = None
    arguments: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Raises `UsageError` when a name or a key could not be read back."""
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"the name of a spec has no ':' and no '?', got {self.name!r}")
        if not all(key for key, _ in self.arguments):
            raise UsageError(f"spec {self.name!r}: a key is empty")

    def __str__(self) -> str:
        """Returns the string that `parse` reads as this spec."""
        target = "" if self.target is None else f":{_ESCAPE_IN_TARGET.sub(_escaped, self.target)}"
        pairs = "&".join(
            f"{_ENDS_A_KEY.sub(_escaped, key)}={_ENDS_A_VALUE.sub(_escaped, value)}"
            for key, value in self.arguments
        )
        return f"{self.name}{target}{'?' if pairs else ''}{pairs}"


def parse(text: str) -> Spec:
    """Reads a spec; ``parse(str(spec)) == spec``.

    Raises:
        UsageError: When an argument is not ``key=value``.
    """
    head, _, tail = text.partition("?")
    name, colon, target = head.partition(":")
    found = _ESCAPED_IN_TARGET.sub(lambda escape: unquote(escape[0]), target) if colon else None
    return Spec(name, found, tuple(_pair(text, item) for item in tail.split("&") if item))


def one_of(kind: str, name: str, known: Iterable[str]) -> str:
    """Returns the known name that equals a text, or the only one that begins with it.

    Raises:
        UnknownNameError: When there is none.
        UsageError: When more than one begins with it.
    """
    names = list(dict.fromkeys(known))
    meant = [name] if name in names else [one for one in names if one.startswith(name)]
    if not meant:
        raise UnknownNameError(kind, name, names, most=LISTED)
    if len(meant) > 1:
        raise UsageError(f"{kind} {name!r} is ambiguous; it could be: {first_of(meant, LISTED)}")
    return meant[0]


def name_of(text: str) -> str:
    """Returns the name in a spec, also in one of an earlier spelling such as ``mcts:width=4,c=1.4``.

    Of own code, ``FILE.py:NAME`` or ``package.module:NAME``, both parts are its name.
    """
    place = _PLACE.match(text)
    return place[0] if place else re.split("[:?]", text, maxsplit=1)[0]


def _pair(text: str, item: str) -> tuple[str, str]:
    key, equals, value = item.partition("=")
    if not equals or not key:
        raise UsageError(f"{text}: expected key=value, got {item!r}")
    return unquote(key), unquote(value)


def _escaped(character: re.Match[str]) -> str:
    return quote(character[0], safe="")
