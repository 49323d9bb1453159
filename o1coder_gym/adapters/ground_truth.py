"""Reads the tests of other frameworks' rows: verl's and its relatives', LiveCodeBench's, and this project's.

Their graders are lenient in ways that their data needs (a tuple for a list, numbers as text), so their tests
compare as the policy ``apps`` does; docs/verdicts.md has what each official grader accepts.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from o1coder_gym.adapters.scoring import GroundTruth
from o1coder_gym.problems.answers.programs import judged_by
from o1coder_gym.problems.formats.reading.fields import decoded, get, optional, wrong
from o1coder_gym.problems.formats.reading.io_tests import (
    Pairs,
    function_name,
    function_of,
    listed,
    pairs_of,
    stdio_tests,
)
from o1coder_gym.problems.formats.reading.test_code import called_by, parse_code, parse_test
from o1coder_gym.problems.rows import case_to_json, cases_from_json
from o1coder_gym.types import AssertTest, CallTest, Problem, TestCase

COMPARE = "apps"
FIELD = "ground_truth"
"""What errors call the tests as a whole."""


def read_ground_truth(raw: object) -> GroundTruth:
    """Reads the tests that programs are judged by.

    Args:
        raw: An object, or its JSON text. ``{inputs, outputs[, fn_name]}`` (verl, APPS, NeMo Gym; ScaleBox
            writes ``input`` and ``output``); ``{assert_case: […]}`` (verl); a list of
            ``{input, output[, testtype]}`` (LiveCodeBench); a list of asserts; or
            ``{tests[, entry_point, prelude, meta]}``, see `ground_truth_row`.

    Raises:
        ProblemFileError: When it is none of these; names the field.
    """
    value = decoded({FIELD: raw}, FIELD, (dict, list)) if isinstance(raw, str) else raw
    if isinstance(value, Mapping):
        if "tests" in value:
            return _native(value)
        if "assert_case" in value:
            return _asserts(get(value, "assert_case", list), "assert_case")
        if value.keys() & {"inputs", "input"}:
            return _pairs(pairs_of(value, FIELD), function_of(value, FIELD))
        there = ", ".join(map(str, value))
        raise wrong(FIELD, f"needs one of tests, inputs, assert_case; has {there}")
    if isinstance(value, Sequence) and value and not isinstance(value, str):
        if all(isinstance(test, str) for test in value):
            return _asserts(value, FIELD)
        return _pairs(pairs_of(value, FIELD), function_of(value, FIELD))
    raise wrong(FIELD, f"expected tests, got {str(value)[:60]!r}")


def ground_truth_of(problem: Problem, tests: Sequence[TestCase] = ()) -> GroundTruth:
    """Returns what a problem's public tests, and further ones, ask for."""
    return GroundTruth(
        (*problem.public_tests, *tests), problem.entry_point, problem.prelude, meta=judged_by(problem.meta)
    )


def ground_truth_row(truth: GroundTruth) -> dict[str, Any]:
    """Returns it as a JSON-able dict; `read_ground_truth` is its inverse, the usual limits aside.

    ``meta`` is there iff the problem says anything of its judging: a data set has no place for empty objects.
    """
    row = {
        "tests": [case_to_json(test) for test in truth.tests],
        "entry_point": truth.entry_point,
        "prelude": truth.prelude,
    }
    return row | ({"meta": dict(truth.meta)} if truth.meta else {})


def _native(value: Mapping[str, Any]) -> GroundTruth:
    name = value.get("entry_point")
    name = None if name is None else function_name(name, "entry_point")
    prelude = optional(value, "prelude", str)
    parse_code(prelude, "prelude")
    tests = cases_from_json(value["tests"], "tests")
    for number, test in enumerate(tests):
        if isinstance(test, AssertTest):
            parse_test(test.code, f"tests[{number}].code")
    return GroundTruth(tests, name, prelude, meta=_meta(value))


def _meta(value: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a row says of the judging, without the gaps that a data set of columns fills in."""
    try:
        return judged_by(optional(value, "meta", dict))
    except ValueError as error:
        raise wrong("meta", str(error)) from error


def _asserts(codes: Sequence[Any], field: str) -> GroundTruth:
    """Reads asserts; the function that they are about is the one that they all call."""
    for number, code in enumerate(codes):
        if not isinstance(code, str):
            raise wrong(f"{field}[{number}]", f"expected an assert, got {type(code).__name__}")
        parse_test(code, f"{field}[{number}]")
    called = [called_by(code) for code in codes]
    # The first function that all asserts call; helpers and builtins are mostly called by some alone.
    shared = [name for name in called[0] if all(name in names for names in called)] if called else []
    return GroundTruth(tuple(map(AssertTest, codes)), shared[0] if shared else None)


def _pairs(pairs: Pairs, function: str | None) -> GroundTruth:
    if function is None:
        streams = stdio_tests([(_stream(given), _stream(due)) for given, due in pairs], FIELD)
        return GroundTruth(tuple(replace(test, compare=COMPARE) for test in streams))
    calls = [
        CallTest(
            _literal(_arguments(given, f"{FIELD}.inputs[{number}]"), f"{FIELD}.inputs[{number}]"),
            _literal(_value(due), f"{FIELD}.outputs[{number}]"),
            compare=COMPARE,
        )
        for number, (given, due) in enumerate(pairs)
    ]
    return GroundTruth(tuple(calls), function)


def _literal(value: Any, name: str) -> str:
    """Returns a value as a literal; one that the judge does not take masks the score."""
    try:
        return repr(value)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; nested too deep
        raise wrong(name, f"has no literal: {error}") from error


def _stream(told: Any) -> Any:
    """Returns what is read or printed; SandboxFusion's cases name the file."""
    return told.get("stdin", told.get("stdout", "")) if isinstance(told, Mapping) else told


def _arguments(given: Any, name: str) -> list[Any]:
    """Returns the arguments of a call: a list as it is, of a text one argument a line."""
    if not isinstance(given, str):
        return listed(given, name)
    return [_value(line) for line in given.split("\n") if line.strip()]


def _value(text: Any) -> Any:
    """Returns the JSON value, or the Python literal, that a text writes; what is neither is the text."""
    if not isinstance(text, str):
        return text
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return text
