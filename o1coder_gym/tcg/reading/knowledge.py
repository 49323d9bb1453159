"""What is known of names while the statements of a test are followed, without running them.

A name stands for its value, or for a call of the entry point that is remembered and not made, until something
may have changed it.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from o1coder_gym.sandbox.values.literals import BUILTINS, Evaluator
from o1coder_gym.tcg.reading.changes import bound_names, changed_names, effects_of, mutable_parts

_ROOM = 200_000


@dataclass(frozen=True, slots=True)
class _Call:
    """What a name stands for that was bound to a call of the entry point: its arguments."""

    arguments: list[Any]


class Knowledge:
    """Values of names, and calls of the function under test, in one text. Mutable."""

    def __init__(self, entry_point: str, parameters: Sequence[str] = ()) -> None:
        """Args: the function under test, the names of its parameters for keyword arguments."""
        self.entry_point = entry_point
        self._parameters = list(parameters)
        # One room for a whole text: many statements that are cheap each may still not take for ever. The
        # entry point may be called like a builtin, and is none then.
        builtins = {name: function for name, function in BUILTINS.items() if name != entry_point}
        self._evaluator = Evaluator({"inf": float("inf")}, builtins, _ROOM)
        self._results: dict[str, _Call | None] = {}  # None: of a call whose result was changed since
        self._effects: dict[str, set[str]] = {}  # of the functions in the text
        self._lost: set[str] = set()  # names of values that have changed, and of nothing that is still known

    def value(self, node: ast.expr) -> Any:
        """Returns the value of a constant expression.

        Raises:
            ValueError: When it is not constant, or no room is left; or TypeError, RecursionError.
        """
        return self._evaluator.value(node)

    def values(self, node: ast.expr) -> list[Any]:
        """Returns the value of an expression as a list of one, none if it is not constant."""
        try:
            return [self._evaluator.value(node)]
        except (ValueError, TypeError, RecursionError):
            return []

    def items_of(self, node: ast.expr) -> list[Any]:
        """Returns what a loop goes over; raises as `value`."""
        return self._evaluator.items_of(node)

    def mentions(self, node: ast.AST) -> bool:
        """Whether an expression holds the entry point, or a name bound to a call of it."""
        names = {self.entry_point, *self._results}
        parts = (getattr(part, "id", None) or getattr(part, "attr", None) for part in ast.walk(node))
        return any(name in names for name in parts)

    def arguments(self, node: ast.expr) -> list[Any] | None:
        """Returns the arguments of a call of the entry point, None if `node` is none that can be read."""
        match node:
            case ast.Name(id=name) if call := self._results.get(name):
                return call.arguments
            # `'abc'.count('a')` is a method of a text, whatever the function under test is called
            case ast.Call(func=ast.Attribute(value=base)) if self._is_value(base):
                return None
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name == self.entry_point:
                named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
                return self._placed(node.args, named, len(node.keywords))
        return None

    def assign(self, node: ast.stmt, targets: Sequence[ast.expr], value: ast.expr) -> None:
        """Follows an assignment: targets stand for its value, or for a call."""
        # Before `forget`: the right side is evaluated with the values that the names have until now.
        arguments = self.arguments(value)
        known = [] if self.mentions(value) else self.values(value)
        self.forget(node)
        for target in targets:
            if isinstance(target, ast.Name) and arguments is not None:
                # The call is remembered, not made: an assert on the name becomes a case of these arguments.
                self._results[target.id] = _Call(arguments)
            elif known:
                with suppress(ValueError):
                    self.bind(target, known[0])

    def bind(self, target: ast.expr, value: Any) -> None:
        """Lets names stand for a value; raises ValueError where they cannot."""
        self._evaluator.bind(target, value)
        for part in ast.walk(target):
            self._results.pop(getattr(part, "id", ""), None)

    def forget(self, node: ast.stmt) -> None:
        """Gives up the values of names that a statement may change, by whatever name they are called."""
        called = [
            one for one in ast.walk(node) if isinstance(one, ast.Call) and called_name(one) in self._effects
        ]
        changed, bound = changed_names(node), bound_names(node)
        for call in called:
            changed |= {one.id for one in call.args if isinstance(one, ast.Name)}
        # What is bound by something unknown, a loop or a call, may be another name of any value.
        known = {*self._evaluator.names, *self._lost, *self._results, *self._effects, self.entry_point}
        self._forget_values(changed, every=bool(changed - known or changed & bound))
        for call in called:
            self._forget_values(self._effects[called_name(call)])
        for name in bound:
            self._evaluator.names.pop(name, None)
        self._lost -= bound
        for name in changed | bound:
            if name in self._results or self.mentions(node):
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

    @contextmanager
    def hiding(self, hidden: set[str]) -> Iterator[None]:
        """What does not see some names of its surroundings."""
        names = self._evaluator.names
        kept = {name: names.pop(name) for name in hidden & names.keys()}
        yield
        self._evaluator.names |= kept

    @contextmanager
    def calling(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[None]:
        """What is done in the body of a function: its names are its own, its effects are seen behind it."""
        inner = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
        effects = effects_of(node).union(*(self._effects.get(called_name(one), ()) for one in inner))
        self._effects[node.name] = effects
        # What the module has bound is visible in the function; what the function binds is forgotten after it.
        names, results, lost = dict(self._evaluator.names), dict(self._results), set(self._lost)
        # Fixtures and parameters hide names of the module.
        for argument in ast.walk(node.args):
            self._evaluator.names.pop(getattr(argument, "arg", ""), None)
            self._lost.discard(getattr(argument, "arg", ""))
        yield
        self._evaluator.names, self._results, self._lost = names, results, lost
        self._forget_values(self._effects[node.name])  # whoever runs tests runs it before those that follow

    def _is_value(self, node: ast.expr) -> bool:
        """Whether an expression is a constant, or what a method returns."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return True
        return bool(self.values(node))

    def _placed(
        self, args: Sequence[ast.expr], named: Mapping[str, ast.expr], keywords: int
    ) -> list[Any] | None:
        """Returns the values of arguments in the order of their parameters, None if one is not known."""
        # Keyword arguments become positional ones, which a call test has; only where every parameter's place
        # is known.
        rest = self._parameters[len(args) : len(args) + len(named)]
        if len(named) != keywords or set(rest) != set(named):
            return None
        try:
            return [self._evaluator.value(node) for node in (*args, *(named[name] for name in rest))]
        except (ValueError, TypeError, RecursionError):
            return None


def called_name(call: ast.Call) -> str:
    """Returns the last part of the name that a call calls."""
    return getattr(call.func, "attr", None) or getattr(call.func, "id", "")
