"""The row of a question whose tests are known: what all formats of such questions have in common."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from o1coder_gym.problems.formats.reading.fields import memory_bytes, optional, seconds
from o1coder_gym.problems.formats.reading.platform import platform_of
from o1coder_gym.problems.formats.reading.shown_tests import shown_tests
from o1coder_gym.problems.formats.row_format import Origin
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.types import CallTest, Problem, StdioTest, Tests

_GRADER_SECONDS = {"apps": 4.0, "taco": 4.0, "livecodebench": 6.0}
"""What the official graders give each test, whatever a row states, by their policy of comparison."""


def question_row(
    origin: Origin,
    task_id: object,
    question: str,
    tests: Tests,
    *,
    entry_point: str | None = None,
    public: Tests = (),
    starter: str = "",
    reference: str | None = None,
    compare: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> ProblemRow:
    """Returns the row of a question.

    Args:
        origin: Where it stands; the group goes before the task id.
        task_id: Its name or number in its set.
        question: The text without starter code, which is added.
        tests: All tests, public ones among them.
        entry_point: The function to define; None for whole programs.
        public: The tests that the set calls public; if there are none, those that the question shows, and
            if it shows none the first.
        starter: Code that the program begins with, and what its platform imports for it.
        reference: A right program.
        compare: The policy of the data set's own grader.
        meta: More of it, limits for each test among it.
    """
    meta = dict(meta or {})
    if usual := _GRADER_SECONDS.get(compare or ""):
        meta["cpu_s"] = max(usual, meta.get("cpu_s", 0.0))
    platform = platform_of(starter, entry_point) if entry_point else None
    if starter.strip():
        question = f"{question.rstrip()}\n\nStart with:\n```python\n{starter.rstrip()}\n```\n"
    shown = tuple(public) or shown_tests(question, tests, entry_point) or tuple(tests[:1])
    split = {"split": origin.split} if origin.split else {}
    problem = Problem(
        task_id=f"{origin.group}/{task_id}",
        prompt=question,
        entry_point=entry_point,
        public_tests=compared(shown, compare),
        meta={**meta, **split},
        prelude=platform.prelude if platform else "",
    )
    return ProblemRow(problem, compared(tests, compare), reference)


def compared(tests: Tests, policy: str | None) -> tuple[Any, ...]:
    """Returns the tests with a policy of comparison, as far as they have one."""
    return tuple(
        replace(test, compare=policy) if policy and isinstance(test, CallTest | StdioTest) else test
        for test in tests
    )


def meta_of(raw: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Returns the fields of a row that say something, as JSON has them."""
    return {name: _plain(raw[name]) for name in names if raw.get(name)}


def limits_of(raw: Mapping[str, Any], time: str, memory: str) -> dict[str, Any]:
    """Returns the limits that a row states for each test, as ``meta`` has them.

    Raises:
        ProblemFileError: When one cannot be read.
    """
    cpu_s, size = seconds(raw.get(time), time), memory_bytes(raw.get(memory), memory)
    return {name: value for name, value in (("cpu_s", cpu_s), ("memory_bytes", size)) if value is not None}


def starter_of(raw: Mapping[str, Any]) -> str:
    """Returns the starter code of a row; empty if it has none."""
    return optional(raw, "starter_code", str)


def _plain(value: Any) -> Any:
    """Returns a value that JSON has; dates are texts."""
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
