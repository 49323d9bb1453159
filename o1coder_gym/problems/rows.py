"""One problem as one JSON object: the schema of problem files, read strictly (docs/problems.md)."""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any, TypeVar

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.sandbox.values import literals, policies
from o1coder_gym.types import AssertTest, CallTest, CheckerTest, CheckTest, Problem, StdioTest, TestCase

_Value = TypeVar("_Value")
_FIELDS = ("task_id", "prompt", "entry_point", "public_tests", "tests", "reference", "meta", "prelude")
_OPTIONAL_FIELDS = ("entry_point", "public_tests", "reference", "meta", "prelude")
_HIDDEN = ("tests", "reference")

LIMITS = ("cpu_s", "memory_bytes", "result_bytes")
"""Keys of ``meta`` that raise a limit of the judge."""

LEFT_OUT = "left_out"
"""Field that names what a row was shown without; no row of a problem file has it."""


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """A problem with the parts that environments and agents must not see.

    Attributes:
        problem: The public part.
        tests: Hidden tests, which decide whether a program is right.
        reference: A program that passes all tests; None where there is none.
    """

    problem: Problem
    tests: tuple[TestCase, ...]
    reference: str | None = None


def problem_row_to_json(row: ProblemRow) -> dict[str, Any]:
    """Returns the JSON-able object of a row; `problem_row_from_json` is its inverse."""
    problem = row.problem
    return {
        "task_id": problem.task_id,
        "prompt": problem.prompt,
        "entry_point": problem.entry_point,
        "public_tests": [case_to_json(test) for test in problem.public_tests],
        "tests": [case_to_json(test) for test in row.tests],
        "reference": row.reference,
        "meta": dict(problem.meta),
        **_given({"prelude": problem.prelude or None}),
    }


def stated_limits(meta: Mapping[str, Any]) -> dict[str, float]:
    """Returns the limits that a problem's ``meta`` raises, by their names in `LIMITS`; others are missing.

    Raises:
        ValueError: One is not a finite number above 0.
    """
    limits = {name: meta[name] for name in LIMITS if meta.get(name) is not None}
    for name, limit in limits.items():
        number = isinstance(limit, int | float) and not isinstance(limit, bool)
        if not number or not 0 < limit < math.inf:
            raise ValueError(f"{name}: expected a number > 0, got {limit!r:.60}")
    return limits


def public_row_to_json(row: ProblemRow) -> dict[str, Any]:
    """Returns the object of a row without hidden parts, marked so that problem files refuse it.

    An empty list of hidden tests would not do, for that is a problem which nothing solves.
    """
    fields = problem_row_to_json(row)
    return {name: value for name, value in fields.items() if name not in _HIDDEN} | {LEFT_OUT: list(_HIDDEN)}


def problem_row_from_json(raw: object) -> ProblemRow:
    """Reads one object of a problem file.

    Raises:
        ProblemFileError: When the object is not a row; the message begins with the field.
    """
    if isinstance(raw, Mapping) and LEFT_OUT in raw:
        reason = "was left out when the row was shown; o1coder data show --json --hidden has it"
        raise ProblemFileError(f"field 'tests': {reason}")
    fields = _fields(raw, _FIELDS, _OPTIONAL_FIELDS)
    entry_point = _read(fields, "entry_point", _optional(_identifier))
    row = ProblemRow(
        problem=Problem(
            task_id=_read(fields, "task_id", _text),
            prompt=_read(fields, "prompt", _text),
            entry_point=entry_point,
            public_tests=cases_from_json(fields["public_tests"], "public_tests"),
            meta=_read(fields, "meta", _meta),
            prelude=_read(fields, "prelude", _optional(_program)) or "",
        ),
        tests=cases_from_json(fields["tests"], "tests"),
        reference=_read(fields, "reference", _optional(_text)),
    )
    for name, tests in (("public_tests", row.problem.public_tests), ("tests", row.tests)):
        for index, test in enumerate(tests):
            if isinstance(test, StdioTest | CheckerTest) != (entry_point is None):
                rule = "stdio tests go with entry_point null, other tests with a name"
                raise ProblemFileError(f"field '{name}[{index}].kind': {rule}")
    return row


def case_to_json(test: TestCase) -> dict[str, Any]:
    """Returns the JSON-able object of a test; `case_from_json` is its inverse."""
    match test:
        case CallTest(args, expected, tol, compare):
            optional = {"tol": tol, "compare": compare}
            return {"kind": "call", "args": args, "expected": expected, **_given(optional)}
        case AssertTest(code):
            return {"kind": "assert", "code": code}
        case CheckTest(code):
            return {"kind": "check", "code": code}
        case StdioTest(stdin, stdout, compare):
            return {"kind": "stdio", "stdin": stdin, "stdout": stdout, **_given({"compare": compare})}
        case CheckerTest(stdin, checker, stdout):
            optional = {"stdout": stdout or None}
            return {"kind": "checker", "stdin": stdin, "checker": checker, **_given(optional)}


