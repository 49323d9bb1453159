"""Registers the environments when Gymnasium is there, whichever of the two packages is imported first.

Gymnasium knows no plug-ins that it would look for itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


def install() -> None:
    """Registers now if Gymnasium is imported, else right after its import."""
    if "gymnasium" in sys.modules:
        importlib.import_module("o1coder_gym.envs")
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Asked by Python for every module, and interested in one."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds Gymnasium as others do, and has the environments imported after it."""
        if name != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                importlib.import_module("o1coder_gym.envs")

            spec.loader.exec_module = execute_and_register
        return spec
