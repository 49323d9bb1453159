"""Reads test cases from Python that a model wrote, without running it.

Statements are followed one by one with the values of names that are constant: ``data = [1, 2]``,
``result = f(data)``, ``assert result == 3`` is one case. Understood are asserts, the methods of
``unittest``, bare comparisons, and the bodies of functions, classes and loops over constant lists.

A check that is no equality (a tolerance, the truth of a result, any order) becomes an assert that says just
that, or it is left out and counted. So is what may not run (a branch whose condition is not known, what
follows a ``return``, a test that is skipped), and what holds a name whose value may have changed.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from o1coder_gym.sandbox.values.literals import BUILTINS, Evaluator
from o1coder_gym.tcg.reading.changes import bound_names, changed_names, effects_of, end_of, mutable_parts
from o1coder_gym.tcg.reading.literals import write_literal
from o1coder_gym.types import AssertTest, CallTest, TestCase

MAX_CASES = 200
"""Cases read from one text at most."""

_ROOM = 200_000
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
_IS_MAIN = "__name__ == '__main__'"
_FORGIVING = ("aises", "suppress", "patch")
"""Parts of the names of contexts in which a failing check fails no test, or another function is called."""
_UNTESTED = ("skip", "xfail", "expectedFailure")
"""Parts of decorators of tests that do not run, or that are to fail."""


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
        # One room for a whole text: many statements that are cheap each may still not take for ever. The
        # entry point may be called like a builtin, and is none then.
        builtins = {name: function for name, function in BUILTINS.items() if name != entry_point}
        self._evaluator = Evaluator({"inf": float("inf")}, builtins, _ROOM)
        self._results: dict[str, _Call | None] = {}  # None: of a call whose result was changed since
        self._effects: dict[str, set[str]] = {}  # of the functions in the text
        self._lost: set[str] = set()  # names of values that have changed, and of nothing that is still known
        self.cases: list[TestCase | None] = []

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
                self._forget(ast.With(items, []))  # what it binds
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
                self._case(condition)
            # ``f(2) == 4`` alone on a line: Python throws the answer away, but the author meant a check.
            case ast.Expr(value=ast.Compare() as condition) if self._mentions(condition):
                self._case(condition)
            case ast.Expr(value=ast.Call() as call) if self._check_method(call):
                return
            case ast.Assign(targets=targets, value=value):
                self._assign(node, targets, value)
                return
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(node, [target], value)
                return
        self._forget(node)

    def _skip(self, node: ast.stmt) -> ast.stmt | None:
        """Leaves out a statement that may run or not; returns what in it may keep the rest from running."""
        self._leave_out([node])
        self._forget(node)
        return end_of(node)

    def _forget(self, node: ast.stmt) -> None:
        """Gives up the values of names that a statement may change, by whatever name they are called."""
        called = [
            one for one in ast.walk(node) if isinstance(one, ast.Call) and _name_of(one) in self._effects
        ]
        changed, bound = changed_names(node), bound_names(node)
        for call in called:
            changed |= {one.id for one in call.args if isinstance(one, ast.Name)}
        # What is bound by something unknown, a loop or a call, may be another name of any value.
        known = {*self._evaluator.names, *self._lost, *self._results, *self._effects, self._entry_point}
        self._forget_values(changed, every=bool(changed - known or changed & bound))
        for call in called:
            self._forget_values(self._effects[_name_of(call)])
        for name in bound:
            self._evaluator.names.pop(name, None)
        self._lost -= bound
        for name in changed | bound:
            if name in self._results or self._mentions(node):
                self._results[name] = None

    def _forget_values(self, changed: Collection[str], *, every: bool = False) -> None:
        """Gives up the values of names and of all others that hold a part of one, or every mutable value."""
        names, results = self._evaluator.names, self._results
        # By identity: after `other = data`, `row = data[0]` or `all = [data]` a change by one is seen by all.
        parts = set().union(*(mutable_parts(names.pop(name, None)) for name in changed))
        self._lost |= {*changed}
        for other, held in [*names.items()] if parts or every else ():
            mine = mutable_parts(held)
            if self._is_spent(held) or parts & mine or (every and mine):
                del names[other]
                self._lost.add(other)
        calls = [one for name in changed if (one := results.get(name)) is not None]
        for other, one in results.items():
            if one is not None and any(one.arguments is call.arguments for call in calls):
                results[other] = None

    def _is_spent(self, value: Any) -> bool:
        """Pays for a walk through a value; returns whether no room was left for it."""
        try:
            self._evaluator.weigh(value)
        except ValueError:
            return True
        return False

    def _branch(self, node: ast.If) -> ast.stmt | None:
        """Reads the branch that runs, if that is known."""
        # Generated tests run as a program, so the guard holds.
        if ast.unparse(node.test) == _IS_MAIN:
            return self.read(node.body)
        if not (known := self._known(node.test)):
            return self._skip(node)
        runs, idle = (node.body, node.orelse) if known[0] else (node.orelse, node.body)
        self._leave_out(idle)
        return self.read(runs)

    def _leave_out(self, statements: Sequence[ast.stmt]) -> None:
        """Counts the checks in statements as not read."""
        nodes = (node for statement in statements for node in ast.walk(statement))
        self.cases.extend(None for node in nodes if _is_check(node))

    def _class(self, node: ast.ClassDef) -> None:
        """Reads the methods of a class, which do not see its names."""
        if self._is_left_out(node):
            return
        scopes = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        methods = [one for one in node.body if isinstance(one, scopes)]
        others = [one for one in node.body if not isinstance(one, scopes)]
        self._leave_out(others)
        names, own = self._evaluator.names, {name for one in others for name in bound_names(one)}
        hidden = {name: names.pop(name) for name in own & names.keys()}
        self.read(methods)
        self._evaluator.names |= hidden

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Reads the body of a test function, once for each row of ``@pytest.mark.parametrize``.

        What it binds is not seen outside, and what its parameters are nobody knows.
        """
        if node.name == self._entry_point or self._is_left_out(node):
            return
        own = [self._effects.get(_name_of(one), ()) for one in ast.walk(node) if isinstance(one, ast.Call)]
        self._effects[node.name] = effects_of(node).union(*own)
        # What the module has bound is visible in the function; what the function binds is forgotten after it.
        names, results, lost = dict(self._evaluator.names), dict(self._results), set(self._lost)
        # Fixtures and parameters hide names of the module.
        for argument in ast.walk(node.args):
            self._evaluator.names.pop(getattr(argument, "arg", ""), None)
            self._lost.discard(getattr(argument, "arg", ""))
        self._test(node.body, node.decorator_list)
        self._evaluator.names, self._results, self._lost = names, results, lost
        self._forget_values(self._effects[node.name])  # whoever runs tests runs it before those that follow

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

    def _mentions(self, node: ast.AST) -> bool:
        """Whether an expression holds the entry point, or a name bound to a call of it."""
        names = {self._entry_point, *self._results}
        parts = (getattr(part, "id", None) or getattr(part, "attr", None) for part in ast.walk(node))
        return any(name in names for name in parts)

    def _assign(self, node: ast.stmt, targets: Sequence[ast.expr], value: ast.expr) -> None:
        # Before `_forget`: the right side is evaluated with the values that the names have until now.
        arguments = self._arguments(value)
        known = [] if self._mentions(value) else self._known(value)
        self._forget(node)
        for target in targets:
            if isinstance(target, ast.Name) and arguments is not None:
                # The call is remembered, not made: an assert on the name becomes a case of these arguments.
                self._results[target.id] = _Call(arguments)
            elif known:
                with suppress(ValueError):
                    self._bind(target, known[0])

    def _bind(self, target: ast.expr, value: Any) -> None:
        """Lets names stand for a value; raises ValueError where they cannot."""
        self._evaluator.bind(target, value)
        for part in ast.walk(target):
            self._results.pop(getattr(part, "id", ""), None)

    def _known(self, node: ast.expr) -> list[Any]:
        """Returns the value of an expression as a list of one, none if it is not constant."""
        try:
            return [self._evaluator.value(node)]
        except (ValueError, TypeError, RecursionError):
            return []

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
            values = self._evaluator.items_of(items)
            for value in values[:MAX_CASES]:
                self._bind(target, value)
                yield self.read(body)
        except (ValueError, TypeError, RecursionError):
            values = []
        # The loop may not run at all, or over items that nobody knows.
        if not values:
            self._leave_out(body)
        # Some turns were not followed, and they may have changed what they touch.
        if not 0 < len(values) <= MAX_CASES:
            self._forget(ast.For(target, items, [*body], []))

    def _check_method(self, call: ast.Call) -> bool:
        """Reads ``self.assertEqual(f(1), 2)`` and its like; returns whether it is one."""
        name = _name_of(call)
        match name, call.args:
            case _, [left, right, *_] if name in _EQUAL:
                self._equal(left, right)
            case "assertSequenceEqual", [left, right, *_]:  # a list may equal a tuple
                self._equal(_as_list(left), _as_list(right))
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
            case _:
                return False
        return True

    def _case(self, condition: ast.expr) -> None:
        """Reads the condition of an assert."""
        match condition:
            case ast.BoolOp(op=ast.And(), values=values):
                for value in values:
                    self._case(value)
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
            case ast.Call(args=[left, right, *rest]) as call if _name_of(call) in ("isclose", "allclose"):
                self._near(left, right, _library_of(call), rest, call.keywords)
            case _:
                self._truth(condition, "")

    def _truth(self, left: ast.expr, negation: str) -> None:
        """Adds the case that a result is true, or is not, whatever it is."""
        call = self._call_text(left)
        self.cases.append(None if call is None else AssertTest(f"assert {negation}{call}"))

    def _unordered(self, left: ast.expr, right: ast.expr) -> None:
        """Adds the case that a result has the expected items in any order."""
        try:
            # Sorted on both sides: equal as multisets, for items that can be ordered.
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
        # unittest rounds the difference (7 places by default) and compares with 0, which is not the same as
        # rounding both.
        known = call is not None and expected is not None and isinstance(places, int)
        self.cases.append(
            AssertTest(f"assert round({call} - {_signed(expected)}, {places}) == 0") if known else None
        )

    def _near(
        self,
        left: ast.expr,
        right: ast.expr,
        library: str,
        rest: Sequence[ast.expr],
        keywords: Sequence[ast.keyword],
    ) -> None:
        """Reads ``isclose``, ``allclose`` and ``approx`` with their tolerances, of numbers."""
        if swapped := not self._mentions(left):
            left, right = right, left
        call, expected = self._call_text(left), self._number(right)
        tolerances = self._tolerances(library, rest, keywords)
        if call is None or expected is None or tolerances is None or (swapped and library == "numpy"):
            self.cases.append(None)  # numpy's tolerance is relative to what stands second
            return
        rel, least = tolerances
        if library == "math":
            close = f"assert math.isclose({call}, {expected!r}, rel_tol={rel!r}, abs_tol={least!r})"
            self.cases.append(AssertTest(f"import math\n{close}"))
            return
        of_expected = rel * abs(expected)
        # numpy adds the two tolerances, pytest takes the larger one.
        bound = least + of_expected if library == "numpy" else max(of_expected, least)
        self.cases.append(AssertTest(f"assert abs({call} - {_signed(expected)}) <= {bound!r}"))

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
        numbers = [
            one for one in self._known(node) if isinstance(one, int | float) and abs(one) < float("inf")
        ]
        return numbers[0] if numbers else None

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
        # pytest.approx stands on either side; `_mentions` has put the call on the left already.
        if isinstance(right, ast.Call) and _name_of(right) == "approx" and right.args:
            self._near(left, right.args[0], "pytest", right.args[1:], right.keywords)
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
            case ast.Name(id=name) if call := self._results.get(name):
                return call.arguments
            # `'abc'.count('a')` is a method of a text, whatever the function under test is called
            case ast.Call(func=ast.Attribute(value=base)) if self._is_value(base):
                return None
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name == self._entry_point:
                named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
                return self._values(node.args, named, len(node.keywords))
        return None

    def _is_value(self, node: ast.expr) -> bool:
        """Whether an expression is a constant, or what a method returns."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return True
        return bool(self._known(node))

    def _values(
        self, args: Sequence[ast.expr], named: Mapping[str, ast.expr], keywords: int
    ) -> list[Any] | None:
        # Keyword arguments become positional ones, which a call test has; only where every parameter's place
        # is known.
        rest = self._parameters[len(args) : len(args) + len(named)]
        if len(named) != keywords or set(rest) != set(named):
            return None
        try:
            return [self._evaluator.value(node) for node in (*args, *(named[name] for name in rest))]
        except (ValueError, TypeError, RecursionError):
            return None


def _is_denied(statement: ast.stmt, following: Sequence[ast.stmt]) -> bool:
    """Whether a session compares, and its answer is False."""
    match statement, following:
        case ast.Expr(value=ast.Compare()), [ast.Expr(value=ast.Constant(value=False))]:
            return True
    return False


def _as_list(node: ast.expr) -> ast.expr:
    """Returns an expression as a list, unless it is made one already."""
    if isinstance(node, ast.Call) and _name_of(node) == "list":
        return node
    return ast.Call(ast.Name("list"), [node], [])


def _is_check(node: ast.AST) -> bool:
    return isinstance(node, ast.Assert) or (
        isinstance(node, ast.Call) and _name_of(node).startswith("assert")
    )


def _name_of(call: ast.Call) -> str:
    """Returns the last part of the name that a call calls."""
    return getattr(call.func, "attr", None) or getattr(call.func, "id", "")


def _library_of(call: ast.Call) -> str:
    """Returns whose ``isclose`` or ``allclose`` is called: a bare ``isclose`` is that of math."""
    of_math = _name_of(call) == "isclose" and ast.unparse(call.func) in (
        "isclose",
        "math.isclose",
        "cmath.isclose",
    )
    return "math" if of_math else "numpy"


def _signed(number: float | None) -> str:
    """Writes a number behind a minus sign."""
    return f"({number!r})" if number is not None and number < 0 else repr(number)
