"""How many small faults in the parts that decide figures the tests find: mutation testing.

    python benchmarks/fidelity/mutation_score.py [--module NAME …] [--every N] [--survivors] [--out FOLDER]

Each mutant (`tcg.quality.mutants`) has a process of its own, which runs the module's tests up to the first
failure. Prints a row for each module; with ``--survivors`` also the
lines that a mutant changed unnoticed. ``--every 3`` tries each third mutant only. Survivors that change
nothing that can be seen are in `EQUIVALENT`, each with its reason. With ``--out`` what became of each mutant
is kept: a run that was stopped goes on, and after a change of the tests survivors alone are tried again.
Exits with 1 where under 90 % are killed.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis  # noqa: F401  # loaded once, before the forks
import numpy as np  # noqa: F401
import pytest

from o1coder_gym.runs.journal import RunFolder, read_rows
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.tcg.quality.mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]
_NUMBERS = ("-k", "not cover")  # the simulations of coverage take minutes, and say what single cases say too
TESTS: Mapping[str, tuple[str, ...]] = {
    "metrics.estimates": ("tests/metrics/test_estimates.py", "tests/metrics/test_rates.py", *_NUMBERS),
    "metrics.significance": ("tests/metrics/test_significance.py", *_NUMBERS),
    "metrics.rates": ("tests/metrics/test_rates.py",),
    "metrics.reliability": ("tests/metrics/test_reliability.py",),
    "metrics.calibration": ("tests/metrics/test_calibration.py",),
    "prm.metrics": ("tests/prm/test_metrics.py",),
    "rewards": ("tests/test_rewards.py",),
    "runs.budget": ("tests/runs/test_budget.py",),
    "agents.search.selection": ("tests/agents/search/test_selection.py",),
    "reporting.comparison": ("tests/reporting/test_comparison.py",),
    "agents.rl.advantages": ("tests/agents/rl/test_advantages.py",),
}
"""By module of `o1coder_gym`, the files that test it, with options of pytest."""
_NUMPY = "numpy takes any number below 0 for the length that it works out"
_MEMORY = "the size of a block bounds memory alone: the draws are the same in blocks of any size"
EQUIVALENT: Mapping[str, str] = {
    "- block = max(1, 4000000 // len(numbers))": _MEMORY,
    "- block = max(1, 4000000 // len(sizes))": _MEMORY,
    "- chances = np.zeros(2 * reach + 1)": "what wraps around is in the other tail",
    "- return min(1.0, float(chances[:reach - seen + 1].sum() + chances[reach + seen:].sum()))": (
        "between two possible sums of signs lies one that is none: its chance is 0"
    ),
    "- exact = all((abs(float(f) - d) < 1e-09 for f, d in zip(fractions, found, strict=True)))": (
        "nothing is 1e-9 from a fraction to the last digit; there is one fraction a difference"
    ),
    "- extreme += int((np.abs(signs @ sizes) >= seen - 1e-09).sum())": "no sum is 1e-9 off to the last digit",
    "- spread = float(np.std(np.asarray(differences, float), ddof=1)) "
    "if len(differences) > 1 else math.inf": "of six items or fewer no difference is detectable at all",
    "- steps = range(max(map(len, valid), default=0))": "where no episode is valid nothing is compared",
    "area_under_curve: - return float(heights[0])": "where there is one budget, there is one height",
    "area_under_curve: - found = np.array(list(points), dtype=float).reshape(-1, 2)": _NUMPY,
    "_deviation: - return 0.0": "a single value is its own mean: it differs by 0, whatever it is divided by",
}
"""By the line that is changed, as it is printed, or that with the function before it: why no test can find a
change of it that survives."""
AIM = 0.9
KILLED = "killed"
"""The file of `--out` that has a row for each mutant that was found."""

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


def _forked(run: Callable[[], bool]) -> bool:
    """Returns what `run` returns, called in a process that is given up afterwards; False if that dies."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
            signal.alarm(20 * _CPU_S)
            status = int(not run())
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def _begin() -> None:
    """Forgets what was imported of the project, so that tests see it as it is now."""
    for loaded in [name for name in sys.modules if name.partition(".")[0] in ("o1coder_gym", "tests")]:
        del sys.modules[loaded]


def _pytest(files: Sequence[str], *plugins: object) -> int:
    without = [word for plugin in ("terminal", "cacheprovider", "xdist") for word in ("-p", f"no:{plugin}")]
    options = [
        "-x",
        "-o",
        "addopts=--import-mode=importlib",
        *without,
        "-W",
        "ignore:Module already imported",
    ]
    return int(pytest.main([*options, *files], [*plugins]))


def passes(name: str, code: str) -> bool:
    """Whether the tests of a module pass where it is imported from this code."""

    def run() -> bool:
        _begin()
        sys.meta_path.insert(0, _Instead(f"o1coder_gym.{name}", code))
        return _pytest(TESTS[name]) == 0

    return _forked(run)


