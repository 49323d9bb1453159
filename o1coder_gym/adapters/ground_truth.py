"""Reads the tests of other frameworks' rows: verl's and its relatives', LiveCodeBench's, and this project's.

Their graders are lenient in ways that their data needs (a tuple for a list, numbers as text), so their tests
compare as the policy ``apps`` does; docs/verdicts.md has what each official grader accepts.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any

from o1coder_gym.adapters.scoring import GroundTruth
from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.formats.reading.test_code import called_by, parse_code
from o1coder_gym.problems.rows import case_from_json, case_to_json
from o1coder_gym.types import AssertTest, CallTest, Problem, StdioTest, TestCase

COMPARE = "apps"


def read_ground_truth(raw: object) -> GroundTruth:
    """Reads what programs are judged by.

    Args:
        raw: An object, or its JSON text. ``{inputs, outputs[, fn_name]}`` (verl, APPS, NeMo Gym; ScaleBox
            writes ``input`` and ``output``); ``{assert_case: […]}`` (verl); a list of
            ``{input, output[, testtype]}`` (LiveCodeBench); a list of asserts; or
            ``{tests[, entry_point, prelude]}``, see `ground_truth_row`.

    Raises:
        ProblemFileError: When it is none of these; names the field.
    """
    value = _decoded(raw)
    if isinstance(value, Mapping):
        if "tests" in value:
            return _native(value)
        if "assert_case" in value:
            return _asserts(_list(value, "assert_case"), "assert_case")
        for given, due in (("inputs", "outputs"), ("input", "output")):
            if given in value:
                return _pairs(_list(value, given), _list(value, due), value.get("fn_name"))
        known = "tests, inputs, assert_case"
        raise ProblemFileError(
            f"field 'ground_truth': needs one of {known}; has {', '.join(map(str, value))}"
        )
    if isinstance(value, Sequence) and value and not isinstance(value, str):
        if all(isinstance(test, str) for test in value):
            return _asserts(value, "ground_truth")
        return _cases(value)
    raise ProblemFileError(f"field 'ground_truth': expected tests, got {str(value)[:60]!r}")


def ground_truth_of(problem: Problem, tests: Sequence[TestCase] = ()) -> GroundTruth:
    """Returns what a problem's public tests, and further ones, ask for."""
    return GroundTruth((*problem.public_tests, *tests), problem.entry_point, problem.prelude)


def ground_truth_row(truth: GroundTruth) -> dict[str, Any]:
    """Returns it as a JSON-able dict; `read_ground_truth` is its inverse, limits aside."""
    return {
        "tests": [case_to_json(test) for test in truth.tests],
        "entry_point": truth.entry_point,
        "prelude": truth.prelude,
    }


def _decoded(raw: object) -> object:
    if not isinstance(raw, str):
        return raw
    try:
        return json.loads(raw)
    except ValueError as error:
        raise ProblemFileError(f"field 'ground_truth': not JSON: {error}") from error


def _native(value: Mapping[str, Any]) -> GroundTruth:
    tests = tuple(case_from_json(test) for test in _list(value, "tests"))
    return GroundTruth(tests, value.get("entry_point"), value.get("prelude") or "")


def _asserts(codes: Sequence[Any], field: str) -> GroundTruth:
    """Reads asserts; the function that they are about is the one that they all call."""
    for code in codes:
        if not isinstance(code, str):
            raise ProblemFileError(f"field {field!r}: expected asserts, got {type(code).__name__}")
        parse_code(code, field)
    called = [called_by(code) for code in codes]
    # The first function that all asserts call; helpers and builtins are mostly called by some alone.
    shared = [name for name in called[0] if all(name in names for names in called)] if called else []
    return GroundTruth(tuple(map(AssertTest, codes)), shared[0] if shared else None)


def _cases(cases: Sequence[Any]) -> GroundTruth:
    """Reads LiveCodeBench's cases; a functional one names its function in its metadata."""
    for number, case in enumerate(cases):
        if not isinstance(case, Mapping) or not {"input", "output"} <= case.keys():
            raise ProblemFileError(f"field 'ground_truth[{number}]': expected input and output")
    names = [(case.get("metadata") or {}).get("func_name") or case.get("fn_name") for case in cases]
    streams = [{**case, **_streams(case)} for case in cases]
    return _pairs([case["input"] for case in streams], [case["output"] for case in streams], names[0])


def _streams(case: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the streams of a case that names its files, as SandboxFusion's do."""
    return {
        field: case[field].get(stream, "")
        for field, stream in (("input", "stdin"), ("output", "stdout"))
        if isinstance(case[field], Mapping)
    }


def _pairs(inputs: Sequence[Any], outputs: Sequence[Any], fn_name: str | None) -> GroundTruth:
    if len(inputs) != len(outputs):
        raise ProblemFileError(f"field 'outputs': {len(outputs)} for {len(inputs)} inputs")
    pairs = list(zip(inputs, outputs, strict=True))
    if not fn_name:
        return GroundTruth(tuple(StdioTest(_text(given), _text(due), COMPARE) for given, due in pairs))
    calls = tuple(
        CallTest(repr(_arguments(given)), repr(_value(due)), compare=COMPARE) for given, due in pairs
    )
    return GroundTruth(calls, fn_name)


def _text(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _arguments(given: Any) -> list[Any]:
    """Returns the arguments of a call: a list as it is, of a text one argument a line."""
    return [_value(line) for line in given.splitlines()] if isinstance(given, str) else list(given)


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


def _list(value: Mapping[str, Any], field: str) -> list[Any]:
    found = value.get(field)
    if not isinstance(found, list):
        raise ProblemFileError(f"field {field!r}: expected a list, got {type(found).__name__}")
    return found
