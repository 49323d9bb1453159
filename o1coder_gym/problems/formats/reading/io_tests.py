"""Tests that are pairs of input and output, in the shapes in which data sets keep them.

Two questions hide in a pair: which shape it is stored in (two lists, or a list of objects), and whether an
input of a function is the list of its arguments or the text of JSON lines, one argument a line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.formats.reading.fields import decoded, get, wrong
from o1coder_gym.problems.rows import is_name
from o1coder_gym.types import CallTest, StdioTest, TestCase

Pairs: TypeAlias = Sequence[tuple[Any, Any]]

Arguments: TypeAlias = Callable[[Any, str], list[Any]]
"""Reads the input of a call; is told the field for its message."""

_CALLED = ("functional", "function_call")


def pairs_of(cases: Mapping[str, Any] | Sequence[Any], name: str) -> list[tuple[Any, Any]]:
    """Returns input and output of each test.

    Args:
        cases: ``{"inputs": […], "outputs": […]}``, also in the singular, or ``[{"input": …, "output": …}]``.
        name: The field, for messages.

    Raises:
        ProblemFileError: When it is neither, or not as many inputs as outputs.
    """
    if isinstance(cases, Mapping):
        inputs, outputs = (_column(cases, one, name) for one in ("input", "output"))
        if len(inputs) != len(outputs):
            raise wrong(name, f"{len(inputs)} inputs and {len(outputs)} outputs; as many of each are needed")
        return list(zip(inputs, outputs, strict=True))
    pairs = []
    for index, case in enumerate(cases):
        if not isinstance(case, Mapping) or not {"input", "output"} <= case.keys():
            raise wrong(f"{name}[{index}]", "expected an object with input and output")
        pairs.append((case["input"], case["output"]))
    return pairs


def function_of(cases: Mapping[str, Any] | Sequence[Any], name: str) -> str | None:
    """Returns the function that the tests call, as they say it; None for whole programs.

    Raises:
        ProblemFileError: When it is not a name of a function.
    """
    case = (
        cases if isinstance(cases, Mapping) else next((one for one in cases if isinstance(one, Mapping)), {})
    )
    found = case.get("fn_name")
    if found is None and case.get("metadata"):
        found = decoded(case, "metadata", dict).get("func_name")
    if found is None:
        if case.get("type", case.get("testtype")) in _CALLED:
            raise wrong(f"{name}.fn_name", "missing, and the tests are calls")
        return None
    return function_name(found, f"{name}.fn_name")


def function_name(value: Any, name: str) -> str:
    """Returns the name of a function, or of a method of ``Solution``.

    Raises:
        ProblemFileError: When it is none.
    """
    if isinstance(value, str):
        method = value.rpartition(".")[2]
        if is_name(method):
            return method
    raise wrong(name, f"{value!r:.60} is not the name of a function")


def stdio_tests(pairs: Pairs, name: str) -> tuple[TestCase, ...]:
    """Returns the tests of whole programs; a list of lines is joined.

    Raises:
        ProblemFileError: When an input or output is neither text, a number nor a list of lines.
    """
    return tuple(
        StdioTest(_text(stdin, f"{name}.inputs[{index}]"), _text(stdout, f"{name}.outputs[{index}]"))
        for index, (stdin, stdout) in enumerate(pairs)
    )


def call_tests(pairs: Pairs, name: str, arguments: Arguments) -> tuple[TestCase, ...]:
    """Returns the tests of a function.

    Raises:
        ProblemFileError: When `arguments` cannot read an input.
    """
    tests = []
    for index, (given, expected) in enumerate(pairs):
        args = arguments(given, f"{name}.inputs[{index}]")
        if isinstance(given, str) and isinstance(expected, str):
            expected = _json(expected, f"{name}.outputs[{index}]")
        tests.append(CallTest(repr(args), repr(expected)))
    return tuple(tests)


def listed(value: Any, name: str) -> list[Any]:
    """Reads arguments that are a list."""
    if not isinstance(value, list):
        raise wrong(name, f"expected the list of a call's arguments, got {value!r:.60}")
    return value


def listed_or_lines(value: Any, name: str) -> list[Any]:
    """Reads arguments that are a list, or the text of JSON lines."""
    if not isinstance(value, str):
        return listed(value, name)
    return [_json(line, name) for line in value.split("\n") if line.strip()]


def io_tests(pairs: Pairs, function: str | None, name: str) -> tuple[TestCase, ...]:
    """Returns the tests of a function, or of a whole program where `function` is None; at least one.

    Raises:
        ProblemFileError: When there is none, or one cannot be read.
    """
    if not pairs:
        raise wrong(name, "has no tests")
    return call_tests(pairs, name, listed_or_lines) if function else stdio_tests(pairs, name)


def _column(cases: Mapping[str, Any], which: str, name: str) -> list[Any]:
    """Returns the inputs or the outputs, under their plural or their singular."""
    key = which if which in cases and f"{which}s" not in cases else f"{which}s"
    try:
        return get(cases, key, list)
    except ProblemFileError as error:
        raise ProblemFileError(str(error).replace("field '", f"field '{name}.", 1)) from error


def _text(value: Any, name: str) -> str:
    if isinstance(value, list):
        return "\n".join(_text(line, name) for line in value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong(name, f"expected text, got {type(value).__name__}")
    try:
        return str(value)
    except ValueError as error:  # a number of thousands of digits
        raise wrong(name, str(error)) from error


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise wrong(name, f"not JSON: {error}") from error
