"""What an object can reach: the texts that anybody who holds it could read, by following references."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from types import FrameType, FunctionType, ModuleType
from typing import Any


def find_text(roots: Iterable[Any], needles: Sequence[str]) -> str | None:
    """Returns the first needle that is part of a text reachable from `roots`, None if none is.

    Follows attributes, slots, containers, classes, closures and constants of functions, whatever they are
    called. It stops at modules: what they hold belongs to the process, not to the objects.
    """
    for text in reachable_texts(roots):
        for needle in needles:
            if needle in text:
                return needle
    return None


def reachable_texts(roots: Iterable[Any]) -> Iterator[str]:
    """Yields every text reachable from `roots`; bytes are read as UTF-8."""
    for thing in reachable(roots):
        if isinstance(thing, str):
            yield thing
        elif isinstance(thing, bytes | bytearray):
            yield thing.decode(errors="replace")


def reachable(roots: Iterable[Any]) -> Iterator[Any]:
    """Yields every object reachable from `roots`, themselves included, each once."""
    seen: dict[int, Any] = {}
    front = list(roots)
    while front:
        thing = front.pop()
        if id(thing) in seen or isinstance(thing, ModuleType):
            continue
        seen[id(thing)] = thing
        yield thing
        front.extend(_parts(thing))


def _parts(thing: Any) -> list[Any]:
    if isinstance(thing, FunctionType):
        constants = thing.__code__.co_consts
        return [thing.__closure__, thing.__defaults__, thing.__kwdefaults__, thing.__dict__, constants]
    if isinstance(thing, FrameType):
        return list(thing.f_locals.values())
    return gc.get_referents(thing)
