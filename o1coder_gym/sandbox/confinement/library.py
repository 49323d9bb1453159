"""The interpreter's library for a user who may not walk to it, as below root's home: by descriptors.

A folder that is held open can be entered through ``/proc/self/fd`` whatever lies above it.

Lets candidates import a few installed packages, and none of their neighbours.
"""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from o1coder_gym.sandbox.confinement.blueprint import below
from o1coder_gym.sandbox.confinement.rlimits import OPEN_FILES

MOST_FOLDERS = 8
"""So many folders can be held open, at the end of what a process may open."""
LOWEST_DESCRIPTOR = OPEN_FILES - MOST_FOLDERS

_ABSENT_MODULE = "o1coder_gym_absent"
"""Looked for, so that the interpreter lists its folders while it still may."""

_FOR_ALL = stat.S_IROTH | stat.S_IXOTH


def folders(packages: Iterable[str]) -> tuple[str, ...]:
    """Returns the folders that programs import from: of the standard library, and of packages."""
    found: list[str] = []
    for folder in sorted({*filter(os.path.isdir, sys.path), *packages}):
        if not below(found)(folder):
            found.append(folder)
    return tuple(found)


def for_all(found: Iterable[str]) -> bool:
    """Whether every user may read these folders, once they are reached; a file mode mask may forbid it.

    Looks at the folders and at a few files, as all of them were made under the same mask.
    """
    names = ("__init__.py", "os.py", "this.py")
    found = tuple(found)
    files = (os.path.join(folder, name) for folder in found for name in names)
    return all(os.stat(folder).st_mode & _FOR_ALL == _FOR_ALL for folder in found) and all(
        os.stat(file).st_mode & stat.S_IROTH for file in files if os.path.exists(file)
    )


def can_be_held(found: Iterable[str]) -> bool:
    """Whether every user could read these folders, if only the way to them were open."""
    found = tuple(found)
    return len(found) <= MOST_FOLDERS and os.path.isdir("/proc/self/fd") and for_all(found)


def hold(found: Iterable[str]) -> None:
    """Opens folders for good, and has the interpreter import from there.

    Raises:
        OSError: When one cannot be opened.
    """
    places: dict[str, str] = {}
    for number, folder in enumerate(found, LOWEST_DESCRIPTOR):
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        # At fixed numbers, above those of a child's channels: children close what lies between.
        os.dup2(descriptor, number)
        os.close(descriptor)
        places[folder] = f"/proc/self/fd/{number}"
    _relocate(places)


def _relocate(places: Mapping[str, str]) -> None:
    """Replaces the beginnings of all paths that imports look at."""
    sys.path[:] = [moved(path, places) for path in sys.path]
    for module in list(sys.modules.values()):
        path = getattr(module, "__path__", None)
        if isinstance(path, list):
            path[:] = [moved(folder, places) for folder in path]
    for finder in sys.meta_path:
        if isinstance(finder, PackageFinder):
            finder.folders = {name: moved(folder, places) for name, folder in finder.folders.items()}
    sys.path_importer_cache.clear()
    # The search that fails has read every folder on the path, and their listings are kept.
    importlib.util.find_spec(_ABSENT_MODULE)


def moved(path: str, places: Mapping[str, str]) -> str:
    """Returns where a path is found now."""
    for folder, place in places.items():
        if below([folder])(path):
            return place + path[len(folder) :]
    return path


class PackageFinder:
    """An import finder that knows some packages by name and folder.

    Attributes:
        folders: The folder of each package, by its name.
    """

    def __init__(self, folders: Mapping[str, str]) -> None:
        """Args: see the attribute."""
        self.folders = folders

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds a top-level package; its submodules are found by Python's own means."""
        folder = self.folders.get(name)
        if folder is None:
            return None
        return importlib.util.spec_from_file_location(
            name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
        )
