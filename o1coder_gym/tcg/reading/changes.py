"""Which names a statement may change, and which statement may keep what follows from running.

What a model wrote is followed without running it, so a name stands for its value only until something may
have changed it: a name that is bound again, ``data[0] = 5``, ``data.append(3)``, ``random.shuffle(data)``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

_CHANGING = {"append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "add", "discard"}
_CHANGING |= {"update", "setdefault", "popitem", "popleft", "appendleft", "extendleft", "rotate"}
"""Methods that change a list, set, dict or deque."""
_ENDING = {"skip", "skipTest", "xfail", "fail", "exit", "quit"}
"""Calls after which a test does not continue."""
_WHOLE_TEST = 3


def bound_names(statement: ast.stmt) -> set[str]:
    """Returns the names that a statement, or one within it, binds anew or deletes."""
    nodes = [*ast.walk(statement)]
    grown = {node.target for node in nodes if isinstance(node, ast.AugAssign)}
    names = [node for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)]
    aliases = {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
    return aliases | {node.id for node in names if node not in grown}


def changed_names(statement: ast.stmt) -> set[str]:
    """Returns the names whose value a statement, or one within it, may change where it is."""
    return {name for node in ast.walk(statement) for name in _changed_by(node)}


def effects_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Returns the names outside of a function whose values it may change when it is called."""
    inner = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    declared = (node.names for node in ast.walk(function) if isinstance(node, ast.Global | ast.Nonlocal))
    return (changed_names(function) - inner).union(*declared)


def mutable_parts(value: object) -> set[int]:
    """Returns the identities of the lists, sets and dicts in a value, itself included."""
    seen: dict[int, object] = {}  # each once: parts may be shared without end
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, list | tuple | set | dict) and id(one) not in seen:
            seen[id(one)] = one
            left += [*one, *one.values()] if isinstance(one, dict) else one
    return {place for place, one in seen.items() if not isinstance(one, tuple)}


def _changed_by(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.AugAssign(target=target):  # a list grows where it is
            yield from _base(target)
        case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
            yield from _base(node)
        case ast.Attribute(attr=method) if method in _CHANGING:  # called here, or handed to what calls it
            yield from _base(node)
        # The one call for effect that models write everywhere, and that changes nothing.
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"))):
            return
        case ast.Expr(value=ast.Call(args=arguments)):  # what is called for its effect may change them
            yield from (argument.id for argument in arguments if isinstance(argument, ast.Name))


def _base(node: ast.expr) -> Iterator[str]:
    """Yields the name that ``data[0].items`` begins with."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def end_of(statement: ast.stmt) -> ast.stmt | None:
    """Returns a statement within `statement` that may keep what follows from running, the furthest reaching.

    ``continue`` reaches to the end of a turn, ``break`` to that of a loop, any other to that of the test.
    """
    # A loop swallows its own `continue` and `break`; a `return` in it reaches beyond.
    least = _WHOLE_TEST if isinstance(statement, ast.For | ast.AsyncFor | ast.While) else 1
    ends = [node for node in _own_parts(statement) if isinstance(node, ast.stmt) and _reach(node) >= least]
    return max(ends, key=_reach, default=None)


def _own_parts(node: ast.AST) -> Iterator[ast.AST]:
    """Yields what a statement holds, without the bodies of functions."""
    yield node
    for child in ast.iter_child_nodes(node):
        # A `return` in an inner function ends that function alone.
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _own_parts(child)


def _reach(node: ast.stmt) -> int:
    match node:
        case ast.Continue():
            return 1
        case ast.Break():
            return 2
        case ast.Return() | ast.Raise():
            return _WHOLE_TEST
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name))) if name in _ENDING:
            return _WHOLE_TEST
    return 0
