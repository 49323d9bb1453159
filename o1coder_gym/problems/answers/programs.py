"""The program that is run for an answer, and its limits, as the problem states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from o1coder_gym.problems.formats.predictions import INPUT, TASK, answer_program, asks_prediction
from o1coder_gym.problems.rows import stated_limits
from o1coder_gym.types import Limits, Problem, Submission, Tests


def submission(problem: Problem, written: str, tests: Tests, limits: Limits = Limits()) -> Submission:
    """Returns the submission of an answer: its `program_of`, on tests, within the problem's `limits_for`.

    Args:
        problem: The problem.
        written: A program, or an answer, untrusted.
        tests: The tests that it is run on.
        limits: The judge's usual ones.
    """
    program = program_of(problem, written)
    return Submission(
        program, problem.entry_point, tuple(tests), limits_for(problem, limits), problem.prelude
    )


def limits_for(problem: Problem, limits: Limits = Limits()) -> Limits:
    """Returns the limits for judging a problem: more where its ``meta`` says that the tests need it.

    These are ``cpu_s`` (CPU seconds for each test), ``memory_bytes`` and ``result_bytes``, as in `Limits`.

    Raises:
        ValueError: One of them is not a finite number above 0.
    """
    stated = stated_limits(problem.meta)
    cpu_s = max(limits.cpu_s, float(stated.get("cpu_s", 0)))
    return replace(
        limits,
        cpu_s=cpu_s,
        wall_s=max(limits.wall_s, 3 * cpu_s),
        memory_bytes=max(limits.memory_bytes, int(stated.get("memory_bytes", 0))),
        result_bytes=max(limits.result_bytes, int(stated.get("result_bytes", 0))),
    )


def judged_by(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what of a problem's ``meta`` decides how answers are judged: its limits, its kind of task.

    A row that carries the tests of a problem elsewhere carries this beside them.

    Raises:
        ValueError: A limit is not a finite number above 0, or the code whose input is asked for is no text.
    """
    asked = {TASK: meta[TASK]} if asks_prediction(meta) else {}
    if asked.get(TASK) == INPUT:
        if not isinstance(meta.get("code"), str):
            raise ValueError(f"code: expected the text of a program, got {meta.get('code')!r:.60}")
        asked["code"] = meta["code"]
    return stated_limits(meta) | asked


def program_of(problem: Problem, written: str) -> str:
    """Returns the program that the tests of a problem are run on.

    It is what was written; but for a problem that asks for a prediction it is one that gives the literal
    answer and does nothing else.

    Args:
        problem: The problem.
        written: A program, or an answer, untrusted.
    """
    return answer_program(problem, written) if asks_prediction(problem.meta) else written
