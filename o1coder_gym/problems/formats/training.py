"""Rows of training frameworks: verl's, read and written, and NeMo Gym's."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from o1coder_gym.problems.formats.reading.fields import decoded, get, optional, python3, unpacked, wrong
from o1coder_gym.problems.formats.reading.io_tests import function_of, io_tests, pairs_of
from o1coder_gym.problems.formats.reading.question_row import meta_of, question_row
from o1coder_gym.problems.formats.reading.test_code import parse_code
from o1coder_gym.problems.formats.row_format import Origin, RowFormat
from o1coder_gym.problems.rows import ProblemRow, problem_row_from_json, problem_row_to_json
from o1coder_gym.types import AssertTest, CallTest, CheckTest, StdioTest, TestCase, Tests

_NATIVE = "o1coder"
"""Key of ``extra_info`` under which a row of this project travels whole."""
_INFINITE = re.compile(r"\b(?:inf|nan)\b")


def verl(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Hidden: the ground truth, inputs and outputs or asserts. Public: those shown, else the first.

    A row that `to_verl` wrote is the row that it was given.
    """
    extra = optional(raw, "extra_info", dict)
    if isinstance(extra.get(_NATIVE), str):
        return problem_row_from_json(json.loads(extra[_NATIVE]))
    where = "reward_model.ground_truth"
    truth = decoded({where: get(raw, "reward_model", dict).get("ground_truth")}, where, (dict, list))
    asserts = truth.get("assert_case") if isinstance(truth, Mapping) else None
    function = _function_of(truth, where, asserts)
    tests = (
        _asserts(asserts, where) if asserts is not None else io_tests(pairs_of(truth, where), function, where)
    )
    reference = extra.get("reference")
    return question_row(
        origin,
        next(
            (extra[name] for name in ("question_id", "index", "id") if extra.get(name) is not None),
            origin.index,
        ),
        _messages(get(raw, "prompt", (list, str)), "prompt"),
        tests,
        entry_point=function,
        reference=python3(
            [reference] if isinstance(reference, str) and reference.strip() else [], "extra_info.reference"
        ),
        compare="livecodebench",
        meta=meta_of(raw, "data_source")
        | ({"split": extra["split"]} if isinstance(extra.get("split"), str) else {}),
    )


def _function_of(truth: Any, where: str, asserts: Any) -> str | None:
    found = function_of(truth, where)
    if asserts is not None and found is None:
        raise wrong(f"{where}.fn_name", "missing, and the tests are asserts")
    return found


def _asserts(codes: Any, where: str) -> tuple[AssertTest, ...]:
    if not isinstance(codes, list) or not codes:
        raise wrong(f"{where}.assert_case", "expected a list of asserts")
    for index, code in enumerate(codes):
        parse_code(str(code), f"{where}.assert_case[{index}]")
    return tuple(AssertTest(str(code)) for code in codes)


def to_verl(
    row: ProblemRow, index: int, *, hidden: bool = False, data_source: str = _NATIVE
) -> dict[str, Any]:
    """Returns a row as verl's trainers take it, for Parquet or JSONL; `verl` reads it back.

    The ground truth is inputs and outputs, as verl's own scorer reads them, where JSON can hold all tests;
    else asserts. The row itself travels in ``extra_info`` as JSON text.

    Args:
        row: The problem.
        index: Its number in the file.
        hidden: Writes the hidden tests and the reference too, for evaluation; without it, as for training,
            the public tests alone.
        data_source: By which verl chooses the scorer.

    Raises:
        ProblemFileError: When a test is neither a pair of input and output nor code.
    """
    if not hidden:
        row = ProblemRow(row.problem, row.problem.public_tests)
    problem = row.problem
    truth = _ground_truth(row.tests, problem.entry_point)
    return {
        "data_source": data_source,
        "prompt": [{"role": "user", "content": problem.prompt}],
        "ability": "code",
        "reward_model": {"style": "rule", "ground_truth": json.dumps(truth, ensure_ascii=False)},
        "extra_info": {
            "index": index,
            "question_id": problem.task_id,
            "split": str(problem.meta.get("split", "")),
            _NATIVE: json.dumps(problem_row_to_json(row), ensure_ascii=False),
        },
    }


