"""Test code cut into statements: changes of a call to its arguments show from the next statement on."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

from o1coder_gym.sandbox.zygote.program import CompileFailure, compile_source

SETTLE = "__settle__"
"""Name of the function that is called between two statements."""
_BODIES = ("body", "orelse", "finalbody")


def compile_settling(source: bytes, filename: str) -> types.CodeType:
    """Compiles a source so that `SETTLE` is called before each statement but the first of all.

    Parts that ``and`` joins in an assert are statements of their own. Raises as `compile_source`.
    """
    import ast  # where it is needed: few tests are

    try:
        module = ast.parse(source.decode("utf-8", "surrogatepass"), filename)
    except (SyntaxError, ValueError, RecursionError):
        return compile_source(source, filename)
    settle = ast.parse(f"{SETTLE}()").body[0]

    def split(statement: Any) -> Iterator[Any]:
        match statement:
            case ast.Assert(test=ast.BoolOp(op=ast.And(), values=parts)):
                for part in parts:
                    yield ast.copy_location(ast.Assert(part, statement.msg), statement)
            case _:
                yield statement

    # A list: the bodies change while they are walked through.
    for node in list(ast.walk(module)):
        for name in _BODIES:
            body = getattr(node, name, None)
            if isinstance(body, list) and body:
                kept = _preamble(body) if name == "body" else 0
                parts = [part for statement in body[kept:] for part in split(statement)]
                # One node `settle` stands in many places: the compiler only reads it.
                body[kept:] = [one for part in parts for one in (settle, part)]
    try:
        return compile(ast.fix_missing_locations(module), filename, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise CompileFailure from error


def _preamble(body: list[Any]) -> int:
    """Returns how many statements have to stay first: a docstring, and imports from the future."""
    count = 0
    for statement in body:
        is_text = count == 0 and isinstance(getattr(getattr(statement, "value", None), "value", None), str)
        if not (is_text or getattr(statement, "module", "") == "__future__"):
            break
        count += 1
    return count
