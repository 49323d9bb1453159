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


def changed_names(statement: ast.stmt) -> set[str]:
    """Returns the names that a statement, or one within it, binds or deletes, or whose value it changes."""
    return {name for node in ast.walk(statement) for name in _changed_by(node)}


def _changed_by(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
            yield from _base(node)
        case ast.Call(func=ast.Attribute(attr=method) as called) if method in _CHANGING:
            yield from _base(called)
        # The one call for effect that models write everywhere, and that changes nothing.
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"))):
            return
        case ast.Expr(value=ast.Call(args=arguments)):  # what is called for its effect may change them
            yield from (argument.id for argument in arguments if isinstance(argument, ast.Name))
        case ast.alias(name=name, asname=other):
            yield other or name


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
