"""Objects of users' own code by their place: ``FILE.py:NAME`` or ``package.module:NAME``."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
import sys
import traceback
from functools import cache
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from o1coder_gym.errors import PluginError, UsageError, unreadable

_PLACE = re.compile(r"(?P<where>[^:?]+):(?P<name>[^\W\d][\w.]*)(?=\?|$)")


def is_place(spec: str) -> bool:
    """Whether a spec is a place of code: ``FILE.py:NAME``, ``package.module:NAME``.

    A name of this project has no dot; one without a dot is that of a module if there is such a module.
    """
    found = _PLACE.match(spec)
    return found is not None and ("." in found["where"] or _is_module(found["where"]))


def _is_module(name: str) -> bool:
    _search(Path.cwd())
    try:
        return name.isidentifier() and importlib.util.find_spec(name) is not None
    except ValueError:  # a module of the main program without a spec
        return False


def file_of(spec: str) -> Path | None:
    """Returns the file of a spec such as ``FILE.py:NAME?key=value``; None where it names none."""
    found = _PLACE.match(spec)
    return Path(found["where"]) if found is not None and found["where"].endswith(".py") else None


def load_object(place: str) -> Any:
    """Imports the object at a place.

    A file is imported once for each time that it was changed, with its folder on the search path, as if it
    were run; a module may also lie in the working directory.

    Raises:
        UsageError: When there is no such place.
        PluginError: When its code fails, whatever it raises; one line that names the file and the line.
    """
    where, _, name = place.partition(":")
    file = file_of(place)
    try:
        if file is None:
            _search(Path.cwd())
            return pkgutil.resolve_name(place)
        found: Any = _module(file.resolve(strict=True), file.stat().st_mtime_ns)
        return attrgetter(name)(found)
    except (OSError, ImportError, AttributeError) as error:
        if isinstance(error, FileNotFoundError) and _missing(error, where, file):
            raise UsageError(unreadable(file, error)) from error
        if _missing(error, where, file):
            raise UsageError(f"{place} is not importable: {_reason(error)}") from error
        raise PluginError(f"{place} cannot be imported: {_reason(error)}{_line(error, where)}") from error
    except (Exception, SystemExit) as error:  # the code of others may raise anything
        raise PluginError(f"{place} cannot be imported: {_reason(error)}{_line(error, where)}") from error


def _missing(error: BaseException, where: str, file: Path | None) -> bool:
    """Whether the place itself is missing, rather than an import of its code."""
    if isinstance(error, AttributeError):
        return isinstance(error.obj, ModuleType) and error.obj.__name__ in (where, f"_own_{Path(where).stem}")
    if isinstance(error, ModuleNotFoundError):
        return file is None and f"{where}.".startswith(f"{error.name}.")
    return isinstance(error, FileNotFoundError) and error.filename == str(file)


def _reason(error: BaseException) -> str:
    told = f"there is no {error.name!r}" if isinstance(error, AttributeError) else str(error)
    return " ".join(f"{type(error).__name__}: {told}".split())


@cache
def _module(file: Path, changed: int) -> ModuleType:
    _search(file.parent)
    name = f"_own_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _search(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _line(error: BaseException, where: str) -> str:
    """Names the line of the user's code in which an error arose; empty if the error names it itself."""
    frame = None if isinstance(error, SyntaxError) else last_frame(error, where)
    return f" ({frame.filename}, line {frame.lineno})" if frame else ""


def last_frame(error: BaseException, where: str) -> traceback.FrameSummary | None:
    """Returns where in a file, or a module, an error came up; None where it did not pass through it."""
    stem = Path(where).stem if where.endswith(".py") else where.rpartition(".")[2]
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if Path(frame.filename).stem == stem]
    return inside[-1] if inside else None
