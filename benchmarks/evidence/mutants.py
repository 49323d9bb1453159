"""How many small faults in the statistics the tests find: mutation testing of the two modules of numbers.

    python benchmarks/evidence/mutants.py [--module statistics] [--module significance]

Each mutant (`tcg.quality.mutants`) takes the module's place in a process of its own, which runs the
module's tests but for the simulations of coverage. Survivors are printed as differences; those that change
nothing that can be seen are in `EQUIVALENT`, each with its reason. Exits with 1 where less than 95 % of the
others are killed.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import itertools
import os
import signal
import sys
import time
import types
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis  # noqa: F401  # loaded once, before the forks
import numpy as np  # noqa: F401
import pytest  # noqa: F401

from o1coder_gym.tcg.quality.mutants import mutants

ROOT = Path(__file__).parents[2]
TESTS: Mapping[str, Sequence[str]] = {
    "statistics": ("tests/test_statistics.py", "tests/test_metrics.py"),
    "significance": ("tests/test_significance.py",),
}
"""By module of `o1coder_gym`, what tests it."""
READERS = ("metrics", "significance")
"""Modules that take names over from a mutated one, to be imported anew."""
SECONDS = 60
"""A test run that takes longer has found a mutant: it hangs."""
_MEMORY = "the size of a block bounds memory alone: the draws are the same in blocks of any size"
EQUIVALENT: Mapping[str, str] = {
    "- block = max(1, 4000000 // len(numbers))": _MEMORY,
    "- block = max(1, 4000000 // len(sizes))": _MEMORY,
}
"""By the line that is changed, as it is printed: why no test can find a change of it that survives."""


def survives(name: str, code: str) -> bool:
    """Whether the tests of a module pass with this code in its place."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _silently()
        signal.alarm(SECONDS)
        status = 1
        try:
            _replace(f"o1coder_gym.{name}", code)
            for path in TESTS[name]:
                _run(path)
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def _run(path: str) -> None:
    """Runs the tests of a file as functions, with all their parameters; pytest itself would take a second."""
    found: dict[str, object] = {}
    exec(compile((ROOT / path).read_text(), path, "exec"), found)
    warnings.simplefilter("error")
    for name, test in found.items():
        if name.startswith("test_") and "cover" not in name and callable(test):
            for given in itertools.product(*(_values(mark) for mark in getattr(test, "pytestmark", ()))):
                test(**dict(itertools.chain.from_iterable(given)))


def _values(mark: Any) -> list[list[tuple[str, Any]]]:
    """Returns what a mark gives to its names, a list of pairs for each case."""
    names, cases = mark.args
    names = names.split(",") if isinstance(names, str) else names
    return [list(zip(names, case if len(names) > 1 else (case,), strict=True)) for case in cases]


def _silently() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _replace(module: str, code: str) -> None:
    """Puts code in the place of a module that is imported, and of those that took names from it."""
    mutated = types.ModuleType(module)
    sys.modules[module] = mutated
    package, _, name = module.rpartition(".")
    setattr(sys.modules[package], name, mutated)
    exec(compile(code, f"{name}.py", "exec"), mutated.__dict__)
    for reader in READERS:
        if sys.modules.pop(f"{package}.{reader}", None) is not None and reader != name:
            importlib.import_module(f"{package}.{reader}")
    sys.modules[module] = mutated


def difference(source: str, mutant: str) -> str:
    """Returns the lines that a mutant changes."""
    one, other = (ast.unparse(ast.parse(text)).splitlines() for text in (source, mutant))
    found = difflib.unified_diff(one, other, lineterm="", n=0)
    lines = [line for line in found if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return "\n".join(f"{line[0]} {line[1:].strip()}" for line in lines)


def measure(name: str) -> bool:
    """Prints what survives in a module; returns whether at least 95 % are killed."""
    source = (ROOT / "o1coder_gym" / f"{name}.py").read_text()
    if not survives(name, source):
        print(f"{name}: its tests fail without a mutant")
        return False
    found, start = mutants(source), time.monotonic()
    equivalent, survived = 0, 0
    for mutant in found:
        if not survives(name, mutant.code):
            continue
        changed = difference(source, mutant.code)
        reason = next((why for line, why in EQUIVALENT.items() if line in changed.splitlines()), "")
        equivalent += bool(reason)
        survived += not reason
        print(
            f"\nline {mutant.line}{f', equivalent: {reason}' if reason else ', SURVIVES'}\n{changed}",
            flush=True,
        )
    left = len(found) - equivalent
    share = (left - survived) / left
    print(
        f"\n{name}: {left - survived} of {left} mutants killed, {100 * share:.1f} %; "
        f"{equivalent} more are equivalent; {time.monotonic() - start:.0f} s\n"
    )
    return share >= 0.95


def main() -> int:
    """Measures the modules that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--module", action="append", choices=[*TESTS])
    results = [measure(name) for name in parser.parse_args().module or TESTS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
