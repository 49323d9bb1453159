"""Installed packages: a zygote imports them when a program asks for them, at no cost to the program."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence


class Warmer:
    """The packages that programs may import, and which of them are loaded already."""

    def __init__(self, names: Sequence[str]) -> None:
        """Args: names of the packages, in the order of the bits of a request."""
        self._names = names
        self._loaded = 0

    def load(self, wanted: int) -> bool:
        """Imports packages that are wanted and not loaded; returns whether there were any.

        One that cannot be imported is left to the program that wants it, which will say why.
        """
        new = wanted & ~self._loaded
        if not new:
            return False
        self._loaded |= new
        for place, name in enumerate(self._names):
            if new >> place & 1:
                _load(name)
        gc.collect()
        gc.freeze()
        return True


def _load(name: str) -> None:
    """Imports a package, and seeds its random numbers."""
    try:
        module = importlib.import_module(name)
        if name == "numpy":
            module.random.seed(0)
    except Exception:
        # Half an import would be found by the program as if it were whole.
        for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == name]:
            del sys.modules[loaded]
