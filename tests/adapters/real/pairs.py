"""200 programs with their problems, right and wrong ones, and what the judge of this process pays."""

from __future__ import annotations

import ast

from o1coder_gym.adapters.ground_truth import ground_truth_of
from o1coder_gym.adapters.scoring import score_all
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.types import CallTest, Problem

COUNT = 200


def pairs(*, calls: bool = False) -> list[tuple[Problem, str]]:
    """Returns problems with programs: the reference, one that returns None, one that does not compile.

    Args:
        calls: Only problems whose public tests are calls of a function.
    """
    found = []
    for row in load_rows("starter"):
        if calls and not all(isinstance(test, CallTest) for test in row.problem.public_tests):
            continue
        name = row.problem.entry_point or "main"
        found += [(row.problem, row.reference or ""), (row.problem, f"def {name}(*a): return None")]
        found.append((row.problem, "def ("))
    return (found * (COUNT // len(found) + 1))[:COUNT]


def rewards(programs: list[tuple[Problem, str]]) -> list[float]:
    """Returns what the judge pays, in process."""
    return [found.reward for found in score_all([(code, ground_truth_of(one)) for one, code in programs])]


def asserts(problem: Problem) -> str:
    """Returns the public tests, calls all of them, as a program of asserts."""
    calls = [test for test in problem.public_tests if isinstance(test, CallTest)]
    written = ((", ".join(map(repr, ast.literal_eval(test.args))), test.expected) for test in calls)
    return "\n".join(f"assert {problem.entry_point}({args}) == {expected}" for args, expected in written)


def answer(code: str) -> str:
    """Returns a program as a model writes it."""
    return f"Here it is:\n```python\n{code}\n```\n"
