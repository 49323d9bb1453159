"""Rows of the public benchmarks, turned into this project's rows: HumanEval, MBPP, EvalPlus, APPS / TACO.

Each converter says what of a benchmark's row is public and what is hidden. Sources: HumanEval (Chen et al.
2021), MBPP (Austin et al. 2021), EvalPlus (Liu et al. 2023), APPS (Hendrycks et al. 2021), TACO (Li et al.
2023).
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from o1coder_gym import registry
from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.docstring_examples import docstring_examples
from o1coder_gym.problems.reference_checks import reference_check
from o1coder_gym.problems.rows import ProblemRow, problem_row_from_json
from o1coder_gym.problems.test_code import (
    called_function,
    calls_of,
    checked_calls,
    compared_view,
    helpers_for,
    missing_imports,
    parse_code,
)
from o1coder_gym.types import AssertTest, CallTest, CheckerTest, CheckTest, Problem, StdioTest, TestCase

_Value = TypeVar("_Value")
_NUMBERS = (int, float, complex)
_PLUS_META = {"cpu_s": 30.0}
_MBPP_SPLITS = ((10, "prompt"), (510, "test"), (600, "validation"), (974, "train"))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a raw row stands, for rows that carry no id or split of their own.

    Attributes:
        group: Name of the file or set.
        index: Number of the row in it, from 0.
        split: Split that the source itself names, None if it does not.
    """

    group: str
    index: int
    split: str | None = None


Converter: TypeAlias = Callable[[Mapping[str, Any], Origin], ProblemRow]


