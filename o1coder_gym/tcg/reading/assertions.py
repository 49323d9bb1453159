"""Reads test cases from Python that a model wrote, without running it.

Statements are followed one by one with the values of names that are constant: ``data = [1, 2]``,
``result = f(data)``, ``assert result == 3`` is one case. Understood are asserts, the methods of
``unittest``, bare comparisons, and the bodies of functions, classes and loops over constant lists.

What a name stands for is asked of `knowledge`; what a check says, of `checks`. A check that cannot be read is
left out and counted. So is what may not run: a branch whose condition is not known, what follows a
``return``, a test that is skipped.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator, Sequence

from o1coder_gym.tcg.reading.changes import bound_names, end_of
from o1coder_gym.tcg.reading.checks import Case, Checks, is_check
from o1coder_gym.tcg.reading.knowledge import Knowledge

MAX_CASES = 200
"""Cases read from one text at most."""

_IS_MAIN = "__name__ == '__main__'"
_FORGIVING = ("aises", "suppress", "patch")
"""Parts of the names of contexts in which a failing check fails no test, or another function is called."""
_UNTESTED = ("skip", "xfail", "expectedFailure")
"""Parts of decorators of tests that do not run, or that are to fail."""


class AssertionReader:
    """Follows statements and collects cases; None for a check that could not be read."""

    def __init__(self, entry_point: str, parameters: Sequence[str] = ()) -> None:
        """Args: the function under test, the names of its parameters for keyword arguments."""
        self._entry_point = entry_point
        self._known = Knowledge(entry_point, parameters)
        self._checks = Checks(self._known)
        self.cases: list[Case] = []

    def read(self, statements: Sequence[ast.stmt]) -> ast.stmt | None:
        """Takes statements in order; returns the one that may keep what follows them from running."""
        for place, statement in enumerate(statements):
            if _is_denied(statement, statements[place + 1 : place + 2]):
                self.cases.append(None)
                continue
            end = self._statement(statement)
            # What follows may not run, so it is no case; but it was written, and counts as one that could not
            # be read.
            if end is not None or len(self.cases) >= MAX_CASES:
                self._leave_out(statements[place + 1 :])
                return end
        return None

    def _statement(self, node: ast.stmt) -> ast.stmt | None:
        """Reads a statement; returns as `read`."""
        match node:
            case ast.If():
                return self._branch(node)
            case ast.For():
                return self._loop(node)
            case ast.With(items=items) if not any(
                part in ast.unparse(item) for item in items for part in _FORGIVING
            ):
                self._known.forget(ast.With(items, []))  # what it binds
                return self.read(node.body)
            # With handlers a failing check might be caught, so only `try … finally` is read.
            case ast.Try(handlers=[], body=body, finalbody=last):
                return self.read([*body, *last])
            case ast.ClassDef():
                self._class(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(node)
            case ast.Assert() | ast.Expr() | ast.Assign() | ast.AnnAssign():
                self._line(node)
                return end_of(node)
            case _:
                return self._skip(node)
        return None

    def _line(self, node: ast.stmt) -> None:
        """Reads a statement that holds no others."""
        match node:
            case ast.Assert(test=condition):
                self.cases += self._checks.of_condition(condition)
            # ``f(2) == 4`` alone on a line: Python throws the answer away, but the author meant a check.
            case ast.Expr(value=ast.Compare() as condition) if self._known.mentions(condition):
                self.cases += self._checks.of_condition(condition)
            case ast.Expr(value=ast.Call() as call) if (cases := self._checks.of_method(call)) is not None:
                self.cases += cases
                return
            case ast.Assign(targets=targets, value=value):
                self._known.assign(node, targets, value)
                return
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._known.assign(node, [target], value)
                return
        self._known.forget(node)

    def _skip(self, node: ast.stmt) -> ast.stmt | None:
        """Leaves out a statement that may run or not; returns what in it may keep the rest from running."""
        self._leave_out([node])
        self._known.forget(node)
        return end_of(node)

    def _branch(self, node: ast.If) -> ast.stmt | None:
        """Reads the branch that runs, if that is known."""
        # Generated tests run as a program, so the guard holds.
        if ast.unparse(node.test) == _IS_MAIN:
            return self.read(node.body)
        if not (known := self._known.values(node.test)):
            return self._skip(node)
        runs, idle = (node.body, node.orelse) if known[0] else (node.orelse, node.body)
        self._leave_out(idle)
        return self.read(runs)

    def _leave_out(self, statements: Sequence[ast.stmt]) -> None:
        """Counts the checks in statements as not read."""
        nodes = (node for statement in statements for node in ast.walk(statement))
        self.cases.extend(None for node in nodes if is_check(node))

    def _class(self, node: ast.ClassDef) -> None:
        """Reads the methods of a class, which do not see its names."""
        if self._is_left_out(node):
            return
        scopes = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        methods = [one for one in node.body if isinstance(one, scopes)]
        others = [one for one in node.body if not isinstance(one, scopes)]
        self._leave_out(others)
        with self._known.hiding({name for one in others for name in bound_names(one)}):
            self.read(methods)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Reads the body of a test function, once for each row of ``@pytest.mark.parametrize``.

        What it binds is not seen outside, and what its parameters are nobody knows.
        """
        if node.name == self._entry_point or self._is_left_out(node):
            return
        with self._known.calling(node):
            self._test(node.body, node.decorator_list)

    def _is_left_out(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
        """Whether tests do not run, or are to fail; then counts them as not read."""
        untested = any(part in ast.unparse(one) for one in node.decorator_list for part in _UNTESTED)
        self._leave_out(node.body if untested else ())
        return untested

    def _test(self, body: Sequence[ast.stmt], decorators: Sequence[ast.expr]) -> None:
        for decorator in decorators:
            match decorator:
                case ast.Call(
                    func=ast.Attribute(attr="parametrize"),
                    args=[ast.Constant(value=str(names)), rows],
                    keywords=options,
                ) if all(option.arg != "indirect" for option in options):  # else fixtures make the values
                    targets = [ast.Name(name.strip()) for name in names.split(",")]
                    target = targets[0] if len(targets) == 1 else ast.Tuple([*targets])
                    deque(self._turns(target, rows, body), maxlen=0)
                    return
        self.read(body)

    def _loop(self, node: ast.For) -> ast.stmt | None:
        """Reads a loop over known items, turn by turn."""
        for end in self._turns(node.target, node.iter, node.body):
            if isinstance(end, ast.Break):
                return None
            if end is not None and not isinstance(end, ast.Continue):
                return end
        return self.read(node.orelse)

    def _turns(
        self, target: ast.expr, items: ast.expr, body: Sequence[ast.stmt]
    ) -> Iterator[ast.stmt | None]:
        """Reads statements once for each item; yields what ended each turn, as `read` returns it."""
        try:
            values = self._known.items_of(items)
            for value in values[:MAX_CASES]:
                self._known.bind(target, value)
                yield self.read(body)
        except (ValueError, TypeError, RecursionError):
            values = []
        # The loop may not run at all, or over items that nobody knows.
        if not values:
            self._leave_out(body)
        # Some turns were not followed, and they may have changed what they touch.
        if not 0 < len(values) <= MAX_CASES:
            self._known.forget(ast.For(target, items, [*body], []))


def _is_denied(statement: ast.stmt, following: Sequence[ast.stmt]) -> bool:
    """Whether a session compares, and its answer is False."""
    match statement, following:
        case ast.Expr(value=ast.Compare()), [ast.Expr(value=ast.Constant(value=False))]:
            return True
    return False
