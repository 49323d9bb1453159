"""Functions judged by code: AceCode, KodCode, BigCodeBench, HumanEval Pro and MBPP Pro."""

from __future__ import annotations

import ast
import builtins
import json
from collections.abc import Mapping, Sequence
from typing import Any

from o1coder_gym.problems.formats.reading.fields import get, optional, python3, syntax_fault, wrong
from o1coder_gym.problems.formats.reading.io_tests import stdio_tests
from o1coder_gym.problems.formats.reading.question_row import meta_of, question_row
from o1coder_gym.problems.formats.reading.test_code import called_function, missing_imports, parse_code
from o1coder_gym.problems.formats.reading.test_programs import pytest_checks, unittest_checks
from o1coder_gym.problems.formats.row_format import Origin, RowFormat
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.types import AssertTest, Problem, TestCase

_BUILTINS = frozenset(dir(builtins))


def acecode(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Hidden: the asserts of ``test_cases``. Public: those that the question prints, else the first.

    The reference is the first inference that passed all tests.
    """
    tests, entry_point = [], None
    for index, code in enumerate(get(raw, "test_cases", list)):
        where = f"test_cases[{index}]"
        if not isinstance(code, str):
            raise wrong(where, f"unexpected {type(code).__name__}")
        parse_code(code, where)
        entry_point = entry_point or _called(code)
        tests.append(AssertTest("\n".join([*missing_imports(code), code])))
    if not tests or entry_point is None:
        raise wrong("test_cases", "has no assert that calls a function")
    question = get(raw, "question", str)
    lines = {line.strip() for line in question.split("\n")}
    passed = [
        one.get("completion")
        for one in optional(raw, "inferences", list)
        if isinstance(one, Mapping) and one.get("pass_rate") == 1
    ]
    return question_row(
        origin,
        raw.get("id", origin.index),
        question,
        tuple(tests),
        entry_point=entry_point,
        public=tuple(test for test in tests if test.code.strip() in lines),
        reference=python3(passed, "inferences"),
        meta=meta_of(raw, "source"),
    )


def _called(code: str) -> str | None:
    """Returns the first function that an assert calls by its name, methods and builtins aside."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in _BUILTINS:
            return node.func.id
    return None


def kodcode(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Hidden: each pytest function of ``test``, or its inputs and outputs. Public: the first of them."""
    code, reference = get(raw, "test", (str, dict)), python3([get(raw, "solution", str)], "solution")
    information = optional(raw, "test_info", list)
    stdio = _stdio(code)
    names: Sequence[str] = ()
    if stdio is not None:
        tests: tuple[TestCase, ...] = stdio
    else:
        tests, names = pytest_checks(str(code), "test")
    told = [
        one["function_name"] for one in information if isinstance(one, Mapping) and one.get("function_name")
    ]
    entry_point = (
        None if stdio is not None else next(iter([*(name for name in told if name in names), *names]), None)
    )
    if entry_point is None and stdio is None:
        raise wrong("test", "imports nothing from solution")
    return question_row(
        origin,
        get(raw, "question_id", str),
        get(raw, "question", str),
        tests,
        entry_point=entry_point,
        reference=reference,
        meta=meta_of(raw, "style", "subset", "gpt_difficulty"),
    )


def _stdio(test: str | Mapping[str, Any]) -> tuple[TestCase, ...] | None:
    """Returns the tests of a whole program, None if the test is a pytest module."""
    if isinstance(test, str):
        try:
            test = json.loads(test)
        except ValueError:
            return None
    if not isinstance(test, Mapping):
        return None
    inputs, outputs = get(test, "stdin", list), get(test, "stdout", list)
    if len(inputs) != len(outputs) or not inputs:
        raise wrong("test", "as many of stdin as of stdout are needed, and at least one")
    return stdio_tests(list(zip(inputs, outputs, strict=True)), "test")


def bigcodebench(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Hidden: each method of the unittest class. Public: the first of them."""
    head, prompt = get(raw, "code_prompt", str), get(raw, "complete_prompt", str)
    tests = unittest_checks(get(raw, "test", str), "test")
    reference = python3([head + get(raw, "canonical_solution", str)], "canonical_solution")
    problem = Problem(
        get(raw, "task_id", str),
        prompt,
        get(raw, "entry_point", str),
        tests[:1],
        {"split": "test", "cpu_s": 20.0, **meta_of(raw, "libs")},
        prelude=_imports_before(head),
    )
    return ProblemRow(problem, tests, reference)


def _imports_before(head: str) -> str:
    """Returns what stands before the function of a prompt, which official graders put before answers too."""
    return head.split("\ndef ", 1)[0].rstrip() + "\n" if "\ndef " in head else ""


def pro(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Hidden: the asserts of ``test_code``. Public: the first. Programs answer both questions."""
    old, new = get(raw, "raw_problem", str), get(raw, "new_problem", str)
    module = parse_code(get(raw, "test_code", str), "test_code")
    setup = [ast.unparse(node) for node in module.body if not isinstance(node, ast.Assert)]
    tests = tuple(
        AssertTest("\n".join([*setup, ast.unparse(node)]))
        for node in module.body
        if isinstance(node, ast.Assert)
    )
    if not tests:
        raise wrong("test_code", "has no assert")
    reference = _both(old, get(raw, "raw_solution", str), new, get(raw, "new_solution", str))
    return question_row(
        origin,
        get(raw, "id", (int, str)),
        f"{old.rstrip()}\n\n\n{new.strip()}\n",
        tests,
        entry_point=called_function(tests[0].code, reference),
        reference=reference,
    )


def _both(old: str, old_solution: str, new: str, new_solution: str) -> str:
    """Returns both answers as one program; a solution is a function or only its body, after its question."""
    parts = []
    for question, solution, name in (
        (old, old_solution, "raw_solution"),
        (new, new_solution, "new_solution"),
    ):
        whole = [code for code in (f"{question.rstrip()}\n{solution}", solution) if not syntax_fault(code)]
        if not whole:
            raise wrong(name, f"not Python: {syntax_fault(solution)}")
        parts.append(whole[0].strip("\n"))
    return "\n\n\n".join(parts) + "\n"


ACECODE = RowFormat(frozenset({"question", "test_cases", "inferences"}), acecode)
KODCODE = RowFormat(frozenset({"question_id", "question", "solution", "test"}), kodcode)
BIGCODEBENCH = RowFormat(
    frozenset({"complete_prompt", "code_prompt", "canonical_solution", "test"}), bigcodebench
)
PRO = RowFormat(frozenset({"raw_problem", "raw_solution", "new_problem", "new_solution", "test_code"}), pro)
