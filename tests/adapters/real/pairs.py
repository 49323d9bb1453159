"""200 programs with their problems, right and wrong ones, and what the judge of this process pays."""

from __future__ import annotations

from o1coder_gym.adapters.ground_truth import ground_truth_of
from o1coder_gym.adapters.scoring import score_all
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.types import Problem

COUNT = 200


def pairs() -> list[tuple[Problem, str]]:
    """Returns problems with programs: the reference, one that returns None, one that does not compile."""
    found = []
    for row in load_rows("starter"):
        name = row.problem.entry_point or "main"
        found += [(row.problem, row.reference or ""), (row.problem, f"def {name}(*a): return None")]
        found.append((row.problem, "def ("))
    return (found * (COUNT // len(found) + 1))[:COUNT]


def rewards(programs: list[tuple[Problem, str]]) -> list[float]:
    """Returns what the judge pays, in process."""
    return [found.reward for found in score_all([(code, ground_truth_of(one)) for one, code in programs])]


def answer(code: str) -> str:
    """Returns a program as a model writes it."""
    return f"Here it is:\n```python\n{code}\n```\n"
