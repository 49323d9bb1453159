"""How a question compares results: exactly, or through a view such as ``set(…)``.

Many questions leave the order of a result open, and their public asserts say so:
``assert set(f([1, 2])) == {1, 2}``. Generated tests then compare in the same way, so that they do not reject
what the question accepts.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from o1coder_gym.tcg.execution import test_of
from o1coder_gym.tcg.literals import parse_source, read_literal, write_literal
from o1coder_gym.types import AssertTest, Problem, TestCase

_VIEWS = ("set", "sorted", "list", "tuple", "len", "bool", "round")


def view_of(problem: Problem) -> str:
    """Returns the builtin that all public asserts put around the call, "" if there is none."""
    asserts = [test.code for test in problem.public_tests if isinstance(test, AssertTest)]
    views = {_view(code, problem.entry_point or "") for code in asserts}
    return views.pop() if len(views) == 1 else ""


def expected_test(problem: Problem, view: str, given: str, output: str) -> TestCase:
    """Returns the test that `given` leads to `output`, compared through `view`."""
    if not view or problem.entry_point is None:
        return test_of(problem.entry_point, given, output)
    try:
        seen = write_literal(read_literal(f"{view}({output})"))
    except ValueError:
        return test_of(problem.entry_point, given, output)
    return AssertTest(f"assert {view}({problem.entry_point}({given[1:-1]})) == {seen}")


def _view(code: str, entry_point: str) -> str:
    tree = parse_source(code)
    conditions: Sequence[ast.expr] = [
        node.test for node in (tree.body if tree else ()) if isinstance(node, ast.Assert)
    ]
    match conditions:
        case [ast.Compare(left=ast.Call(func=ast.Name(id=view), args=[inner], keywords=[]))] if (
            view in _VIEWS and _calls(inner, entry_point)
        ):
            return view
    return ""


def _calls(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
