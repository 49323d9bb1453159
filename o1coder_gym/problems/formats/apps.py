"""APPS (Hendrycks et al. 2021), TACO (Li et al. 2023) and what keeps their rows, TACO-verified among it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from o1coder_gym.problems.formats.reading.fields import decoded, get, python3, wrong
from o1coder_gym.problems.formats.reading.io_tests import (
    call_tests,
    function_of,
    listed,
    pairs_of,
    stdio_tests,
)
from o1coder_gym.problems.formats.reading.question_row import limits_of, meta_of, question_row, starter_of
from o1coder_gym.problems.formats.row_format import Origin, RowFormat
from o1coder_gym.problems.rows import ProblemRow

_TESTS = "input_output"


def apps(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Public: the tests that the question shows, else the first. Hidden: all of ``input_output``.

    With ``fn_name`` the tests are calls, and an answer that every test wraps in a list of one is taken out
    of it (TACO's habit); without, programs read standard input.
    """
    return _row(raw, origin, "apps")


def taco(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """APPS's row with TACO's fields and TACO's way of comparing."""
    return _row(raw, origin, "taco")


def _row(raw: Mapping[str, Any], origin: Origin, compare: str) -> ProblemRow:
    cases, solutions = decoded(raw, _TESTS, dict), decoded(raw, "solutions", (list, type(None))) or []
    pairs, function = pairs_of(cases, _TESTS), function_of(cases, _TESTS)
    if not pairs:
        raise wrong(_TESTS, "has no tests")
    if function and all(isinstance(output, list) and len(output) == 1 for _, output in pairs):
        pairs = [(given, output[0]) for given, output in pairs]
    tests = call_tests(pairs, _TESTS, listed) if function else stdio_tests(pairs, _TESTS)
    return question_row(
        origin,
        raw.get("problem_id", raw.get("id", origin.index)),
        get(raw, "question", str),
        tests,
        entry_point=function,
        starter=starter_of(raw),
        reference=python3(solutions, "solutions"),
        compare=compare,
        meta=meta_of(raw, "difficulty", "source", "url", "tags")
        | limits_of(raw, "time_limit", "memory_limit"),
    )


APPS = RowFormat(frozenset({"question", "input_output"}), apps)
TACO = RowFormat(frozenset({"question", "input_output", "skill_types"}), taco)
