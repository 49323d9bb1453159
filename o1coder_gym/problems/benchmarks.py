"""Rows of HumanEval (Chen et al. 2021), MBPP (Austin et al. 2021) and EvalPlus (Liu et al. 2023).

Each converter says what of a benchmark's row is public and what is hidden; formats/ has the other data sets.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.formats.apps import apps
from o1coder_gym.problems.formats.reading.docstring_examples import docstring_examples
from o1coder_gym.problems.formats.reading.fields import get, optional
from o1coder_gym.problems.formats.reading.reference_checks import reference_check
from o1coder_gym.problems.formats.reading.test_code import (
    called_function,
    calls_of,
    checked_calls,
    code_before,
    compared_view,
    helpers_for,
    missing_imports,
    parse_code,
)
from o1coder_gym.problems.formats.row_format import Converter, Origin, RowFormat
from o1coder_gym.problems.formats.telling import NATIVE, converter_for, native
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.types import AssertTest, CheckTest, Problem, TestCase

__all__ = [
    "HUMANEVAL",
    "HUMANEVAL_PLUS",
    "MBPP",
    "MBPP_PLUS",
    "NATIVE",
    "Converter",
    "Origin",
    "RowFormat",
    "apps",
    "converter_for",
    "humaneval",
    "humaneval_plus",
    "mbpp",
    "mbpp_plus",
    "native",
]

_NUMBERS = (int, float, complex)
_PLUS_META = {"cpu_s": 30.0, "memory_bytes": 4 << 30, "result_bytes": 64 << 20}
"""EvalPlus allows 4 GiB, and its inputs ask for it (Mbpp/255)."""

_MBPP_SPLITS = ((10, "prompt"), (510, "test"), (600, "validation"), (974, "train"))


def humaneval(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Public: the docstring's examples. Hidden: ``check(candidate)``.

    An example that the check contradicts (there are six in HumanEval) is not public. The Hub's HumanEval+
    has this form too, with EvalPlus's inputs and outputs in the check.
    """
    prompt, entry_point = get(raw, "prompt", str), get(raw, "entry_point", str)
    check = get(raw, "test", str)
    reference = prompt + get(raw, "canonical_solution", str)
    known = checked_calls(check)
    examples = [
        test
        for test in docstring_examples(prompt, entry_point)
        if test.args not in known or known[test.args] == ast.literal_eval(test.expected)
    ]
    return ProblemRow(
        problem=Problem(
            task_id=get(raw, "task_id", str),
            prompt=prompt,
            entry_point=entry_point,
            public_tests=tuple(examples),
            meta={"split": "test", **(_PLUS_META if origin.group.startswith("humaneval+") else {})},
            prelude=code_before(reference, entry_point),
        ),
        tests=(CheckTest(helpers_for(check, reference, entry_point) + check),),
        reference=reference,
    )


def humaneval_plus(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Hidden: equality with the reference, as EvalPlus compares, on HumanEval's inputs and its own.

    Where many answers are right, the property that defines them stands for equality. Rows of EvalPlus's
    smaller file have no check; examples that it would contradict are public there.
    """
    row = humaneval({**raw, "test": optional(raw, "test", str)}, origin)
    entry_point = get(raw, "entry_point", str)
    reference = get(raw, "prompt", str) + get(raw, "canonical_solution", str)
    property_of = {"find_zero": "abs(names['poly'](*arguments, got)) <= tolerance"}
    plus = reference_check(
        reference=reference,
        entry_point=entry_point,
        inputs=[*get(raw, "base_input", list), *get(raw, "plus_input", list)],
        tolerance=optional(raw, "atol", (int, float)) or 1e-6,
        accept=property_of.get(entry_point),
    )
    problem = replace(row.problem, meta={**row.problem.meta, **_PLUS_META})
    return ProblemRow(problem, (CheckTest(plus),), row.reference)


def mbpp(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Public: the first assert, which the prompt shows. Hidden: all asserts of ``test_list``.

    The challenge asserts of the full set are left out, as is usual. The Hub's MBPP+ has this form too, with
    one program more that holds EvalPlus's inputs and outputs.
    """
    number, reference = get(raw, "task_id", int), get(raw, "code", str).replace("\r\n", "\n")
    text = get(raw, "prompt" if "prompt" in raw else "text", str)
    asserts = [code.strip() for code in get(raw, "test_list", list)]
    setup = [
        *optional(raw, "test_imports", list),
        optional(raw, "test_setup_code", str).replace("\r\n", "\n"),
    ]
    tests = _assert_tests(asserts, setup)
    if "test" not in raw:
        return _mbpp_row(number, text, asserts, tests, reference)
    plus = AssertTest(get(raw, "test", str))
    return _mbpp_row(number, text, asserts, (*tests, plus), reference, _PLUS_META)


def mbpp_plus(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Hidden: agreement with the reference, as EvalPlus compares, on MBPP's inputs and its own.

    The public test is the first assert. EvalPlus keeps inputs as JSON; tuples, sets and complex numbers are
    restored after the arguments in the asserts. An assert that compares sets, or only truth, makes the
    agreement be one of sets or of truth.
    """
    reference, text = get(raw, "canonical_solution", str), get(raw, "prompt", str)
    nodes = parse_code(get(raw, "assertion", str), "assertion").body
    asserts = [ast.unparse(node) for node in nodes if isinstance(node, ast.Assert)]
    imports = [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    entry_point = get(raw, "entry_point", str)
    text = text.strip().removeprefix('"""').strip().split("\n", 1)[0]
    examples = list(calls_of(asserts, entry_point))
    inputs = [
        [
            _restore(value, [args[place] for args in examples if place < len(args)])
            for place, value in enumerate(args)
        ]
        for name in ("base_input", "plus_input")
        for args in get(raw, name, (list, dict))
    ]
    plus = reference_check(
        reference=reference,
        entry_point=entry_point,
        inputs=inputs,
        tolerance=optional(raw, "atol", (int, float)) or 1e-6,
        view=compared_view(asserts),
    )
    number = int(get(raw, "task_id", str).rpartition("/")[2])
    row = _mbpp_row(number, text, asserts, _assert_tests(asserts, imports), reference, _PLUS_META)
    return replace(row, tests=(CheckTest(plus),))


HUMANEVAL = RowFormat(frozenset({"canonical_solution", "test", "entry_point"}), humaneval)
HUMANEVAL_PLUS = RowFormat(frozenset({"plus_input", "canonical_solution"}), humaneval_plus)
MBPP = RowFormat(frozenset({"code", "test_list"}), mbpp)
MBPP_PLUS = RowFormat(frozenset({"plus_input", "assertion"}), mbpp_plus)


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
