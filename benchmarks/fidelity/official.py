"""Records what official graders say of the programs in tests/sandbox/fidelity, for `verdicts.py`.

    python benchmarks/fidelity/official.py [NAME …]

The graders come from PyPI into environments of their own (`speed/judge/environments.py`). Columns of graders
that are not named stay as they are.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests" / "sandbox" / "fidelity"
sys.path.append(str(ROOT / "benchmarks" / "speed"))

from judge import environments, graders  # noqa: E402  # pyright: ignore - the folder is no package

Row = Mapping[str, Any]
_MEGABYTES = 30 * 1024
_UNITTEST = """
import unittest
class TestCases(unittest.TestCase):
    def test_it(self):
        self.assertEqual(f(*{args}), {expected})
"""


def _verl() -> Callable[[Row], bool]:
    """The `prime_code` of verl; functions are called with lines of JSON."""
    prime_code = graders.module("verl", "utils/reward_score/prime_code/__init__.py")
    return lambda row: (
        prime_code.compute_score(row["code"], json.dumps(_in_outs(row)), continuous=True)[0] is True
    )


def _apps() -> Callable[[Row], bool]:
    """The copy of APPS's grader in eval-protocol, whole programs."""
    execution = graders.module("eval_protocol", "rewards", "apps_execution_utils")

    def accepts(row: Row) -> bool:
        results, _ = execution.check_correctness(_in_outs(row), row["code"], timeout=4, debug=False)
        return all(result is True for result in results)

    return accepts


def _bigcodebench() -> Callable[[Row], bool]:
    """BigCodeBench's `untrusted_check`, the comparison as a test method."""
    importlib.import_module("matplotlib.pyplot")  # else each program's process does
    untrusted_check = importlib.import_module("bigcodebench.eval").untrusted_check
    return lambda row: (
        untrusted_check(row["code"], _UNITTEST.format(**row), "f", _MEGABYTES, _MEGABYTES, 10, 1, 2)[0]
        == "pass"
    )


def _in_outs(row: Row) -> dict[str, Any]:
    """Returns the one test of a row as APPS writes it."""
    if "stdin" in row:
        return {"inputs": [row["stdin"]], "outputs": [row["stdout"]]}
    args, expected = (eval(row[name]) for name in ("args", "expected"))  # they are literals of ours
    return {
        "fn_name": "f",
        "inputs": ["\n".join(map(json.dumps, args))],
        "outputs": [json.dumps(expected)],
    }


GRADERS: dict[str, tuple[str, Callable[[], Callable[[Row], bool]], tuple[str, ...]]] = {
    "verl": ("verl", _verl, ("whole.jsonl", "functions.jsonl")),
    "apps": ("eval-protocol", _apps, ("whole.jsonl",)),
    "bigcodebench": ("bigcodebench", _bigcodebench, ("functions.jsonl",)),
}
"""By column: whose environment it wants, what makes it, and which programs it is asked about."""


def _ask(name: str, file: str) -> None:
    """Prints what a grader says of the programs of a file, as JSON; runs in the grader's environment."""
    accepts = GRADERS[name][1]()
    print("\n" + json.dumps([_verdict(accepts, row) for row in _rows(file)]), flush=True)


def _verdict(accepts: Callable[[Row], bool], row: Row) -> str | None:
    """Returns A or r; None where the test cannot be written for the grader."""
    try:
        return "A" if accepts(row) else "r"
    except (TypeError, ValueError, SyntaxError, NameError):
        return None


def _rows(file: str) -> list[dict[str, Any]]:
    lines = (PROGRAMS / file).read_text().split("\n")  # by itself: a grader's environment lacks the project
    return [json.loads(line) for line in lines if line]


def record(name: str) -> None:
    """Asks a grader, and writes its column."""
    peer, _, files = GRADERS[name]
    for file in files:
        command = [environments.python(peer), __file__, "--ask", name, file]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        rows = _rows(file)
        for row, said in zip(rows, json.loads(done.stdout.splitlines()[-1]), strict=True):
            row["official"].pop(name, None)
            row["official"] |= {name: said} if said else {}
        (PROGRAMS / file).write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
        print(f"{name}, {file}: {sum(name in row['official'] for row in rows)} programs")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ask"]:
        _ask(*sys.argv[2:])
    else:
        for one in sys.argv[1:] or GRADERS:
            record(one)
