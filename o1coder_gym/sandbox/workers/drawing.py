"""Makes the blueprint in the trusted process: it finds the files that programs must read."""

from __future__ import annotations

import glob
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from o1coder_gym.errors import SandboxError, UsageError
from o1coder_gym.sandbox.confinement.blueprint import LAYERS, Blueprint, below

STANDARD_MODULES = (
    *("abc", "array", "bisect", "collections", "copy", "functools", "heapq", "itertools", "json", "math"),
    *("operator", "random", "re", "string", "typing"),
)
"""Modules that contest programs import; loaded once per zygote, before it forks."""

_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo")
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")


def draw(layers: Iterable[str], packages: Iterable[str]) -> Blueprint:
    """Plans a zygote for this machine.

    Args:
        layers: Which of `LAYERS` to try.
        packages: Names of packages that candidates may import; those not installed are left out.

    Raises:
        UsageError: When a layer has no such name.
        SandboxError: When this is not Linux.
    """
    if sys.platform != "linux":
        raise SandboxError(f"programs can be judged on Linux only, not on {sys.platform}")
    layers = tuple(layers)
    if unknown := set(layers) - set(LAYERS):
        raise UsageError(f"unknown sandbox layers {sorted(unknown)}; known: {', '.join(LAYERS)}")
    # Only what an interpreter needs to start and to import its standard library; the rest of the machine is
    # not named.
    readable = _existing([*_LIBRARIES, *_SYSTEM_FILES, *_standard_library(), *_linked_libraries()])
    folders = {name: folder for name in packages if (folder := _package_folder(name))}
    return Blueprint(
        layers=layers,
        readable=readable,
        # Folders of packages within the readable ones, and this project, whose data hold tests and answers.
        hidden=_existing(
            filter(below(readable), [*_package_stores(readable), str(Path(__file__).parents[2])])
        ),
        packages=folders,
        package_files=_existing(file for folder in folders.values() for file in _package_files(folder)),
        preload=STANDARD_MODULES,
    )


def _standard_library() -> list[str]:
    """Returns the folders that hold this interpreter's standard library and its shared library."""
    # By the base interpreter's variables: those of a virtual environment name folders that hold no library.
    keys = ("stdlib", "platstdlib")
    folders = {os.path.realpath(sysconfig.get_path(key, vars=_BASE_VARIABLES)) for key in keys}
    return sorted(folders | {os.path.dirname(folder) for folder in folders})


_BASE_VARIABLES = {
    "base": sysconfig.get_config_var("installed_base"),
    "platbase": sysconfig.get_config_var("installed_platbase"),
}
"""Paths of the interpreter under a virtual environment."""


def _linked_libraries() -> list[str]:
    """Returns the shared libraries that ``LD_LIBRARY_PATH`` leads to, one by one: folders may hold more."""
    folders = os.environ.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":")
    found = [
        library
        for folder in filter(os.path.isabs, folders)
        for library in glob.glob(f"{glob.escape(os.path.normpath(folder))}/*.so*")
    ]
    return [*found, *map(os.path.realpath, found)]


def _package_stores(readable: Iterable[str]) -> list[str]:
    """Returns the folders of installed packages up to two levels below `readable`."""
    return [
        os.path.realpath(found)
        for folder in filter(os.path.isdir, readable)
        for middle in ("", "*/")
        for name in _PACKAGE_FOLDERS
        for found in glob.glob(f"{glob.escape(folder)}/{middle}{name}")
    ]


def _package_folder(name: str) -> str | None:
    """Returns the folder of an installed package, without importing it."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        return None
    return os.path.realpath(found.submodule_search_locations[0])


def _package_files(folder: str) -> list[str]:
    """Returns the folders that hold a package and its shared libraries.

    An installer may have linked each file of the package to its own store instead of copying it.
    """
    linked = os.path.dirname(os.path.realpath(os.path.join(folder, "__init__.py")))
    return [f"{place}{ending}" for place in {folder, linked} for ending in ("", ".libs")]


def _existing(paths: Iterable[str]) -> tuple[str, ...]:
    """Returns the paths that exist, each once, without those below another one."""
    kept: list[str] = []
    for path in sorted({path for path in paths if os.path.lexists(path)}):
        if not below(kept)(path):
            kept.append(path)
    return tuple(kept)