class Session:
    """A session of pytest that has collected the tests of a module, and runs them for many mutants.

    A change within a function is made in the function that the tests have already imported, in a fork, and
    only tests that call it are run: a hundredth of what a new session takes. Other changes, of defaults and
    constants say, are left to `passes`.
    """

    def __init__(self, name: str, source: str, judge_all: Callable[[Session], None]) -> None:
        self._name, self._source, self._judge_all = name, source, judge_all
        self._items: list[pytest.Item] = []
        self._callers: dict[str, list[pytest.Item]] = {}
        self._failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes failures."""
        self._failed |= report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Runs each test once, then has the mutants judged."""
        self._items = session.items
        for item in self._items:
            for called in self._calls(item):
                self._callers.setdefault(called, []).append(item)
        if self._failed:
            raise SystemExit(f"{self._name}: its tests fail without a mutant")
        self._judge_all(self)
        return True

    def passes(self, mutant: Mutant) -> bool:
        """Whether no test finds a mutant."""
        place = _function_at(self._source, mutant.line)
        function = None if place is None else self._function(place)
        changed = None if place is None else _code_of(compile(mutant.code, "mutant", "exec"), place)
        if place is None or function is None or changed is None:
            return passes(self._name, mutant.code)
        items = self._callers.get(place, [])

        def run() -> bool:
            function.__code__ = changed
            return not any(self._fails(item) for item in items)

        return _forked(run)

    def _fails(self, item: pytest.Item) -> bool:
        self._failed = False
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return self._failed

    def _calls(self, item: pytest.Item) -> set[str]:
        """Runs a test; returns the functions of the module that it calls."""
        file = self._module.__file__
        found: set[str] = set()

        def trace(frame: types.FrameType, event: str, argument: object) -> None:
            if frame.f_code.co_filename == file:
                found.add(frame.f_code.co_qualname.partition(".<locals>")[0])

        sys.settrace(trace)
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        finally:
            sys.settrace(None)
        return found

    @property
    def _module(self) -> types.ModuleType:
        return sys.modules[f"o1coder_gym.{self._name}"]

    def _function(self, place: str) -> types.FunctionType | None:
        """Finds the function of a qualified name, below what decorators made of it."""
        found: Any = self._module
        for part in place.split("."):
            found = vars(found).get(part)
        for inner in ("fget", "func", "__func__", "__wrapped__"):
            found = getattr(found, inner, found)
        return found if isinstance(found, types.FunctionType) else None


def _function_at(source: str, line: int) -> str | None:
    """Returns the qualified name of the function or method whose body holds a line, if any."""
    todo: list[tuple[str, ast.AST]] = [("", ast.parse(source))]
    while todo:
        prefix, parent = todo.pop()
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.ClassDef):
                todo.append((f"{prefix}{node.name}.", node))
            elif isinstance(node, ast.FunctionDef) and node.body[0].lineno <= line <= (node.end_lineno or 0):
                return prefix + node.name
    return None


def _code_of(module: types.CodeType, place: str) -> types.CodeType | None:
    """Returns the code of a function of a module, by its qualified name."""
    found: types.CodeType | None = module
    for part in place.split("."):
        inner = [] if found is None else [one for one in found.co_consts if isinstance(one, types.CodeType)]
        found = next((one for one in inner if one.co_name == part), None)
    return found


def difference(source: str, mutant: str) -> list[str]:
    """Returns the lines that a mutant changes."""
    one, other = (ast.unparse(ast.parse(text)).splitlines() for text in (source, mutant))
    lines = list(difflib.unified_diff(one, other, lineterm="", n=0))[2:]
    return [f"{line[0]} {line[1:].strip()}" for line in lines if line[0] in "+-"]


def survivors_among(
    name: str, session: Session, source: str, tried: Sequence[Mutant], journal: RunFolder | None
) -> Iterator[tuple[Mutant, list[str]]]:
    """Yields the mutants that no test finds, with the lines that they change."""
    rows = () if journal is None else read_rows(journal.path / f"{KILLED}.jsonl")
    found = {row["mutant"] for row in rows}
    for mutant in tried:
        key = content_hash(f"{name}\n{mutant.code}")
        if key in found:
            continue
        if session.passes(mutant):
            yield mutant, difference(source, mutant.code)
        elif journal is not None:
            journal.append(KILLED, {"module": name, "line": mutant.line, "mutant": key})


def measure(name: str, every: int, show: bool, journal: RunFolder | None = None) -> bool:
    """Prints the score of a module; returns whether enough mutants are killed."""
    path = ROOT / f"{name.replace('.', '/')}.py"  # agents lie at the top
    source = (path if path.exists() else ROOT / "o1coder_gym" / path.relative_to(ROOT)).read_text()
    tried = mutants(source)[::every]
    survivors: list[tuple[Mutant, list[str]]] = []

    def judge_all(session: Session) -> None:
        survivors.extend(survivors_among(name, session, source, tried, journal))

    _begin()
    if _pytest(TESTS[name], Session(name, source, judge_all)) not in (0, 5):
        raise SystemExit(f"{name}: its tests could not be run")
    missed = [
        (mutant, lines)
        for mutant, lines in survivors
        if not EQUIVALENT.keys() & {*lines, f"{_function_at(source, mutant.line)}: {lines[0]}"}
    ]
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
    parser.add_argument("--out", type=Path, help="keeps what became of each mutant, and goes on from there")
    given = parser.parse_args()
    out = given.out and given.out.absolute()
    os.chdir(ROOT)
    with contextlib.ExitStack() as stack:
        journal = out and stack.enter_context(RunFolder.open(out, {"command": "mutation_score"}, resume=True))
        results = [measure(name, given.every, given.survivors, journal) for name in given.module or TESTS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
