"""The plan of a zygote: its layers, and the few files of this machine that candidates may read.

Zygotes import this file; what they do not need stays out of it, as each page of a zygote costs every fork.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

LAYERS = ("namespaces", "landlock", "seccomp")
"""The layers that can be left out. Resource limits and the loss of privileges always apply."""

INTERPRETER_VARIABLES = ("LD_LIBRARY_PATH", "PYTHONHOME")
"""Environment variables without which some interpreters do not start."""


class Blueprint(NamedTuple):
    """How to set up a zygote; the same for all zygotes of a judge.

    Attributes:
        layers: Which of `LAYERS` to try.
        readable: Files and folders that candidates may read: standard library and shared libraries,
            wherever they lie.
        hidden: Folders below them that they may not: installed packages, this project among them.
        packages: Extra packages that candidates may import, by name: the folder of each.
        package_files: Folders that these packages need besides their own.
        preload: Modules that a zygote imports before it forks.
    """

    layers: tuple[str, ...]
    readable: tuple[str, ...]
    hidden: tuple[str, ...]
    packages: Mapping[str, str]
    package_files: tuple[str, ...]
    preload: tuple[str, ...]

    def to_json(self) -> str:
        """Returns one line of text for a zygote."""
        return json.dumps(self._asdict())

    @classmethod
    def from_json(cls, text: str) -> Blueprint:
        """Reads what `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        for name, value in fields.items():
            fields[name] = tuple(value) if isinstance(value, list) else value
        return cls(**fields)


def below(folders: Iterable[str]) -> Callable[[str], bool]:
    """Returns whether a path is one of `folders` or lies below one, as a function of the path."""
    starts = tuple(folder + "/" for folder in folders)
    return lambda path: (path + "/").startswith(starts)
