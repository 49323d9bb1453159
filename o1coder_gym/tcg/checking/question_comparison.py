"""How a question compares results: the comparison of its public asserts, for generated tests too.

Many questions leave the order or the exact type of a result open; their public asserts say so:
``assert set(f([1, 2])) == {1, 2}``, ``assert math.isclose(f(10), 62.8, rel_tol=0.001)``,
``assert f(3) == True`` for a result of 1, or ``assert not f("ac")`` for None. Tests that compare in another
way would reject what the question accepts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from o1coder_gym.sandbox.values.comparison import DEFAULT_TOLERANCE, Equality
from o1coder_gym.sandbox.values.literals import encode_literal
from o1coder_gym.sandbox.values.standard_output import same_stdout
from o1coder_gym.tcg.checking.execution import test_of
from o1coder_gym.tcg.reading.literals import fold, parse_source, read_literal, write_literal
from o1coder_gym.tcg.template import write_cases
from o1coder_gym.types import AssertTest, CallTest, Problem, TestCase

_VIEWS = ("set", "sorted", "list", "tuple", "len", "bool", "round")
_COMPARED = "compared_by_the_tests"
"""The function that is added to a program by `as_compared`."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How results are compared.

    Attributes:
        view: Builtin that is put around the call, "" for none.
        tol: Tolerance of floats; None for the judge's default.
        as_assert: Whether equality is Python's ``==``, for which True is 1, instead of the judge's.
        truth: Whether only the truth of a result is asked for, as in ``assert f(x)``.
    """

    view: str = ""
    tol: float | None = None
    as_assert: bool = False
    truth: bool = False


@lru_cache(maxsize=256)  # a search asks for it with each program that it runs
def comparison_of(problem: Problem) -> Comparison:
    """Returns the comparison that all public asserts of a problem share."""
    asserts = [test.code for test in problem.public_tests if isinstance(test, AssertTest)]
    found = {_comparison(code, problem.entry_point or "") for code in asserts}
    # Asserts that compare in several ways say nothing of all inputs; plain equality is the safe reading.
    return found.pop() if len(found) == 1 else Comparison(as_assert=bool(asserts))


def expected_test(problem: Problem, comparison: Comparison, given: str, output: str) -> TestCase:
    """Returns the test that `given` leads to `output`, compared as `comparison` says.

    Args:
        problem: The question.
        comparison: Its own.
        given: Literal of an argument list, or a standard input.
        output: What a program of `as_compared` returns there.
    """
    entry_point = problem.entry_point
    if comparison.truth:
        return AssertTest(f"assert {'' if output == 'True' else 'not '}{entry_point}({given[1:-1]})")
    call = f"{entry_point}({given[1:-1]})"
    if comparison.view:
        return AssertTest(f"assert {comparison.view}({call}) == {output}")
    if entry_point is None or comparison.tol is not None or _needs_judge(output):
        test = test_of(entry_point, given, output)
        return CallTest(test.args, test.expected, comparison.tol) if isinstance(test, CallTest) else test
    return AssertTest(f"assert {call} == {output}") if comparison.as_assert else CallTest(given, output)


def same_of(problem: Problem) -> Callable[[str, str], bool]:
    """Returns the equality of outputs for a problem's tests: its own comparison, else the judge's.

    Outputs may be those of the programs themselves or of `as_compared`. Differences in rounding are none,
    though an assert may ask for the exact float: generated tests do not.
    """
    comparison = comparison_of(problem)
    if problem.entry_point is None:
        return same_stdout
    return lambda one, other: _same(comparison, one, other)


def _same(comparison: Comparison, one: str, other: str) -> bool:
    if one == other:
        return True
    tol = DEFAULT_TOLERANCE if comparison.tol is None else comparison.tol
    try:
        one, other = (encode_literal(_viewed(comparison, text)) for text in (one, other))
        return Equality(tol, strict=not comparison.as_assert).texts(one, other)
    except ValueError:
        return False


def _viewed(comparison: Comparison, output: str) -> str:
    """Returns what the tests compare of an output; what was seen through the view already stays as it is."""
    view = "bool" if comparison.truth else comparison.view
    if not view or (view == "len" and type(read_literal(output)) is int):
        return output
    return write_literal(read_literal(f"{view}({output})"))


def as_compared(problem: Problem, codes: Sequence[str]) -> tuple[Problem, list[str]]:
    """Returns programs that return what the question's tests compare of a result, and their question.

    ``assert f(x)`` asks only whether a result is true, ``assert sorted(f(x)) == …`` takes any iterator: the
    results themselves may have no literal, what is compared of them has one. Whoever runs programs to compare
    them by `same_of` runs these.

    Args:
        problem: The question.
        codes: Programs that answer it.
    """
    comparison = comparison_of(problem)
    view = "bool" if comparison.truth else comparison.view
    if not view:
        return problem, [*codes]
    # A function of another name, for a recursive one must not meet the view of its own results; and the
    # builtin itself, whatever the program calls by its name.
    function = (
        f"def {_COMPARED}(*arguments):\n"
        f"    import builtins\n\n"
        f"    return builtins.{view}({problem.entry_point}(*arguments))\n"
    )
    return replace(problem, entry_point=_COMPARED), [f"{code}\n\n\n{function}" for code in codes]


def means_none(problem: Problem, reference: str) -> bool:
    """Whether None may be a result on purpose: the question or the reference says so.

    Otherwise a reference that returns None has fallen off its end. A ``return`` without a value says None.
    """
    tree = parse_source(reference)
    nodes = list(ast.walk(tree)) if tree else []
    returns = any(isinstance(node, ast.Return) and node.value is None for node in nodes)
    named = any(isinstance(node, ast.Constant) and node.value is None for node in nodes)
    question = f"{problem.prompt}\n{write_cases(problem.public_tests, problem.entry_point)}"
    return returns or named or re.search(r"\bNone\b", question) is not None


def _needs_judge(output: str) -> bool:
    """Whether a literal holds a float, for which an assert would be exact, or a name that is no builtin."""
    tree = parse_source(output)
    return any(
        (isinstance(node, ast.Constant) and isinstance(node.value, float | complex))
        or (isinstance(node, ast.Name) and node.id in ("nan", "Decimal", "Fraction", "deque"))
        for node in (ast.walk(tree) if tree else ())
    )


def _comparison(code: str, entry_point: str) -> Comparison:
    tree = parse_source(code)
    conditions = [node.test for node in (tree.body if tree else ()) if isinstance(node, ast.Assert)]
    match conditions:
        case [ast.Compare(left=ast.Call(func=ast.Name(id=view), args=[inner], keywords=[]))] if (
            view in _VIEWS and _calls(inner, entry_point)
        ):
            return Comparison(view, as_assert=True)
        case [ast.Call(func=ast.Name(id="isclose") | ast.Attribute(attr="isclose"), keywords=keywords)]:
            return Comparison(tol=_tolerance(keywords), as_assert=True)
        case [ast.Call() as call] | [ast.UnaryOp(op=ast.Not(), operand=call)] if _calls(call, entry_point):
            return Comparison(as_assert=True, truth=True)
    return Comparison(as_assert=True)


def _tolerance(keywords: list[ast.keyword]) -> float | None:
    """Returns the largest tolerance that a call of ``math.isclose`` names, None if it names none."""
    values = []
    for keyword in keywords:
        try:
            values.append(float(fold(keyword.value)))
        except (ValueError, TypeError):
            return None
    return max(values, default=None)


def _calls(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
