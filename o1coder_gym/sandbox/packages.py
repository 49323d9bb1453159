"""Lets candidates import a few installed packages, and none of their neighbours."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


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
