"""Values that are opened by name and kept for the whole process, for as long as the files behind it stay.

In a notebook a file of problems, or a policy's code, changes while the process goes on: what was opened from
the file that was there before is another thing by the same name.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import update_wrapper
from threading import Lock
from typing import Generic, ParamSpec, TypeAlias, TypeVar

from o1coder_gym.runs.provenance import artefact_paths

_Args = ParamSpec("_Args")
_Value = TypeVar("_Value")

OnDisk: TypeAlias = tuple[tuple[str, int, int], ...]
"""Path, time of the last change in ns and size in bytes of each file that names stand for."""


class Kept(Generic[_Args, _Value]):
    """A function that opens what it is given by name: once for equal arguments, and anew when a file changes.

    Who holds a value goes on with it; only later calls are given the new one, and the old one is not kept.
    """

    def __init__(
        self, opens: Callable[_Args, _Value], names: Callable[_Args, Iterable[str | None]], maxsize: int
    ) -> None:
        """Use `kept`."""
        update_wrapper(self, opens)
        self._opens, self._names, self._maxsize = opens, names, maxsize
        self._values: OrderedDict[object, tuple[OnDisk, _Value]] = OrderedDict()
        self._lock = Lock()

    def __call__(self, *args: _Args.args, **kwargs: _Args.kwargs) -> _Value:
        """Returns the value of these arguments; raises what the function raises."""
        key = args, tuple(sorted(kwargs.items()))
        files = on_disk(*self._names(*args, **kwargs))
        with self._lock:
            found = self._values.get(key)
            if found is not None and found[0] == files:
                self._values.move_to_end(key)
                return found[1]
        # Outside of the lock, for weights take a minute to load and other names need not wait for them. They
        # were looked at before: of a file that is written meanwhile the next call opens the whole one.
        value = self._opens(*args, **kwargs)
        with self._lock:
            self._values[key] = files, value
            self._values.move_to_end(key)
            while len(self._values) > self._maxsize:
                self._values.popitem(last=False)
        return value

    def cache_clear(self) -> None:
        """Forgets all values."""
        with self._lock:
            self._values.clear()


def kept(
    maxsize: int, names: Callable[_Args, Iterable[str | None]]
) -> Callable[[Callable[_Args, _Value]], Kept[_Args, _Value]]:
    """Makes a function a `Kept` one.

    Args:
        maxsize: Values kept at most, ≥ 1; the one that was asked for longest ago goes first.
        names: Takes the function's arguments, which have to be hashable; returns those that are problem sets,
            files, or specs such as ``hf:FOLDER``.
    """
    return lambda opens: Kept(opens, names, maxsize)


def on_disk(*names: str | None) -> OnDisk:
    """Returns what tells whether the files behind names have changed; they are looked at, not read.

    Args:
        names: A folder stands for the files right in it. What is no file on this machine has no state.
    """
    return tuple(entry for name in filter(None, names) for entry in _entries(name))


def _entries(name: str) -> Iterator[tuple[str, int, int]]:
    for place in artefact_paths(name):
        if not place.name:  # of an empty name, which would be the working directory
            continue
        try:
            files = [place] if place.is_file() else sorted(place.iterdir())
            for file in files:
                found = os.stat(file)
                yield str(file), found.st_mtime_ns, found.st_size
        except (OSError, ValueError):  # no path at all, as most names are; or gone between two looks
            continue