def case_from_json(raw: object) -> TestCase:
    """Reads one test; a text alone is an assertion.

    Raises:
        ProblemFileError: When the object is not a test; the message begins with the field.
    """
    if isinstance(raw, str):
        raw = {"kind": "assert", "code": raw}
    if not isinstance(raw, Mapping):
        raise ProblemFileError(f"expected an object or an assertion, got {_kind(raw)}")
    kind = raw.get("kind")
    match kind:
        case "call":
            optional = ("tol", "compare")
            fields = _fields(raw, ("kind", "args", "expected", *optional), optional)
            args, expected = _read(fields, "args", _literal_list), _read(fields, "expected", _literal)
            tol = _read(fields, "tol", _optional(_tolerance))
            return CallTest(args, expected, tol, _read(fields, "compare", _optional(_policy)))
        case "assert":
            return AssertTest(_read(_fields(raw, ("kind", "code")), "code", _program))
        case "check":
            return CheckTest(_read(_fields(raw, ("kind", "code")), "code", _check_program))
        case "stdio":
            fields = _fields(raw, ("kind", "stdin", "stdout", "compare"), ("compare",))
            stdin, stdout = _read(fields, "stdin", _string), _read(fields, "stdout", _string)
            return StdioTest(stdin, stdout, _read(fields, "compare", _optional(_policy)))
        case "checker":
            fields = _fields(raw, ("kind", "stdin", "checker", "stdout"), ("stdout",))
            stdin, checker = _read(fields, "stdin", _string), _read(fields, "checker", _program)
            return CheckerTest(stdin, checker, _read(fields, "stdout", _optional(_string)) or "")
        case _:
            known = "assert, call, check, checker, stdio"
            raise ProblemFileError(f"field 'kind': unknown kind {kind!r}; known: {known}")


def _given(optional: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that have a value."""
    return {name: value for name, value in optional.items() if value is not None}


def _fields(raw: object, known: tuple[str, ...], optional: tuple[str, ...] = ()) -> Mapping[str, object]:
    """Returns the object with its optional fields filled in; refuses unknown and missing ones."""
    if not isinstance(raw, Mapping):
        raise ProblemFileError(f"expected an object, got {_kind(raw)}")
    for name in raw:
        if name not in known:
            raise ProblemFileError(f"field {name!r}: unknown; known: {', '.join(known)}")
    for name in known:
        if name not in raw and name not in optional:
            raise ProblemFileError(f"field {name!r}: missing")
    return {name: raw.get(name) for name in known}


def _read(fields: Mapping[str, object], name: str, reader: Callable[[object], _Value]) -> _Value:
    """Reads one field; errors name it."""
    try:
        return reader(fields[name])
    except ValueError as error:
        raise ProblemFileError(f"field {name!r}: {error}") from error


def cases_from_json(raw: object, name: str) -> tuple[TestCase, ...]:
    """Reads tests; an empty value has none.

    Args:
        raw: A list of what `case_from_json` reads, or None.
        name: The field that holds it, for messages.

    Raises:
        ProblemFileError: When it is not a list of tests; the message begins with the field.
    """
    raw = [] if raw is None else raw
    if not isinstance(raw, list):
        raise ProblemFileError(f"field {name!r}: expected a list, got {_kind(raw)}")
    tests = []
    for index, item in enumerate(raw):
        try:
            tests.append(case_from_json(item))
        except ProblemFileError as error:
            message = str(error).replace("field '", f"field '{name}[{index}].", 1)
            if not message.startswith("field"):
                message = f"field '{name}[{index}]': {message}"
            raise ProblemFileError(message) from error
    return tuple(tests)


def _optional(reader: Callable[[object], _Value]) -> Callable[[object], _Value | None]:
    return lambda value: None if value is None else reader(value)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a string, got {_kind(value)}")
    value.encode()  # raises a ValueError for lone surrogates, which no program can be given
    return value


def _text(value: object) -> str:
    if not _string(value).strip():
        raise ValueError("is empty")
    return _string(value)


def is_name(text: str) -> bool:
    """Returns whether a Python function can have this name, as an entry point needs."""
    return text.isidentifier() and not iskeyword(text)


def _identifier(value: object) -> str:
    if not is_name(_string(value)):
        raise ValueError(f"{value!r} is not a Python name")
    return _string(value)


def _meta(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"expected an object, got {_kind(value)}")
    stated_limits(value)
    return dict(value)


def _tolerance(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"expected a number ≥ 0, got {value!r}")
    return float(value)


def _policy(value: object) -> str:
    policies.named(_string(value))
    return _string(value)


def _literal_type(value: object) -> type:
    # Nothing is cached: hidden tests are read here, and a cache would keep them within reach of agents.
    text = _string(value)
    with suppress(ValueError):  # nearly all are: the problem set micro is read in a quarter of the time
        return type(literals.read_json_literal(text))
    try:
        with warnings.catch_warnings(action="ignore"):
            return type(ast.literal_eval(literals.with_short_numbers(text)))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        # The judge knows more of them, such as `inf` and `Fraction(1, 3)`, but none nested as deep.
        try:
            return list if literals.encode_literal(text).startswith("[") else object
        except ValueError:
            raise ValueError(f"not a Python literal: {text[:60]!r}") from error


def _literal(value: object) -> str:
    _literal_type(value)
    return _string(value)


def _literal_list(value: object) -> str:
    if _literal_type(value) is not list:
        raise ValueError(f"not the Python literal of a list: {str(value)[:60]!r}")
    return _string(value)


def _program(value: object) -> str:
    if not _parsed(value).body:
        raise ValueError("does nothing: every program would pass it")
    return _string(value)


def _check_program(value: object) -> str:
    functions = [node.name for node in _parsed(value).body if isinstance(node, ast.FunctionDef)]
    if "check" not in functions:
        raise ValueError("does not define check(candidate)")
    return _string(value)


def _parsed(value: object) -> ast.Module:
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(literals.with_short_numbers(_text(value)))
    except SyntaxError as error:
        raise ValueError(f"not Python: {error.msg} (line {error.lineno})") from error
    except (RecursionError, MemoryError) as error:
        raise ValueError("not Python: nested too deep") from error


def _kind(value: object) -> str:
    """Returns the JSON name of a value's type."""
    names = {bool: "a boolean", str: "a string", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), "a number")


SPLITS = ("train", "validation")
"""Of the problems of a training; `likeness.identity.split_of` says which one a problem is in."""