def native(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Reads a row of this project's own schema."""
    return problem_row_from_json(raw)


def humaneval(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Public: the docstring's examples. Hidden: ``check(candidate)``.

    An example that the check contradicts (there are six in HumanEval) is not public. The Hub's HumanEval+
    has this form too, with EvalPlus's inputs and outputs in the check.
    """
    prompt, entry_point = _get(raw, "prompt", str), _get(raw, "entry_point", str)
    check = _get(raw, "test", str)
    reference = prompt + _get(raw, "canonical_solution", str)
    known = checked_calls(check)
    examples = [
        test
        for test in docstring_examples(prompt, entry_point)
        if test.args not in known or known[test.args] == ast.literal_eval(test.expected)
    ]
    return ProblemRow(
        problem=Problem(
            task_id=_get(raw, "task_id", str),
            prompt=prompt,
            entry_point=entry_point,
            public_tests=tuple(examples),
            meta={"split": "test", **(_PLUS_META if origin.group.startswith("humaneval+") else {})},
        ),
        tests=(CheckTest(helpers_for(check, reference, entry_point) + check),),
        reference=reference,
    )


def humaneval_plus(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Hidden: HumanEval's check, and equality with the reference on EvalPlus's inputs.

    Where many answers are right, the property that defines them stands for equality.
    """
    row = humaneval(raw, origin)
    entry_point = _get(raw, "entry_point", str)
    reference = _get(raw, "prompt", str) + _get(raw, "canonical_solution", str)
    property_of = {"find_zero": "abs(names['poly'](*arguments, got)) <= tolerance"}
    plus = reference_check(
        reference=reference,
        entry_point=entry_point,
        inputs=[*_get(raw, "base_input", list), *_get(raw, "plus_input", list)],
        tolerance=_get(raw, "atol", (int, float)) or 1e-6,
        accept=property_of.get(entry_point),
    )
    problem = replace(row.problem, meta={**row.problem.meta, **_PLUS_META})
    return ProblemRow(problem, (*row.tests, CheckTest(plus)), row.reference)


def mbpp(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Public: the first assert, which the prompt shows. Hidden: all asserts of ``test_list``.

    The challenge asserts of the full set are left out, as is usual. The Hub's MBPP+ has this form too, with
    one program more that holds EvalPlus's inputs and outputs.
    """
    number, reference = _get(raw, "task_id", int), _get(raw, "code", str).replace("\r\n", "\n")
    text = _get(raw, "prompt" if "prompt" in raw else "text", str)
    asserts = [code.strip() for code in _get(raw, "test_list", list)]
    setup = [*raw.get("test_imports", ()), raw.get("test_setup_code", "").replace("\r\n", "\n")]
    tests = _assert_tests(asserts, setup)
    if "test" not in raw:
        return _mbpp_row(number, text, asserts, tests, reference)
    plus = AssertTest(_get(raw, "test", str))
    return _mbpp_row(number, text, asserts, (*tests, plus), reference, _PLUS_META)


def mbpp_plus(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Hidden: MBPP's asserts, and agreement with the reference on EvalPlus's inputs.

    EvalPlus keeps inputs as JSON; tuples, sets and complex numbers are restored after the arguments in the
    asserts. An assert that compares sets, or only truth, makes the agreement be one of sets or of truth.
    """
    reference, text = _get(raw, "canonical_solution", str), _get(raw, "prompt", str)
    nodes = parse_code(_get(raw, "assertion", str), "assertion").body
    asserts = [ast.unparse(node) for node in nodes if isinstance(node, ast.Assert)]
    imports = [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    entry_point = _get(raw, "entry_point", str)
    text = text.strip().removeprefix('"""').strip().split("\n", 1)[0]
    examples = list(calls_of(asserts, entry_point))
    inputs = [
        [
            _restore(value, [args[place] for args in examples if place < len(args)])
            for place, value in enumerate(args)
        ]
        for args in _get(raw, "plus_input", (list, dict))
    ]
    plus = reference_check(
        reference=reference,
        entry_point=entry_point,
        inputs=inputs,
        tolerance=_get(raw, "atol", (int, float)) or 1e-6,
        view=compared_view(asserts),
    )
    number = int(_get(raw, "task_id", str).rpartition("/")[2])
    tests = (*_assert_tests(asserts, imports), CheckTest(plus))
    return _mbpp_row(number, text, asserts, tests, reference, _PLUS_META)


def apps(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Public: the tests that the question shows, else the first. Hidden: all of ``input_output``.

    With ``fn_name`` the tests are calls, and an answer that every test wraps in a list of one is taken out
    of it (TACO's habit); without, programs read standard input.
    """
    question, starter = _get(raw, "question", str), raw.get("starter_code") or ""
    cases, solutions = _decoded(raw, "input_output", dict), _decoded(raw, "solutions", list)
    inputs, outputs = _get(cases, "inputs", list), _get(cases, "outputs", list)
    if len(inputs) != len(outputs) or not inputs:
        raise ProblemFileError("field 'input_output': as many inputs as outputs are needed, and at least one")
    entry_point = cases.get("fn_name")
    tests = _call_tests(inputs, outputs) if entry_point else _stdio_tests(inputs, outputs)
    public = tuple(test for test in tests if _is_shown(test, question)) or tests[:1]
    if starter.strip():
        question = f"{question.rstrip()}\n\nStart with:\n```python\n{starter.rstrip()}\n```\n"
    names = ("difficulty", "source", "url", "tags")
    meta = {name: raw[name] for name in names if raw.get(name)}
    if origin.split:
        meta["split"] = origin.split
    task_id = raw.get("problem_id", raw.get("id", origin.index))
    return ProblemRow(
        Problem(f"{origin.group}/{task_id}", question, entry_point, public, meta),
        tests,
        solutions[0] if solutions else None,
    )


@dataclass(frozen=True, slots=True)
class RowFormat:
    """A format of problem files.

    Attributes:
        fields: Names by which a row's format is told; empty: it is never told by them.
        convert: Turns a row into this project's.
    """

    fields: frozenset[str]
    convert: Converter


NATIVE = RowFormat(frozenset(), native)
HUMANEVAL = RowFormat(frozenset({"canonical_solution", "test", "entry_point"}), humaneval)
HUMANEVAL_PLUS = RowFormat(frozenset({"plus_input", "test"}), humaneval_plus)
MBPP = RowFormat(frozenset({"code", "test_list"}), mbpp)
MBPP_PLUS = RowFormat(frozenset({"plus_input", "assertion"}), mbpp_plus)
APPS = RowFormat(frozenset({"question", "input_output"}), apps)


def converter_for(raw: object) -> Converter:
    """Tells the format of a file from its first row; `native` when it is no registered one's.

    Those of this project come first, so that no installed package changes how their files are read.
    """
    if isinstance(raw, Mapping):
        for row_format in registry.usable("problems"):
            if row_format.fields and row_format.fields <= raw.keys():
                return row_format.convert
    return native


def _mbpp_row(
    number: int,
    text: str,
    asserts: list[str],
    tests: tuple[TestCase, ...],
    reference: str,
    meta: Mapping[str, Any] | None = None,
) -> ProblemRow:
    if not asserts:
        raise ProblemFileError("field 'test_list': is empty")
    split = next((name for last, name in _MBPP_SPLITS if number <= last), "test")
    problem = Problem(
        task_id=f"Mbpp/{number}",
        prompt=f"{text.strip()}\n{asserts[0]}\n",
        entry_point=called_function(asserts[0], reference),
        public_tests=tests[:1],
        meta={"split": split, **(meta or {})},
    )
    return ProblemRow(problem, tests, reference)


def _assert_tests(asserts: Iterable[str], setup: Iterable[str]) -> tuple[TestCase, ...]:
    """Returns each assert after its set-up; some lean on modules that only their reference imports."""
    lines = [line for line in setup if line.strip()]
    programs = ["\n".join([*lines, code]) for code in asserts]
    return tuple(AssertTest("\n".join([*missing_imports(code), code])) for code in programs)


def _restore(value: Any, examples: list[Any], outer: type = list) -> Any:
    """Gives a JSON value the types that the examples at its place have, `outer` where there are none."""
    if isinstance(value, str) and examples and all(isinstance(example, _NUMBERS) for example in examples):
        return _number(value)
    if isinstance(value, dict):
        inner = [item for example in examples if isinstance(example, dict) for item in example.values()]
        return {key: _restore(item, inner) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    alike = [example for example in examples if isinstance(example, list | tuple | set)]
    kinds = {type(example) for example in alike} or {outer}
    kind = kinds.pop() if len(kinds) == 1 else list
    inner = [item for example in alike for item in example]
    return kind(_restore(item, inner, kind) for item in value)


def _number(text: str) -> Any:
    """Returns the number that a text is, which is how EvalPlus keeps complex ones; else the text."""
    try:
        number = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
    return number if isinstance(number, _NUMBERS) else text


def _call_tests(inputs: list[Any], outputs: list[Any]) -> tuple[TestCase, ...]:
    if all(isinstance(output, list) and len(output) == 1 for output in outputs):
        outputs = [output[0] for output in outputs]
    return tuple(
        CallTest(repr(list(args)), repr(output)) for args, output in zip(inputs, outputs, strict=True)
    )


def _stdio_tests(inputs: list[Any], outputs: list[Any]) -> tuple[TestCase, ...]:
    return tuple(
        StdioTest(_lines(stdin), _lines(stdout)) for stdin, stdout in zip(inputs, outputs, strict=True)
    )


def _lines(text: Any) -> str:
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text)


def _is_shown(test: TestCase, question: str) -> bool:
    """Whether a question prints a test; blanks do not matter."""
    match test:
        case StdioTest(stdin, stdout) | CheckerTest(stdin, _, stdout):
            parts = (stdin, stdout)
        case CallTest(args, expected):
            parts = (args[1:-1], expected)
        case _:
            return False
    shown = " ".join(question.split())
    return all(" ".join(part.split()) in shown for part in parts)


def _decoded(raw: Mapping[str, Any], name: str, kind: type[_Value]) -> _Value:
    """Returns a field that some sources store as JSON text."""
    value = raw.get(name)
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else kind()
        except ValueError as error:
            raise ProblemFileError(f"field {name!r}: not JSON: {error}") from error
    return _get({name: value}, name, kind)


def _get(raw: Mapping[str, Any], name: str, kind: type[_Value] | tuple[type[_Value], ...]) -> _Value:
    """Returns a field of the expected type."""
    if name not in raw:
        raise ProblemFileError(f"field {name!r}: missing")
    value = raw[name]
    if not isinstance(value, kind):
        raise ProblemFileError(f"field {name!r}: unexpected {type(value).__name__}")
    return value
