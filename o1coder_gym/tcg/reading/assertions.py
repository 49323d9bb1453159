"""Reads test cases from Python that a model wrote, without running it.

Statements are followed one by one with the values of names that are constant: ``data = [1, 2]``,
``result = f(data)``, ``assert result == 3`` is one case. Understood are asserts, the methods of
``unittest``, bare comparisons, and the bodies of functions, classes and loops over constant lists.

A check that is no equality (a tolerance, the truth of a result, any order) becomes an assert that says just
that, or it is left out and counted. So is what may not run: a branch whose condition is not known.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from o1coder_gym.sandbox.values.literals import BUILTINS, Evaluator
from o1coder_gym.tcg.reading.literals import write_literal
from o1coder_gym.types import AssertTest, CallTest, TestCase

MAX_CASES = 200
"""Cases read from one text at most."""

_ROOM = 200_000
_EQUAL = {"assertEqual", "assertEquals", "assertIs", "assert_equal"}
_EQUAL |= {f"assert{kind}Equal" for kind in ("List", "Dict", "Tuple", "Set", "Sequence", "MultiLine")}
_UNORDERED = {"assertCountEqual", "assertItemsEqual"}
_ALMOST = {"assertAlmostEqual", "assertAlmostEquals"}
_TRUTH = {"assertTrue": True, "assertFalse": False}
_NEAR: dict[str, tuple[tuple[str, float], tuple[str, float]]] = {
    "isclose": (("rel_tol", 1e-9), ("abs_tol", 0.0)),
    "allclose": (("rtol", 1e-5), ("atol", 1e-8)),
    "approx": (("rel", 1e-6), ("abs", 1e-12)),
}
"""Names and defaults of the relative and the absolute tolerance: of math, numpy and pytest."""
_IS_MAIN = "__name__ == '__main__'"
_END = (ast.Return, ast.Raise, ast.Break, ast.Continue)


@dataclass(frozen=True, slots=True)
class _Call:
    """What a name stands for that was bound to a call of the entry point: its arguments."""

    arguments: list[Any]


class AssertionReader:
    """Follows statements and collects cases; None for a check that could not be read."""

    def __init__(self, entry_point: str, parameters: Sequence[str] = ()) -> None:
        """Args: the function under test, the names of its parameters for keyword arguments."""
        self._entry_point = entry_point
        self._parameters = list(parameters)
        self._evaluator = Evaluator({"inf": float("inf")}, BUILTINS, _ROOM)
        self._results: dict[str, _Call] = {}
        self.cases: list[TestCase | None] = []

    def read(self, statements: Sequence[ast.stmt]) -> None:
        """Takes statements in order."""
        for statement in statements:
            if len(self.cases) >= MAX_CASES or isinstance(statement, _END):
                return
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assert(test=condition):
                self._case(condition)
            case ast.Expr(value=ast.Compare() as condition) if self._mentions(condition):
                self._case(condition)
            case ast.Expr(value=ast.Call() as call):
                self._check_method(call)
            case ast.Assign(targets=[target], value=value):
                self._assign(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, value)
            case ast.For(target=target, iter=items, body=body):
                self._loop(target, items, body)
            case ast.FunctionDef() if node.name != self._entry_point:
                self._function(node.body, node.decorator_list)
            case ast.If():
                self._branch(node)
            case ast.Try(handlers=[_, *_]):  # what it catches may be the failure
                self._leave_out([node])
            case ast.With(items=items) if any("aises" in ast.unparse(item) for item in items):
                self._leave_out([node])
            case ast.ClassDef(body=body) | ast.With(body=body) | ast.Try(body=body):
                self.read(body)

    def _branch(self, node: ast.If) -> None:
        """Reads the branch that runs, if that is known."""
        if ast.unparse(node.test) == _IS_MAIN:
            self.read(node.body)
            return
        try:
            runs = bool(self._evaluator.value(node.test))
        except (ValueError, TypeError, RecursionError):
            self._leave_out([node])
            return
        self.read(node.body if runs else node.orelse)

    def _leave_out(self, statements: Sequence[ast.stmt]) -> None:
        """Counts the checks in statements as not read."""
        nodes = (node for statement in statements for node in ast.walk(statement))
        self.cases.extend(None for node in nodes if isinstance(node, ast.Assert))

    def _function(self, body: Sequence[ast.stmt], decorators: Sequence[ast.expr]) -> None:
        """Reads the body of a test function, once for each row of ``@pytest.mark.parametrize``."""
        for decorator in decorators:
            match decorator:
                case ast.Call(
                    func=ast.Attribute(attr="parametrize"), args=[ast.Constant(value=str(names)), rows, *_]
                ):
                    targets = [ast.Name(name.strip()) for name in names.split(",")]
                    self._loop(targets[0] if len(targets) == 1 else ast.Tuple([*targets]), rows, body)
                    return
        self.read(body)

    def _mentions(self, node: ast.AST) -> bool:
        """Whether an expression holds the entry point, or a name bound to a call of it."""
        names = {self._entry_point, *self._results}
        parts = (getattr(part, "id", None) or getattr(part, "attr", None) for part in ast.walk(node))
        return any(name in names for name in parts)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._results.pop(target.id, None)
            arguments = self._arguments(value)
            if arguments is not None:
                self._results[target.id] = _Call(arguments)
                return
        try:
            self._evaluator.bind(target, self._evaluator.value(value))
        except (ValueError, TypeError, RecursionError):
            return

    def _loop(self, target: ast.expr, items: ast.expr, body: Sequence[ast.stmt]) -> None:
        try:
            values = self._evaluator.items_of(items)
        except (ValueError, TypeError, RecursionError):
            self._leave_out(body)
            return
        for value in values[:MAX_CASES]:
            try:
                self._evaluator.bind(target, value)
            except ValueError:
                return
            self.read(body)

    def _check_method(self, call: ast.Call) -> None:
        """Reads ``self.assertEqual(f(1), 2)`` and its like."""
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        match name, call.args:
            case _, [left, right, *_] if name in _EQUAL:
                self._equal(left, right)
            case _, [left, right, *_] if name in _UNORDERED:
                self._unordered(left, right)
            case _, [left, right, *rest] if name in _ALMOST:
                self._almost(left, right, rest, call.keywords)
            case _, [condition, *_] if name in _TRUTH:
                self._case(condition if _TRUTH[name] else ast.UnaryOp(ast.Not(), condition))
            case "assertIsNone", [left, *_]:
                self._equal(left, ast.Constant(None))
            case (("isclose" | "allclose"), _) if self._mentions(call):
                self.cases.append(None)  # its answer is thrown away
            case _ if name.startswith("assert"):
                self.cases.append(None)

    def _case(self, condition: ast.expr) -> None:
        """Reads the condition of an assert."""
        match condition:
            case ast.BoolOp(op=ast.And(), values=values):
                for value in values:
                    self._case(value)
            case ast.Compare(left=left, ops=[ast.Eq()], comparators=[ast.Call(args=[right, *_]) as call]) if (
                _name_of(call) == "approx"
            ):
                self._near(left, right, "approx", call.keywords)
            case ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[right]):
                self._equal(left, right)
            case ast.Compare(
                left=ast.Call(func=ast.Name(id="abs"), args=[ast.BinOp(op=ast.Sub()) as gap]),
                ops=[ast.Lt() | ast.LtE() as sign],
                comparators=[bound],
            ):
                self._within(gap.left, gap.right, "<" if isinstance(sign, ast.Lt) else "<=", bound)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self._truth(operand, "not ")
            case ast.Call(args=[left, right]) as call if _name_of(call) in ("isclose", "allclose"):
                self._near(left, right, _name_of(call), call.keywords)
            case _:
                self._truth(condition, "")

    def _truth(self, left: ast.expr, negation: str) -> None:
        """Adds the case that a result is true, or is not, whatever it is."""
        call = self._call_text(left)
        self.cases.append(None if call is None else AssertTest(f"assert {negation}{call}"))

    def _unordered(self, left: ast.expr, right: ast.expr) -> None:
        """Adds the case that a result has the expected items in any order."""
        try:
            call, items = self._call_text(left), sorted(self._evaluator.value(right))
            expected = write_literal(items)
        except (ValueError, TypeError, RecursionError):
            call = expected = None
        self.cases.append(None if call is None else AssertTest(f"assert sorted({call}) == {expected}"))

    def _almost(
        self, left: ast.expr, right: ast.expr, rest: Sequence[ast.expr], keywords: Sequence[ast.keyword]
    ) -> None:
        """Reads ``assertAlmostEqual``: equal when rounded, or within ``delta``."""
        named = {keyword.arg: keyword.value for keyword in keywords}
        if "delta" in named:
            self._within(left, right, "<=", named["delta"])
            return
        call, expected = self._call_text(left), self._number(right)
        places = self._number(rest[0] if rest else named.get("places", ast.Constant(7)))
        known = call is not None and expected is not None and isinstance(places, int)
        self.cases.append(
            AssertTest(f"assert round({call} - {_signed(expected)}, {places}) == 0") if known else None
        )

    def _near(self, left: ast.expr, right: ast.expr, name: str, keywords: Sequence[ast.keyword]) -> None:
        """Reads ``isclose``, ``allclose`` and ``approx`` with their tolerances, of numbers."""
        if not self._mentions(left):
            left, right = right, left
        call, expected = self._call_text(left), self._number(right)
        given = {keyword.arg: self._number(keyword.value) for keyword in keywords}
        (relative, rel), (absolute, least) = _NEAR[name]
        rel, least = given.pop(relative, rel), given.pop(absolute, least)
        if call is None or expected is None or rel is None or least is None or given:
            self.cases.append(None)
        elif name == "isclose":
            tolerances = f"rel_tol={rel!r}, abs_tol={least!r}"
            close = f"assert math.isclose({call}, {expected!r}, {tolerances})"
            self.cases.append(AssertTest(f"import math\n{close}"))
        else:
            of_expected = rel * abs(expected)
            bound = least + of_expected if name == "allclose" else max(of_expected, least)
            self.cases.append(AssertTest(f"assert abs({call} - {_signed(expected)}) <= {bound!r}"))

    def _within(self, left: ast.expr, right: ast.expr, sign: str, bound: ast.expr) -> None:
        """Adds the case that a result is less than a bound away from a number."""
        if not self._mentions(left):
            left, right = right, left
        call, expected, most = self._call_text(left), self._number(right), self._number(bound)
        if call is None or expected is None or most is None:
            self.cases.append(None)
        else:
            self.cases.append(AssertTest(f"assert abs({call} - {_signed(expected)}) {sign} {most!r}"))

    def _number(self, node: ast.expr) -> float | None:
        """Returns the finite number that an expression is, None if it is none."""
        try:
            value = self._evaluator.value(node)
        except (ValueError, TypeError, RecursionError):
            return None
        return value if isinstance(value, int | float) and abs(value) < float("inf") else None

    def _call_text(self, node: ast.expr) -> str | None:
        """Returns a call of the entry point with its arguments as literals, None if `node` is none."""
        arguments = self._arguments(node)
        try:
            texts = None if arguments is None else ", ".join(map(write_literal, arguments))
        except ValueError:
            return None
        return None if texts is None else f"{self._entry_point}({texts})"

    def _equal(self, left: ast.expr, right: ast.expr) -> None:
        """Adds the case that `left` and `right` are equal; either may hold the call."""
        if not self._mentions(left):
            left, right = right, left
        if not self._mentions(left):
            return
        arguments = self._arguments(left)
        try:
            expected = write_literal(self._evaluator.value(right))
            if arguments is None:
                self.cases.append(self._wrapped(left, expected))
            else:
                self.cases.append(CallTest(write_literal(arguments), expected))
        except (ValueError, TypeError, RecursionError):
            self.cases.append(None)

    def _wrapped(self, left: ast.expr, expected: str) -> AssertTest | None:
        """Returns ``assert sorted(f([2, 1])) == [1, 2]``: one builtin around the call, else None."""
        match left:
            case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]) if name in BUILTINS:
                call = self._call_text(inner)
                return None if call is None else AssertTest(f"assert {name}({call}) == {expected}")
        return None

    def _arguments(self, node: ast.expr) -> list[Any] | None:
        """Returns the arguments of a call of the entry point, None if `node` is none that can be read."""
        match node:
            case ast.Name(id=name) if name in self._results:
                return self._results[name].arguments
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name == self._entry_point:
                named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
                return self._values(node.args, named, len(node.keywords))
        return None

    def _values(
        self, args: Sequence[ast.expr], named: Mapping[str, ast.expr], keywords: int
    ) -> list[Any] | None:
        rest = self._parameters[len(args) : len(args) + len(named)]
        if len(named) != keywords or set(rest) != set(named):
            return None
        try:
            return [self._evaluator.value(node) for node in (*args, *(named[name] for name in rest))]
        except (ValueError, TypeError, RecursionError):
            return None


def _name_of(call: ast.Call) -> str:
    """Returns the last part of the name that a call calls."""
    return getattr(call.func, "attr", None) or getattr(call.func, "id", "")


def _signed(number: float | None) -> str:
    """Writes a number behind a minus sign."""
    return f"({number!r})" if number is not None and number < 0 else repr(number)
