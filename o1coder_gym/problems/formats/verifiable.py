"""Questions whose tests are a list of inputs and outputs: DeepCoder, PrimeIntellect, rStar-Coder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from o1coder_gym.problems.formats.reading.fields import decoded, get, optional, python3, wrong
from o1coder_gym.problems.formats.reading.io_tests import function_name, function_of, io_tests, pairs_of
from o1coder_gym.problems.formats.reading.question_row import meta_of, question_row, starter_of
from o1coder_gym.problems.formats.row_format import Origin, RowFormat
from o1coder_gym.problems.rows import ProblemRow

_LISTS = (list, dict)


def deepcoder(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Hidden: ``tests``, in the shapes of all four of its parts. Public: those shown, else the first."""
    cases = decoded(raw, "tests", _LISTS)
    function = function_of(cases, "tests")
    solutions = raw.get("solutions") or []
    return question_row(
        origin,
        raw.get("problem_id", origin.index),
        get(raw, "problem", str),
        io_tests(pairs_of(cases, "tests"), function, "tests"),
        entry_point=function,
        starter=starter_of(raw),
        reference=python3([solutions] if isinstance(solutions, str) else solutions, "solutions"),
        compare="livecodebench",
    )


def prime_intellect(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Hidden: ``test_cases`` of ``verification_info``. Public: those shown, else the first."""
    where = "verification_info"
    information = decoded(raw, where, dict)
    language = information.get("language") or "python"
    if str(language).lower() not in ("python", "python3"):
        raise wrong(f"{where}.language", f"{language!r} is not Python")
    cases, where = decoded(information, "test_cases", _LISTS), f"{where}.test_cases"
    function = function_of(cases, where)
    question = next((name for name in ("prompt", "problem_statement", "problem") if raw.get(name)), "prompt")
    reference = optional(raw, "gold_standard_solution", str)
    return question_row(
        origin,
        raw.get("problem_id", origin.index),
        get(raw, question, str),
        io_tests(pairs_of(cases, where), function, where),
        entry_point=function,
        reference=python3([reference] if reference.strip() else [], "gold_standard_solution"),
        compare="livecodebench",
        meta=meta_of(raw, "source", "in_source_id"),
    )


def rstar(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Hidden: ``inputs`` and ``outputs`` of a row with test cases. Public: those shown, else the first."""
    cases = {name: decoded(raw, name, list) for name in ("inputs", "outputs")}
    function = raw.get("func_name") or None
    if function is not None:
        function = function_name(function, "func_name")
    code = optional(raw, "code", str)
    return question_row(
        origin,
        get(raw, "question_id", (str, int)),
        get(raw, "question", str),
        io_tests(pairs_of(cases, "inputs"), function, "inputs"),
        entry_point=function,
        starter=starter_of(raw),
        reference=python3([code] if code.strip() else [], "code"),
        compare="livecodebench",
        meta=meta_of(raw, "test_case_type"),
    )


DEEPCODER = RowFormat(frozenset({"problem", "tests"}), deepcoder)
PRIME_INTELLECT = RowFormat(frozenset({"verification_info"}), prime_intellect)
RSTAR = RowFormat(frozenset({"question_id", "question", "inputs", "outputs"}), rstar)
