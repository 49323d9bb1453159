"""How many small faults in the parts that decide figures the tests find: mutation testing.

    python benchmarks/fidelity/mutation_score.py [--module NAME …] [--every N] [--survivors]

Each mutant (`tcg.quality.mutants`) is what a process of its own imports in the module's place; that process
runs the module's tests up to the first failure. Prints a row for each module; with ``--survivors`` also the
lines that a mutant changed unnoticed. ``--every 3`` tries each third mutant only. Survivors that change
nothing that can be seen are in `EQUIVALENT`, each with its reason. Exits with 1 where under 90 % are killed.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path

import hypothesis  # noqa: F401  # loaded once, before the forks
import numpy as np  # noqa: F401
import pytest

from o1coder_gym.tcg.quality.mutants import mutants

ROOT = Path(__file__).parents[2]
_NUMBERS = ("-k", "not cover")  # the simulations of coverage take minutes, and say what single cases say too
TESTS: Mapping[str, tuple[str, ...]] = {
    "metrics.estimates": ("tests/metrics/test_estimates.py", "tests/metrics/test_rates.py", *_NUMBERS),
    "metrics.significance": ("tests/metrics/test_significance.py", *_NUMBERS),
    "metrics.rates": ("tests/metrics/test_rates.py",),
    "metrics.reliability": ("tests/prm/test_metrics.py",),
    "rewards": ("tests/test_rewards.py",),
    "runs.budget": ("tests/runs/test_budget.py",),
    "agents.search.selection": ("tests/agents/search/test_selection.py",),
    "reporting.comparison": ("tests/reporting/test_comparison.py",),
    "agents.rl.advantages": ("tests/agents/rl/test_advantages.py",),
}
"""By module of `o1coder_gym`, the files that test it, with options of pytest."""
_MEMORY = "the size of a block bounds memory alone: the draws are the same in blocks of any size"
EQUIVALENT: Mapping[str, str] = {
    "- block = max(1, 4000000 // len(numbers))": _MEMORY,
    "- block = max(1, 4000000 // len(sizes))": _MEMORY,
}
"""By the line that is changed, as it is printed: why no test can find a change of it that survives."""
AIM = 0.9

_CPU_S = 40
"""A mutant whose tests take longer is found: it hangs."""


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a text of its own."""

    def __init__(self, name: str, code: str) -> None:
        self._name, self._code = name, code

    def find_spec(
        self, fullname: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname == self._name else None

    def exec_module(self, module: types.ModuleType) -> None:
        exec(compile(self._code, f"{self._name}, mutated", "exec"), module.__dict__)


def passes(name: str, code: str) -> bool:
    """Whether the tests of a module pass with this code in its place."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = _run_tests(f"o1coder_gym.{name}", code, TESTS[name])
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def _run_tests(module: str, code: str, files: Sequence[str]) -> int:
    """Runs test files up to the first failure, in a process that is given up afterwards."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    signal.alarm(10 * _CPU_S)
    for loaded in [name for name in sys.modules if name.partition(".")[0] in ("o1coder_gym", "tests")]:
        del sys.modules[loaded]
    sys.meta_path.insert(0, _Instead(module, code))
    options = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore:Module already imported")
    return int(pytest.main([*options, *files]))


def difference(source: str, mutant: str) -> list[str]:
    """Returns the lines that a mutant changes."""
    one, other = (ast.unparse(ast.parse(text)).splitlines() for text in (source, mutant))
    lines = list(difflib.unified_diff(one, other, lineterm="", n=0))[2:]
    return [f"{line[0]} {line[1:].strip()}" for line in lines if line[0] in "+-"]


def measure(name: str, every: int, show: bool) -> bool:
    """Prints the score of a module; returns whether enough mutants are killed."""
    path = ROOT / f"{name.replace('.', '/')}.py"  # agents lie at the top
    source = (path if path.exists() else ROOT / "o1coder_gym" / path.relative_to(ROOT)).read_text()
    if not passes(name, source):
        raise SystemExit(f"{name}: its tests fail without a mutant")
    tried = mutants(source)[::every]
    survivors = [(mutant, difference(source, mutant.code)) for mutant in tried if passes(name, mutant.code)]
    missed = [(mutant, lines) for mutant, lines in survivors if not EQUIVALENT.keys() & set(lines)]
    count = len(tried) - len(survivors) + len(missed)
    share = 1 - len(missed) / max(count, 1)
    equivalent = len(survivors) - len(missed)
    print(
        f"{name:26} {count:5} mutants {count - len(missed):5} killed {100 * share:6.1f} %, "
        f"{equivalent} more are equivalent",
        flush=True,
    )
    for mutant, lines in missed if show else ():
        print(f"  line {mutant.line}", *(f"    {line}" for line in lines), sep="\n", flush=True)
    return share >= AIM


def main() -> int:
    """Measures the modules that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--module", action="append", choices=[*TESTS], metavar="NAME")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="try each N-th mutant only")
    parser.add_argument("--survivors", action="store_true", help="print what was not found")
    given = parser.parse_args()
    os.chdir(ROOT)
    results = [measure(name, given.every, given.survivors) for name in given.module or TESTS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
