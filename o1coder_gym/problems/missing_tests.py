"""One line on problems that lack tests.

Without public ones nothing guides a search or a training; without hidden ones nothing is ever solved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from o1coder_gym.errors import first_of
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.types import Problem, Tests

NAMED = 3
"""Problems that a line names at most."""

NO_FURTHER_TESTS: Mapping[str, Tests] = MappingProxyType({})

Warn = Callable[[str], None]
"""Told of problems that lack tests, in one line; `warnings.warn` is one."""


def warn_of(warn: Warn, *lacks: str) -> None:
    """Joins remarks into one line for `warn`, which is not called without any."""
    if line := "; ".join(filter(None, lacks)):
        warn(line)


def without_visible_tests(
    problems: Iterable[Problem | ProblemRow], further: Mapping[str, Tests] = NO_FURTHER_TESTS
) -> str:
    """Returns a sentence on problems without a test that a search may see; empty if all have one.

    Args:
        problems: The questions.
        further: Tests by task id that are seen beside the public ones, e.g. generated ones.
    """
    found = [one.problem if isinstance(one, ProblemRow) else one for one in problems]
    lacking = [one.task_id for one in found if not one.public_tests and not further.get(one.task_id)]
    return _line(
        lacking, len(found), "no public tests, so a search cannot tell right programs from wrong ones"
    )


def without_hidden_tests(rows: Sequence[ProblemRow]) -> str:
    """Returns a sentence on problems without a hidden test; empty if all have one."""
    lacking = [row.problem.task_id for row in rows if not row.tests]
    return _line(lacking, len(rows), "no hidden tests: never solved")


def _line(lacking: Sequence[str], total: int, what: str) -> str:
    if not lacking:
        return ""
    have = "has" if len(lacking) == 1 else "have"
    return f"{len(lacking)} of {total} problems {have} {what} ({first_of(lacking, NAMED)})"
