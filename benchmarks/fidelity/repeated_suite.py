"""Runs the tests many times beside busy loops, and keeps a journal of what failed: which tests are unsteady?

    python benchmarks/fidelity/repeated_suite.py [--runs 20] [--busy 4] [--out FOLDER] [-- PYTEST_ARGS]

Each run adds a line to ``journal.jsonl`` in the folder: the commit, the seconds, and every failed test with
its message. Stopped at any moment and started again, it makes the runs that are missing; runs of another
commit, or with other arguments for pytest, do not count. The exit status is 1 if any test failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
BUSY_LOOP = "while True: pass"
FAILED, NOTHING_FAILED = 1, 0
"""Pytest's exit statuses that mean that the tests ran to the end."""

Run: TypeAlias = dict[str, Any]
"""A line of the journal; its ``failures`` are messages by the names of tests."""


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Keeps as many processes busy as asked for."""
    loops = [subprocess.Popen([sys.executable, "-c", BUSY_LOOP]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def run_once(arguments: Sequence[str], out: Path) -> Run:
    """Runs pytest; a run that did not reach its end counts as one failure, of `pytest` itself."""
    report, log = out / "last.xml", out / "last.log"
    report.unlink(missing_ok=True)
    begin = time.monotonic()
    with log.open("w") as output:
        command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
        status = subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT).returncode
    seconds = round(time.monotonic() - begin, 1)
    if status in (FAILED, NOTHING_FAILED):
        return {"seconds": seconds, **outcomes(report)}
    message = f"exit status {status}: {log.read_text()[-2_000:]}"
    return {"seconds": seconds, "tests": 0, "failures": {"pytest": message}}


def outcomes(report: Path) -> Run:
    """Reads from a JUnit report how many tests there were, and the messages of those that failed."""
    cases = list(ElementTree.parse(report).iter("testcase"))
    failures = {}
    for case in cases:
        # A test can fail and its teardown err as well: the first of the two is what to look at.
        wrong = next((child for child in case if child.tag in ("failure", "error")), None)
        if wrong is not None:
            failures[f"{case.get('classname')}::{case.get('name')}"] = (wrong.text or "")[-2_000:]
    return {"tests": len(cases), "failures": failures}


def commit() -> str:
    """The commit of the working tree, marked if files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def journaled(journal: Path, same: Run) -> list[Run]:
    """Returns the runs of the same commit with the same arguments."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [run for run in map(json.loads, lines) if run.items() >= same.items()]


def repeat(runs: int, busy: int, out: Path, arguments: list[str]) -> list[Run]:
    """Makes the runs that the journal lacks, and returns all of them."""
    out.mkdir(parents=True, exist_ok=True)
    journal = out / "journal.jsonl"
    same = {"commit": commit(), "busy": busy, "arguments": arguments}
    while len(done := journaled(journal, same)) < runs:
        with busy_loops(busy):
            run = same | run_once(arguments, out)
        # One write of one line, after the run: what is in the journal is whole.
        with journal.open("a") as file:
            file.write(json.dumps(run) + "\n")
        print(f"run {len(done) + 1} of {runs}: {len(run['failures'])} failed of {run['tests']}", flush=True)
    return done


def main() -> None:
    """Prints each run, then how often each test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--busy", type=int, default=4, help="busy loops beside the tests")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "repeated")
    parser.add_argument("arguments", nargs="*", metavar="PYTEST_ARGS")
    asked = parser.parse_args()
    done = repeat(asked.runs, asked.busy, asked.out, asked.arguments)
    failed = Counter(test for run in done for test in run["failures"])
    for test, count in failed.most_common():
        print(f"{count:4} of {len(done)}  {test}")
    print(f"{sum(not run['failures'] for run in done)} of {len(done)} runs without a failure")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
