"""LeetCodeDataset (Xia et al. 2025): questions of LeetCode with their asserts."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from o1coder_gym.problems.formats.reading.fields import get, optional, python3, wrong
from o1coder_gym.problems.formats.reading.io_tests import function_name
from o1coder_gym.problems.formats.reading.platform import platform_of
from o1coder_gym.problems.formats.reading.question_row import meta_of, question_row
from o1coder_gym.problems.formats.reading.test_code import parse_code
from o1coder_gym.problems.formats.row_format import Origin, RowFormat
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.types import CallTest, TestCase

_MADE = ("list_node", "tree_node")
_COMPARED = ("is_same_list", "is_same_tree")


def leetcode(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Hidden: the asserts of ``check``, as calls. Public: those that the question shows, else the first.

    Linked lists and trees travel as the nested lists that the data set writes them as.
    """
    method = function_name(get(raw, "entry_point", str), "entry_point")
    starter = get(raw, "starter_code", str)
    names = platform_of(starter, method).parameters
    code, tests = get(raw, "test", str), []
    for node in ast.walk(parse_code(code, "test")):
        if isinstance(node, ast.Assert):
            tests.append(_call(node.test, names))
    if not tests:
        raise wrong("test", "has no assert")
    question = get(raw, "problem_description", str)
    completion = optional(raw, "completion", str)
    return question_row(
        origin,
        get(raw, "task_id", str),
        question,
        tuple(tests),
        entry_point=method,
        starter=starter,
        reference=python3([completion] if completion.strip() else [], "completion"),
        compare="leetcode",
        meta=meta_of(raw, "question_id", "difficulty", "tags", "estimated_date"),
    )


def _call(condition: ast.expr, names: tuple[str, ...]) -> TestCase:
    """Turns ``candidate(x = 1) == 2`` into a call, whatever wraps its lists and trees.

    Raises:
        ProblemFileError: When it is neither.
    """
    match condition:
        case ast.Call(func=ast.Name(id=name), args=[got, expected]) if name in _COMPARED:
            pass
        case ast.Compare(left=got, ops=[ast.Eq() | ast.Is()], comparators=[expected]):
            pass
        case _:
            got = expected = condition
    match got:
        case ast.Call(func=ast.Name(id="candidate"), args=args, keywords=keywords):
            given = {keyword.arg: keyword.value for keyword in keywords}
            if unknown := sorted(str(name) for name in given if name not in names):
                raise wrong("test", f"calls with {', '.join(unknown)}, which the function has not")
            values = [*args, *(given[name] for name in names if name in given)]
            return CallTest(repr([_value(value) for value in values]), repr(_value(expected)))
    raise wrong("test", f"is not a comparison of the answer: {ast.unparse(condition):.60}")


def _value(node: ast.expr) -> Any:
    """Returns a literal; a node of a list or a tree is the list that it is made of."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=[inner]) if name in _MADE:
            return _value(inner)
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value=str(text))]):
            return float(text)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError) as error:
        raise wrong("test", f"is not a literal: {ast.unparse(node):.60}") from error


LEETCODE = RowFormat(frozenset({"problem_description", "starter_code", "entry_point", "test"}), leetcode)
