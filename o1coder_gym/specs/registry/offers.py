"""Lists what is registered of a kind: by this project, this process and installed packages."""

from __future__ import annotations

import pkgutil
import sys
import warnings
from collections.abc import Iterator, MutableMapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from o1coder_gym.errors import PluginError, UnknownNameError
from o1coder_gym.specs.registry.built_in import BUILT_IN
from o1coder_gym.specs.registry.entries import PLUGINS, Entry
from o1coder_gym.specs.registry.kinds import KINDS

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PROJECT = "o1coder-gym"

_registered: dict[tuple[str, str], Entry] = {}
"""What this process has registered itself."""


class BuiltIn(MutableMapping[str, Any]):
    """The built-in objects of a kind by name, and those registered in this process; not those of plug-ins."""

    def __init__(self, kind: str) -> None:
        """Args: a key of `KINDS`."""
        self._kind = kind

    def __getitem__(self, name: str) -> Any:
        """Returns the object, imported now."""
        return (_own(self._kind) | _local(self._kind))[name].object()

    def __setitem__(self, name: str, value: Any) -> None:
        """Registers an object for this process; see `register`."""
        register(self._kind, name, value)

    def __delitem__(self, name: str) -> None:
        """Removes an object that this process has registered."""
        del _registered[self._kind, name]

    def __iter__(self) -> Iterator[str]:
        """Yields the names, in order of registration."""
        return iter(_own(self._kind) | _local(self._kind))

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(_own(self._kind) | _local(self._kind))


def register(kind: str, name: str, value: Any) -> None:
    """Registers an object for this process, for notebooks and tests; packages use entry points.

    Raises:
        PluginError: When the name is taken; names both origins.
        UnknownNameError: When there is no such kind.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind", kind, KINDS)
    path = f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', type(value).__name__)}"
    entry = Entry(kind, name, path, "this process", load=lambda: value)
    if taken := entries(kind).get(name):
        raise PluginError(_twice(kind, name, (*taken, entry)))
    _registered[kind, name] = entry


def entries(kind: str) -> dict[str, tuple[Entry, ...]]:
    """Returns all entries of a kind by name; several entries under one name are a conflict."""
    found: dict[str, tuple[Entry, ...]] = {
        name: (entry,) for name, entry in (_own(kind) | _local(kind)).items()
    }
    # By search path: a notebook that installs a package or extends sys.path sees its plug-ins at once.
    for entry in _plugins(tuple(sys.path))[0]:
        if entry.kind == kind and entry not in found.get(entry.name, ()):
            found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def misnamed() -> tuple[str, ...]:
    """Returns one message for each plug-in whose name starts with no known kind."""
    return _plugins(tuple(sys.path))[1]


def find(kind: str, name: str, *, where: str = "") -> Entry:
    """Returns what is registered under a name.

    Raises:
        UnknownNameError: When there is nothing; lists what there is.
        PluginError: When there is more than one; names all origins.
    """
    known = entries(kind)
    if name not in known:
        shown = [f"{one}:" for one in known] if KINDS[kind].colon else known
        raise UnknownNameError(KINDS[kind].noun, name, shown, where=where)
    if len(known[name]) > 1:
        raise PluginError(_twice(kind, name, known[name]))
    return known[name][0]


def usable(kind: str) -> Iterator[tuple[str, Any]]:
    """Yields name and object of each working entry of a kind, this project's first; warns of the others."""
    for name, (first, *others) in entries(kind).items():
        if others:
            warnings.warn(_twice(kind, name, (first, *others)), RuntimeWarning, stacklevel=2)
        if others and first.group:
            continue  # a name of this project's keeps its meaning; of two strangers neither is right
        try:
            yield name, first.object()
        except PluginError as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=2)


def _own(kind: str) -> dict[str, Entry]:
    return _built_in_entries()[kind]


@lru_cache(maxsize=1)
def _built_in_entries() -> dict[str, dict[str, Entry]]:
    return {
        kind: {
            name: Entry(kind, name, path, PROJECT, load=partial(pkgutil.resolve_name, path))
            for name, path in paths.items()
        }
        for kind, paths in BUILT_IN.items()
    }


def _local(kind: str) -> dict[str, Entry]:
    return {name: entry for (of, name), entry in _registered.items() if of == kind}


@lru_cache(maxsize=4)
def _plugins(path: tuple[str, ...]) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Reads what installed packages offer, once for each search path; what has no kind is told apart."""
    from importlib.metadata import entry_points  # slow to import, and not needed to import the package

    found: list[Entry] = []
    wrong: list[str] = []
    for point in entry_points(group=PLUGINS):
        kind, dot, name = point.name.partition(".")
        if kind in KINDS and dot and name:
            found.append(_entry(kind, name, point))
        else:
            kinds = ", ".join(KINDS)
            wrong.append(
                f"plug-in {point.name} of {_origin(point)} ({point.value}) starts with none of {kinds}"
            )
    for kind in KINDS.values():
        if kind.group:
            found += [_entry(kind.name, point.name, point) for point in entry_points(group=kind.group)]
    return tuple(found), tuple(wrong)


def _entry(kind: str, name: str, point: EntryPoint) -> Entry:
    return Entry(kind, name, point.value, _origin(point), point.group, point.load)


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"


def _twice(kind: str, name: str, found: Sequence[Entry]) -> str:
    origins = " and ".join(f"{entry.origin} ({entry.path})" for entry in found)
    return f"{KINDS[kind].noun} {name!r} is offered by {origins}; remove all but one"
