"""Translates asserts and check functions into calls with expected results, from their syntax tree.

A test that is translated needs no tester process: the candidate's process gets the arguments, the
trusted one compares. The translation is exact or it is not made: whatever this file does not know,
and whatever could tell the difference (a list passed to two calls, NaN, a second name for the
program), is left to the tester.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from o1coder_gym.sandbox.values import comparison, expectation, policies
from o1coder_gym.sandbox.values.codec import encode
from o1coder_gym.sandbox.values.expectation import Expectation
from o1coder_gym.sandbox.values.literals import BUILTINS, Evaluator, NotConstant, encode_literal, parse_module
from o1coder_gym.types import AssertTest, CallTest, CheckTest

_MAX_CALLS = 2_000
MAX_TEST = 1 << 17
"""Most characters of a test that is read here, which takes up to ten microseconds a character."""
_VIEWS: dict[str, tuple[type, Callable[[str, str], bool]]] = {
    "list": (list, expectation.equal_as_sequence),
    "set": (set, expectation.equal_as_set),
    "tuple": (tuple, expectation.equal_as_sequence),
}

_CAPTURES = frozenset(
    ("redirect_stdout", "redirect_stderr", "assertLogs", "assertNoLogs", "assertWarns", "assertWarnsRegex")
)
_MAY_REACH = re.compile(r"patch|redirect_std|assert(?:No)?Logs|assertWarns|catch_warnings|\bsys\b|\bwith\b")
_STREAMS = frozenset(("stdin", "stdout", "stderr", "argv"))
_SINGLETONS = {"None": "null", "True": "true", "False": "false"}


@lru_cache(maxsize=4096)
def expectations(test: CallTest | AssertTest | CheckTest, entry_point: str) -> tuple[Expectation, ...] | None:
    """Returns the expectations of a test, one per call; None if the test needs a tester process.

    The test passes iff all expectations are met by the calls, made in order in one process.

    Raises:
        ValueError: When `test` is a call test whose literals are none, or that names no policy.
    """
    if not isinstance(test, CallTest):
        return extract(test, entry_point)
    args, expected = encode_literal(test.args), encode_literal(test.expected)
    if not args.startswith("["):
        raise ValueError(f"the arguments of a call test must be a list: {test.args[:80]!r}")
    if test.compare is None or (test.compare == "numbers" and test.tol is not None):
        met_by = partial(comparison.same, expected=expected, tol=test.tol)
    else:
        met_by = partial(policies.named(test.compare).value, expected=expected)
    return (Expectation(args, met_by, comparison.brief(expected), len(expected)),)


def extract(test: AssertTest | CheckTest, entry_point: str) -> tuple[Expectation, ...] | None:
    """Translates a test of asserts into expectations; None if that would not be exact.

    Args:
        test: Untrusted source.
        entry_point: Name of the function under test.
    """
    translation = _Translation(entry_point)
    try:
        body = parse_module(test.code, MAX_TEST).body
        if isinstance(test, CheckTest):
            translation.check_module(body)
        else:
            translation.statements(body)
    # Whatever was refused: a tester process can run every test, so in doubt it does.
    except (ValueError, TypeError, RecursionError):
        return None
    return tuple(translation.found)


def looks_at_arguments(code: str) -> bool:
    """Whether a test may look at what it passed to a call: whether any argument is named.

    Of a test too long to be read here that is taken for granted.
    """
    try:
        # Literals cannot be looked at afterwards; a variable, or a part of one, can. Only then is the
        # slower test needed that writes changed arguments back (`statements.compile_settling`).
        nodes = ast.walk(parse_module(code, MAX_TEST))
    except ValueError:
        return True
    calls = (node for node in nodes if isinstance(node, ast.Call))
    return any(
        isinstance(argument, ast.Name | ast.Attribute | ast.Subscript | ast.Starred)
        for call in calls
        for argument in (*call.args, *(keyword.value for keyword in call.keywords))
    )


def reach_into_program(code: str, entry_point: str) -> str:
    """Names the means by which a test acts on the program's process as on its own; empty if there is none.

    Patched modules, captured output and warnings are those of the tester's process: a right program would
    fail. A context manager of the program could swallow what is asserted within it. A test that is too long
    to be read here is taken for one that does no such thing.
    """
    if not _MAY_REACH.search(code):
        return ""
    try:
        nodes = [*ast.walk(parse_module(code, MAX_TEST))]
    except ValueError:
        return ""
    mocks = any(
        isinstance(node, ast.Import | ast.ImportFrom) and "mock" in ast.unparse(node) for node in nodes
    )
    for node in nodes:
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) if mocks and name == "patch":
                return name
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _CAPTURES:
                return name
            case ast.Call(func=ast.Attribute(attr="catch_warnings"), keywords=[_, *_]):
                return "catch_warnings"
            case ast.Attribute(value=ast.Name(id="sys"), attr=name, ctx=ast.Store()) if name in _STREAMS:
                return f"sys.{name}"
            case ast.withitem(context_expr=ast.Call(func=ast.Name(id=name))) if name in (
                entry_point,
                "candidate",
            ):
                return "with"
    return ""


class _Translation(Evaluator):
    """Walks through the statements of one test.

    Attributes:
        found: The expectations so far, in the order of the calls.
    """

    def __init__(self, entry_point: str) -> None:
        # Bound to something without a value: a test that uses the program as data, not as a call, is left to
        # the tester.
        super().__init__({entry_point: _Opaque("program")}, BUILTINS)
        self.found: list[Expectation] = []
        self._passed: dict[int, Any] = {}

    def check_module(self, body: Sequence[ast.stmt]) -> None:
        """Reads a module that defines ``check(candidate)``, then the body of that function."""
        *before, check = body
        self.statements(before)
        match check:
            case ast.FunctionDef(
                name="check",
                decorator_list=[],
                returns=None,
                args=ast.arguments(
                    posonlyargs=[],
                    args=[ast.arg(arg=parameter, annotation=None)],
                    vararg=None,
                    kwonlyargs=[],
                    kwarg=None,
                    defaults=[],
                ),
            ):
                self.names["check"] = _Opaque("check")
                # A name that a function assigns anywhere is local in all of it and unbound until then: it
                # must not be read as the module's.
                self.names.update((name, _Opaque("unbound")) for name in _stored_names(check))
                self.names[parameter] = _Opaque("program")
                self.statements(check.body)
            case _:
                raise NotConstant("the module does not end with check(candidate)")

    def statements(self, body: Sequence[ast.stmt]) -> None:
        """Reads statements in order."""
        for statement in body:
            self.spend(1)
            self.statement(statement)

    def statement(self, statement: ast.stmt) -> None:
        """Reads one statement."""
        match statement:
            case ast.Assert(test=condition):
                self.condition(condition)
            case ast.Assign(targets=[target], value=value):
                self.bind(target, self.value(value))
            case ast.For(target=target, iter=source, body=body, orelse=[]):
                # Loops are unrolled: each turn may make calls of its own, all of which become expectations.
                for item in self.items_of(source):
                    self.bind(target, item)
                    self.statements(body)
            case ast.Import(names=aliases):
                for alias in aliases:
                    self.imported(alias.name, alias.asname or alias.name.partition(".")[0], alias.name)
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                for alias in aliases:
                    self.imported(module, alias.asname or alias.name, f"{module}.{alias.name}")
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            # A bare name does nothing; other expressions might, and are not translated.
            case ast.Expr(value=ast.Name(id=name)) if name in BUILTINS or name == "print":
                pass
            case _:
                raise NotConstant(f"{type(statement).__name__} is not translated")

    def imported(self, module: str, name: str, path: str) -> None:
        """Binds what an import of the standard library binds."""
        # An import that fails would fail the test; that of the standard library cannot.
        if module.partition(".")[0] not in sys.stdlib_module_names or name == "*":
            raise NotConstant("not of the standard library")
        self.names[name] = _Opaque(path)

    def name(self, node: ast.Name) -> Any:
        """Returns a name's value, unless a call may have changed it."""
        value = super().name(node)
        self.weigh(value)
        if isinstance(value, _Opaque) or any(id(part) in self._passed for part in _mutable_parts(value)):
            raise NotConstant(f"{node.id} is not constant")
        return value

    def condition(self, node: ast.expr) -> None:
        """Reads the condition of an assert."""
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                for part in parts:
                    self.condition(part)
            case ast.UnaryOp(op=ast.Not(), operand=ast.Call() as call) if self.is_program(call):
                self.expect(call, partial(expectation.truth, expected=False), "a false value")
            case ast.Call() as call if self.is_program(call):
                self.expect(call, partial(expectation.truth, expected=True), "a true value")
            case ast.Call(func=function) if self.path(function) == "math.isclose":
                self.isclose(node)
            case ast.Compare(left=left, ops=[operation], comparators=[right]) if self.has_program(node):
                self.comparison(left, operation, right)
            case _:
                # A condition without the program: true whatever the program does, or the test can never pass.
                if not self.value(node):
                    raise NotConstant("a false assertion")

    def comparison(self, left: ast.expr, operation: ast.cmpop, right: ast.expr) -> None:
        """Reads a comparison in which the program is called."""
        match operation:
            case ast.Eq():
                called, other = (left, right) if self.has_program(left) else (right, left)
                self.equality(called, other)
            case ast.Is() if isinstance(right, ast.Constant) and repr(right.value) in _SINGLETONS:
                met_by = partial(expectation.identity, expected=_SINGLETONS[repr(right.value)])
                self.expect(left, met_by, repr(right.value))
            case ast.Lt() | ast.LtE():
                self.nearness(left, right, isinstance(operation, ast.LtE))
            case _:
                raise NotConstant("a comparison of another kind")

    def equality(self, called: ast.expr, other: ast.expr) -> None:
        """Reads ``f(…) == value``, or the same of ``set(f(…))``, ``list(f(…))`` and ``tuple(f(…))``."""
        match called:
            case ast.Call(func=ast.Name(id=view), args=[ast.Call() as call], keywords=[]) if self.is_view(
                view
            ):
                kind, relation = _VIEWS[view]
            case ast.Call() as call:
                kind, relation = object, comparison.equal
            case _:
                raise NotConstant("a function of the result")
        # The arguments first, whichever side they stand on: `x == f(x)` compares x as the call has left it,
        # and is refused here because x was passed.
        args = self.arguments(call)
        value = self.value(other)
        # `set(f(x)) == [1]` is false whatever f returns; the tester says so by itself.
        if not isinstance(value, kind):
            raise NotConstant("of another type")
        self.weigh(value)
        expected = encode(value)
        if "NaN" in expected:
            raise NotConstant("NaN equals nothing")
        self.add(args, partial(relation, expected=expected), comparison.brief(expected), len(expected))

    def nearness(self, distance: ast.expr, limit: ast.expr, inclusive: bool) -> None:
        """Reads ``abs(f(…) - value) < bound``."""
        match distance:
            case ast.Call(
                func=function, args=[ast.BinOp(left=left, op=ast.Sub(), right=right)], keywords=[]
            ) if self.path(function) in ("abs", "math.fabs"):
                called, other = (left, right) if self.has_program(left) else (right, left)
                args, center, bound = self.arguments(called), self.value(other), self.value(limit)
            case _:
                raise NotConstant("not a distance")
        # Exact types: an object with arithmetic of its own would be asked here for what Python asks in the
        # test.
        if type(center) not in (int, float, complex) or type(bound) not in (int, float):
            raise NotConstant("not numbers")
        met_by = partial(expectation.near, center=center, bound=bound, inclusive=inclusive)
        self.add(args, met_by, f"{center!r} within {bound!r}")

    def isclose(self, node: ast.expr) -> None:
        """Reads ``math.isclose(f(…), value, rel_tol=…, abs_tol=…)``, whose order does not matter."""
        match node:
            case ast.Call(args=[left, right], keywords=keywords):
                called, other = (left, right) if self.has_program(left) else (right, left)
                args, expected = self.arguments(called), self.value(other)
                tolerances = {str(keyword.arg): self.value(keyword.value) for keyword in keywords}
            case _:
                raise NotConstant("isclose of something else")
        kinds = {type(number) for number in (expected, *tolerances.values())}
        if not tolerances.keys() <= {"rel_tol", "abs_tol"} or not kinds <= {int, float}:
            raise NotConstant("not numbers")
        met_by = partial(expectation.isclose, expected=expected, **tolerances)
        self.add(args, met_by, f"close to {expected!r}")

    def expect(self, call: ast.expr, met_by: Callable[[str], bool], wanted: str) -> None:
        """Adds an expectation of one call."""
        self.add(self.arguments(call), met_by, wanted)

    def add(self, args: str, met_by: Callable[[str], bool], wanted: str, size: int = 0) -> None:
        """Adds an expectation."""
        if len(self.found) >= _MAX_CALLS:
            raise NotConstant("too many calls")
        self.found.append(Expectation(args, met_by, wanted, size))

    def arguments(self, call: ast.expr) -> str:
        """Returns the encoded arguments of a call of the program, from here on out of reach."""
        if not isinstance(call, ast.Call) or not self.is_program(call) or call.keywords:
            raise NotConstant("not a plain call of the program")
        values = self._items(call.args)
        self.weigh(values)
        for part in _mutable_parts(values):
            if id(part) in self._passed:
                raise NotConstant("an object passed twice")
            # Keyed by id and kept alive: the id of a freed object would be given to another one.
            self._passed[id(part)] = part
        return encode(values)

    def path(self, node: ast.expr) -> str:
        """Returns the dotted name of an imported or builtin function, empty if it is neither."""
        match node:
            case ast.Name(id=name) if name not in self.names:
                return name if name in BUILTINS else ""
            case ast.Name(id=name) if isinstance(self.names[name], _Opaque):
                return self.names[name].path
            case ast.Attribute(value=value, attr=attribute):
                return f"{self.path(value)}.{attribute}"
        return ""

    def is_view(self, name: str) -> bool:
        """Whether a name is one of the builtin types whose view of a result is understood."""
        return name in _VIEWS and name not in self.names

    def is_program(self, node: ast.Call) -> bool:
        """Whether a call is one of the program."""
        return self.path(node.func) == "program"

    def has_program(self, node: ast.expr) -> bool:
        """Whether the program is called anywhere in an expression."""
        for part in ast.walk(node):
            self.spend(1)  # a loop may come here often, with parts that are never evaluated
            if isinstance(part, ast.Call) and self.is_program(part):
                return True
        return False


class _Opaque:
    """The value of a name that is not constant: the program, or an import."""

    def __init__(self, path: str) -> None:
        self.path = path


def _stored_names(function: ast.FunctionDef) -> Iterator[str]:
    """Yields the names that a function assigns to, which are unbound in it until then."""
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _mutable_parts(value: Any) -> Iterator[Any]:
    """Yields the mutable containers within a value, itself included."""
    if isinstance(value, list | set | dict | deque):
        yield value
    if isinstance(value, dict):
        for item in value.values():
            yield from _mutable_parts(item)
    elif isinstance(value, list | tuple | deque):
        for item in value:
            yield from _mutable_parts(item)
