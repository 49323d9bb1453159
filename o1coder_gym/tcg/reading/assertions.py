"""Reads test cases from Python that a model wrote, without running it.

Statements are followed one by one with the values of names that are constant: ``data = [1, 2]``,
``result = f(data)``, ``assert result == 3`` is one case. Understood are asserts, the methods of
``unittest``, bare comparisons, and the bodies of functions, classes and loops over constant lists.
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
_EQUAL |= {
    f"assert{kind}Equal" for kind in ("List", "Dict", "Tuple", "Set", "Sequence", "Count", "MultiLine")
}
_ALMOST = {"assertAlmostEqual", "assertAlmostEquals", "isclose", "allclose"}
_CONSTANT_METHODS = {"assertTrue": True, "assertFalse": False, "assertIsNone": None}
_TOLERANCE = 1e-6


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
            if len(self.cases) >= MAX_CASES:
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
            case ast.ClassDef(body=body) | ast.If(body=body) | ast.With(body=body) | ast.Try(body=body):
                self.read(body)

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
            self.cases.extend(None for part in body if isinstance(part, ast.Assert))
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
            case _, [left, right, *_] if name in _ALMOST:
                self._equal(left, right, _TOLERANCE)
            case _, [left, *_] if name in _CONSTANT_METHODS:
                self._equal(left, ast.Constant(_CONSTANT_METHODS[name]))
            case _ if name.startswith("assert"):
                self.cases.append(None)

    def _case(self, condition: ast.expr) -> None:
        """Reads the condition of an assert."""
        match condition:
            case ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[right]):
                self._equal(left, right)
            case ast.Compare(
                left=ast.Call(func=ast.Name(id="abs"), args=[ast.BinOp(op=ast.Sub()) as gap]),
                ops=[ast.Lt() | ast.LtE()],
                comparators=[bound],
            ):
                self._equal(gap.left, gap.right, self._tolerance(bound))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self._equal(operand, ast.Constant(False))
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[left, right, *_]) if (
                name in _ALMOST
            ):
                self._equal(left, right, _TOLERANCE)
            case _:
                self._equal(condition, ast.Constant(True))

    def _tolerance(self, bound: ast.expr) -> float:
        try:
            value = self._evaluator.value(bound)
        except (ValueError, TypeError, RecursionError):
            return _TOLERANCE
        return float(value) if isinstance(value, int | float) and 0 <= value < float("inf") else _TOLERANCE

    def _equal(self, left: ast.expr, right: ast.expr, tol: float | None = None) -> None:
        """Adds the case that `left` and `right` are equal; either may hold the call."""
        if not self._mentions(left):
            left, right = right, left
        if not self._mentions(left):
            return
        match right:
            case ast.Call(func=ast.Name(id="approx") | ast.Attribute(attr="approx"), args=[inner, *_]):
                right, tol = inner, _TOLERANCE
        arguments = self._arguments(left)
        try:
            expected = write_literal(self._evaluator.value(right))
            if arguments is None:
                self.cases.append(self._wrapped(left, expected))
            else:
                self.cases.append(CallTest(write_literal(arguments), expected, tol))
        except (ValueError, TypeError, RecursionError):
            self.cases.append(None)

    def _wrapped(self, left: ast.expr, expected: str) -> AssertTest | None:
        """Returns ``assert sorted(f([2, 1])) == [1, 2]``: one builtin around the call, else None."""
        match left:
            case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]) if name in BUILTINS:
                arguments = self._arguments(inner)
                if arguments is not None:
                    text = ", ".join(map(write_literal, arguments))
                    return AssertTest(f"assert {name}({self._entry_point}({text})) == {expected}")
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