def _ground_truth(tests: Tests, function: str | None) -> dict[str, Any]:
    stdio = [test for test in tests if isinstance(test, StdioTest)]
    if function is None:
        if len(stdio) < len(tests):
            raise wrong("tests", "verl's rows have no place for checkers")
        return {"inputs": [test.stdin for test in stdio], "outputs": [test.stdout for test in stdio]}
    calls = [_as_json(test) for test in tests]
    if all(calls):
        inputs, outputs = zip(*(call for call in calls if call), strict=True) if calls else ((), ())
        return {"fn_name": function, "inputs": list(inputs), "outputs": list(outputs)}
    return {"fn_name": function, "assert_case": [_as_assert(test, function) for test in tests]}


def _as_json(test: TestCase) -> tuple[str, str] | None:
    """Returns a call as JSON lines and JSON; None where JSON would change a value."""
    if not isinstance(test, CallTest):
        return None
    try:
        args, expected = ast.literal_eval(test.args), ast.literal_eval(test.expected)
        lines, answer = (
            [json.dumps(one, allow_nan=False) for one in args],
            json.dumps(expected, allow_nan=False),
        )
    except (TypeError, ValueError):
        return None
    kept = [*map(json.loads, lines), json.loads(answer)]
    return ("\n".join(lines), answer) if repr(kept) == repr([*args, expected]) else None


def _as_assert(test: TestCase, function: str) -> str:
    match test:
        case CallTest(args, expected):
            names = "from math import inf, nan\n" if _INFINITE.search(f"{args} {expected}") else ""
            return f"{names}assert {function}(*{args}) == {expected}"
        case CheckTest(code):
            return f"{code.rstrip()}\n\ncheck({function})\n"
        case AssertTest(code):
            return code
        case _:
            raise wrong("tests", "verl's rows have no place for such a test of a function")


def nemo_gym(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Hidden: ``verifier_metadata.unit_tests``, packed or not. Public: those shown, else the first."""
    where = "verifier_metadata.unit_tests"
    cases = decoded({where: get(raw, "verifier_metadata", dict).get("unit_tests")}, where, dict)
    if "packed" in cases:
        cases = {**_unpacked(get(cases, "packed", str), where), "fn_name": cases.get("fn_name")}
    function = function_of(cases, where)
    return question_row(
        origin,
        next((raw[name] for name in ("hash_id", "uuid", "id") if raw.get(name) is not None), origin.index),
        _messages(
            get(get(raw, "responses_create_params", dict), "input", (list, str)),
            "responses_create_params.input",
        ),
        io_tests(pairs_of(cases, where), function, where),
        entry_point=function,
        compare="livecodebench",
        meta=meta_of(raw, "dataset", "source"),
    )


def _unpacked(packed: str, where: str) -> dict[str, Any]:
    """Unpacks base64 of zlib of JSON."""
    try:
        value = json.loads(unpacked(packed))
    except ValueError as error:
        raise wrong(where, f"cannot be unpacked: {error}") from error
    return get({where: value}, where, dict)


def _messages(messages: Sequence[Any] | str, name: str) -> str:
    """Returns what the user says in a conversation; system prompts ask for a form of answer."""
    if isinstance(messages, str):
        return messages
    said = []
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise wrong(f"{name}[{index}]", "expected a message")
        if message.get("role", "user") == "user":
            said.append(_content(message.get("content"), f"{name}[{index}].content"))
    if not said:
        raise wrong(name, "the user says nothing")
    return "\n\n".join(said)


def _content(content: Any, name: str) -> str:
    if isinstance(content, list):
        return "".join(
            get(part, "text", str) for part in content if isinstance(part, Mapping) and "text" in part
        )
    if not isinstance(content, str):
        raise wrong(name, f"unexpected {type(content).__name__}")
    return content


VERL = RowFormat(frozenset({"data_source", "prompt", "reward_model"}), verl)
NEMO_GYM = RowFormat(frozenset({"responses_create_params", "verifier_metadata"}), nemo_gym)
