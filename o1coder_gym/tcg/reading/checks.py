"""Writes the cases that the checks of a test stand for: asserts, and the methods of ``unittest``.

A check that is no equality (a tolerance, the truth of a result, any order) becomes an assert that says just
that.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TypeAlias

from o1coder_gym.sandbox.values.literals import BUILTINS
from o1coder_gym.tcg.reading.knowledge import Knowledge, called_name
from o1coder_gym.tcg.reading.literals import write_literal
from o1coder_gym.types import AssertTest, CallTest, TestCase

Case: TypeAlias = TestCase | None
"""A case; None stands for a check that was written and could not be read."""

_EQUAL = {"assertEqual", "assertEquals", "assertIs", "assert_equal"}
_EQUAL |= {f"assert{kind}Equal" for kind in ("List", "Dict", "Tuple", "Set", "MultiLine")}
_UNORDERED = {"assertCountEqual", "assertItemsEqual"}
_ALMOST = {"assertAlmostEqual", "assertAlmostEquals"}
_TRUTH = {"assertTrue": True, "assertFalse": False}
_NEAR: dict[str, tuple[tuple[str, float], tuple[str, float]]] = {
    "math": (("rel_tol", 1e-9), ("abs_tol", 0.0)),
    "numpy": (("rtol", 1e-5), ("atol", 1e-8)),
    "pytest": (("rel", 1e-6), ("abs", 1e-12)),
}
"""Names and defaults of the relative and the absolute tolerance, in their order as arguments."""


class Checks:
    """Writes cases with what is known of the names in a check."""

    def __init__(self, known: Knowledge) -> None:
        """Args: values and calls at the place of the checks; whoever follows the statements keeps them."""
        self._known = known

    def of_method(self, call: ast.Call) -> list[Case] | None:
        """Returns the cases of ``self.assertEqual(f(1), 2)`` and its like; None where a call is no check."""
        name = called_name(call)
        match name, call.args:
            case _, [left, right, *_] if name in _EQUAL:
                return self._equal(left, right)
            case "assertSequenceEqual", [left, right, *_]:  # a list may equal a tuple
                return self._equal(_as_list(left), _as_list(right))
            case _, [left, right, *_] if name in _UNORDERED:
                return [self._unordered(left, right)]
            case _, [left, right, *rest] if name in _ALMOST:
                return [self._almost(left, right, rest, call.keywords)]
            case _, [condition, *_] if name in _TRUTH:
                return self.of_condition(condition if _TRUTH[name] else ast.UnaryOp(ast.Not(), condition))
            case "assertIsNone", [left, *_]:
                return self._equal(left, ast.Constant(None))
            case (("isclose" | "allclose"), _) if self._known.mentions(call):
                return [None]  # its answer is thrown away
            case _ if name.startswith("assert"):
                return [None]
        return None

    def of_condition(self, condition: ast.expr) -> list[Case]:
        """Returns the cases of the condition of an assert."""
        match condition:
            case ast.BoolOp(op=ast.And(), values=values):
                return [case for value in values for case in self.of_condition(value)]
            case ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[right]):
                return self._equal(left, right)
            case ast.Compare(
                left=ast.Call(func=ast.Name(id="abs"), args=[ast.BinOp(op=ast.Sub()) as gap]),
                ops=[ast.Lt() | ast.LtE() as sign],
                comparators=[bound],
            ):
                return [self._within(gap.left, gap.right, "<" if isinstance(sign, ast.Lt) else "<=", bound)]
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return [self._truth(operand, "not ")]
            case ast.Call(args=[left, right, *rest]) as call if called_name(call) in ("isclose", "allclose"):
                return [self._near(left, right, _library_of(call), rest, call.keywords)]
            case _:
                return [self._truth(condition, "")]

    def _truth(self, left: ast.expr, negation: str) -> Case:
        """Returns the case that a result is true, or is not, whatever it is."""
        call = self._call_text(left)
        return None if call is None else AssertTest(f"assert {negation}{call}")

    def _unordered(self, left: ast.expr, right: ast.expr) -> Case:
        """Returns the case that a result has the expected items in any order."""
        try:
            # Sorted on both sides: equal as multisets, for items that can be ordered.
            call, items = self._call_text(left), sorted(self._known.value(right))
            expected = write_literal(items)
        except (ValueError, TypeError, RecursionError):
            return None
        return None if call is None else AssertTest(f"assert sorted({call}) == {expected}")

    def _almost(
        self, left: ast.expr, right: ast.expr, rest: Sequence[ast.expr], keywords: Sequence[ast.keyword]
    ) -> Case:
        """Returns the case of ``assertAlmostEqual``: equal when rounded, or within ``delta``."""
        named = {keyword.arg: keyword.value for keyword in keywords}
        if "delta" in named:
            return self._within(left, right, "<=", named["delta"])
        call, expected = self._call_text(left), self._number(right)
        places = self._number(rest[0] if rest else named.get("places", ast.Constant(7)))
        # unittest rounds the difference (7 places by default) and compares with 0, which is not the same as
        # rounding both.
        if call is None or expected is None or not isinstance(places, int):
            return None
        return AssertTest(f"assert round({call} - {_signed(expected)}, {places}) == 0")

    def _near(
        self,
        left: ast.expr,
        right: ast.expr,
        library: str,
        rest: Sequence[ast.expr],
        keywords: Sequence[ast.keyword],
    ) -> Case:
        """Returns the case of ``isclose``, ``allclose`` or ``approx`` with their tolerances, of numbers."""
        if swapped := not self._known.mentions(left):
            left, right = right, left
        call, expected = self._call_text(left), self._number(right)
        tolerances = self._tolerances(library, rest, keywords)
        if call is None or expected is None or tolerances is None or (swapped and library == "numpy"):
            return None  # numpy's tolerance is relative to what stands second
        rel, least = tolerances
        if library == "math":
            close = f"assert math.isclose({call}, {expected!r}, rel_tol={rel!r}, abs_tol={least!r})"
            return AssertTest(f"import math\n{close}")
        of_expected = rel * abs(expected)
        # numpy adds the two tolerances, pytest takes the larger one.
        bound = least + of_expected if library == "numpy" else max(of_expected, least)
        return AssertTest(f"assert abs({call} - {_signed(expected)}) <= {bound!r}")

    def _tolerances(
        self, library: str, rest: Sequence[ast.expr], keywords: Sequence[ast.keyword]
    ) -> tuple[float, float] | None:
        """Returns the relative and the absolute tolerance, given or meant; None if they are not known."""
        (relative, rel), (absolute, least) = _NEAR[library]
        given = dict(zip((relative, absolute), rest, strict=False))
        given |= {keyword.arg or "": keyword.value for keyword in keywords}
        known = {name: number for name in given if (number := self._number(given[name])) is not None}
        too_many = len(rest) > (0 if library == "math" else 2)
        if too_many or len(known) < len(given) or not known.keys() <= {relative, absolute}:
            return None
        if library == "pytest" and known.keys() == {absolute}:
            rel = 0.0  # an absolute tolerance alone is the only one
        return known.get(relative, rel), known.get(absolute, least)

    def _within(self, left: ast.expr, right: ast.expr, sign: str, bound: ast.expr) -> Case:
        """Returns the case that a result is less than a bound away from a number."""
        if not self._known.mentions(left):
            left, right = right, left
        call, expected, most = self._call_text(left), self._number(right), self._number(bound)
        if call is None or expected is None or most is None:
            return None
        return AssertTest(f"assert abs({call} - {_signed(expected)}) {sign} {most!r}")

    def _number(self, node: ast.expr) -> float | None:
        """Returns the finite number that an expression is, None if it is none."""
        numbers = [
            one
            for one in self._known.values(node)
            if isinstance(one, int | float) and abs(one) < float("inf")
        ]
        return numbers[0] if numbers else None

    def _call_text(self, node: ast.expr) -> str | None:
        """Returns a call of the entry point with its arguments as literals, None if `node` is none."""
        arguments = self._known.arguments(node)
        try:
            texts = None if arguments is None else ", ".join(map(write_literal, arguments))
        except ValueError:
            return None
        return None if texts is None else f"{self._known.entry_point}({texts})"

    def _equal(self, left: ast.expr, right: ast.expr) -> list[Case]:
        """Returns the case that `left` and `right` are equal, none if neither holds the call."""
        if not self._known.mentions(left):
            left, right = right, left
        if not self._known.mentions(left):
            return []
        # pytest.approx stands on either side; the call is on the left already.
        if isinstance(right, ast.Call) and called_name(right) == "approx" and right.args:
            return [self._near(left, right.args[0], "pytest", right.args[1:], right.keywords)]
        arguments = self._known.arguments(left)
        try:
            expected = write_literal(self._known.value(right))
            if arguments is None:
                return [self._wrapped(left, expected)]
            return [CallTest(write_literal(arguments), expected)]
        except (ValueError, TypeError, RecursionError):
            return [None]

    def _wrapped(self, left: ast.expr, expected: str) -> AssertTest | None:
        """Returns ``assert sorted(f([2, 1])) == [1, 2]``: one builtin around the call, else None."""
        match left:
            case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]) if name in BUILTINS:
                call = self._call_text(inner)
                return None if call is None else AssertTest(f"assert {name}({call}) == {expected}")
        return None


def _as_list(node: ast.expr) -> ast.expr:
    """Returns an expression as a list, unless it is made one already."""
    if isinstance(node, ast.Call) and called_name(node) == "list":
        return node
    return ast.Call(ast.Name("list"), [node], [])


def is_check(node: ast.AST) -> bool:
    """Whether something is an assert, or a call of a method that is one by its name."""
    return isinstance(node, ast.Assert) or (
        isinstance(node, ast.Call) and called_name(node).startswith("assert")
    )


def _library_of(call: ast.Call) -> str:
    """Returns whose ``isclose`` or ``allclose`` is called: a bare ``isclose`` is that of math."""
    of_math = called_name(call) == "isclose" and ast.unparse(call.func) in (
        "isclose",
        "math.isclose",
        "cmath.isclose",
    )
    return "math" if of_math else "numpy"


def _signed(number: float | None) -> str:
    """Writes a number behind a minus sign."""
    return f"({number!r})" if number is not None and number < 0 else repr(number)
