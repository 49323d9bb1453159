"""First-order AST mutants of a reference solution: small bugs that good tests find.

A mutant differs from the reference in one place. Operators are those of the mutation-testing
literature (Offutt et al. 1996, "sufficient operators"; MutPy, mutmut): arithmetic, comparison,
logic, constants, conditions, statements, slices, returns and look-alike builtins. Mutants whose byte
code equals the reference's or another's are dropped (trivial compiler equivalence, Papadakis 2015);
other equivalent mutants remain, so no suite kills them all.
"""

from __future__ import annotations

import ast
import copy
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, TypeAlias

from o1coder_gym.tcg.reading.literals import parse_source

_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_LOOKALIKES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "upper": "lower",
    "lower": "upper",
    "isupper": "islower",
    "islower": "isupper",
    "ceil": "floor",
    "floor": "ceil",
    "startswith": "endswith",
    "endswith": "startswith",
    "union": "intersection",
    "intersection": "union",
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A reference with one small change.

    Attributes:
        code: The whole program, as `ast.unparse` writes it.
        operator: Which kind of change, one of `OPERATORS`.
        line: Line of the reference that changed, from 1.
    """

    code: str
    operator: str
    line: int


Change: TypeAlias = Iterator[ast.AST]
"""Replacements of one node; each is a new node, the node itself stays as it is."""


def mutants(
    code: str, *, entry_point: str | None = None, limit: int | None = None, seed: int = 0
) -> list[Mutant]:
    """Makes the mutants of a program.

    Args:
        code: Python source; parsed and compiled, never run.
        entry_point: Function under test; what it cannot reach is left alone. None: all is changed.
        limit: At most this many, drawn uniformly; None for all.
        seed: Fixes the draw.

    Returns:
        Mutants in order of the source, without duplicates; none if `code` does not parse.
    """
    tree = parse_source(code)
    original = _fingerprint(ast.unparse(tree)) if tree else None
    if tree is None or original is None:
        return []
    seen = {original}
    found = []
    for mutant in _changes(tree, _unreachable(tree, entry_point)):
        fingerprint = _fingerprint(mutant.code)
        if fingerprint is not None and fingerprint not in seen:
            seen.add(fingerprint)
            found.append(mutant)
    if limit is None or len(found) <= limit:
        return found
    # Uniform over mutants, then in order of the source: rates do not favour one operator.
    chosen = sorted(random.Random(seed).sample(range(len(found)), limit))
    return [found[index] for index in chosen]


def _unreachable(tree: ast.Module, entry_point: str | None) -> set[ast.AST]:
    """Returns the functions at the top that neither the entry point nor the rest of the module names."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if entry_point not in functions:
        return set()
    waiting: list[ast.AST] = [functions[entry_point]]
    waiting += [node for node in tree.body if not isinstance(node, ast.FunctionDef)]
    reached = {entry_point}
    while waiting:
        names = {node.id for node in ast.walk(waiting.pop()) if isinstance(node, ast.Name)}
        found = names & functions.keys() - reached
        reached |= found
        waiting += [functions[name] for name in found]
    return {node for name, node in functions.items() if name not in reached}


def _changes(tree: ast.Module, untouched: set[ast.AST]) -> Iterator[Mutant]:
    """Yields every single-place change of `tree` outside of `untouched`; it is put back after each."""
    for parent, field, index, node in _places(tree, untouched):
        for operator, change in OPERATORS.items():
            for replacement in change(node):
                ast.copy_location(replacement, node)
                _put(parent, field, index, replacement)
                # In place and back, not on a copy of the tree: a program has hundreds of mutants.
                source = ast.unparse(ast.fix_missing_locations(tree))
                _put(parent, field, index, node)
                yield Mutant(source, operator, getattr(node, "lineno", 1))


def _places(node: ast.AST, untouched: set[ast.AST]) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Yields parent, field, index in it and node for all that may change, in order of the source."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "type_comment", "decorator_list"):
            continue
        items = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in items:
            if not isinstance(child, ast.AST) or child in untouched:
                continue
            if not _is_docstring(node, field, index, child):
                yield node, field, index, child
                yield from _places(child, untouched)


def _is_docstring(parent: ast.AST, field: str, index: int | None, child: ast.AST) -> bool:
    first = field == "body" and index == 0 and not isinstance(parent, ast.Lambda | ast.IfExp)
    return first and isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)


def _put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _with(node: ast.AST, **fields: Any) -> Any:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _arithmetic(node: ast.AST) -> Change:
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _ARITHMETIC:
        yield _with(node, op=_ARITHMETIC[type(node.op)]())


def _comparison(node: ast.AST) -> Change:
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            for other in _COMPARISONS[type(operator)]:
                yield _with(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]])


def _logic(node: ast.AST) -> Change:
    if isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.And() if isinstance(node.op, ast.Or) else ast.Or())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield copy.copy(node.operand)


def _constant(node: ast.AST) -> Change:
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float):
        yield ast.Constant(value + 1)
        yield ast.Constant(value - 1)
    elif isinstance(value, str):
        yield ast.Constant("" if value else "x")


def _condition(node: ast.AST) -> Change:
    if isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, ast.Constant):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield _with(node, ifs=node.ifs[1:])


def _statement(node: ast.AST) -> Change:
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Expr):
        yield ast.Pass()
    elif isinstance(node, ast.Break):
        yield ast.Continue()
    elif isinstance(node, ast.Continue):
        yield ast.Break()


def _slice(node: ast.AST) -> Change:
    if isinstance(node, ast.Slice):
        for bound in ("lower", "upper", "step"):
            if getattr(node, bound) is not None:
                yield _with(node, **{bound: None})


def _return(node: ast.AST) -> Change:
    if isinstance(node, ast.Return) and node.value is not None:
        yield ast.Return(ast.Constant(None))


def _lookalike(node: ast.AST) -> Change:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in _LOOKALIKES:
        yield _with(node, id=_LOOKALIKES[node.id])
    elif isinstance(node, ast.Attribute) and node.attr in _LOOKALIKES:
        yield _with(node, attr=_LOOKALIKES[node.attr])


OPERATORS: dict[str, Callable[[ast.AST], Change]] = {
    "arithmetic": _arithmetic,
    "comparison": _comparison,
    "logic": _logic,
    "constant": _constant,
    "condition": _condition,
    "statement": _statement,
    "slice": _slice,
    "return": _return,
    "lookalike": _lookalike,
}


def _fingerprint(source: str) -> tuple[object, ...] | None:
    """Returns the byte code of a program, None if it does not compile."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return _byte_code(compile(source, "<program>", "exec"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _byte_code(code: CodeType) -> tuple[object, ...]:
    """Returns what a code object does, without names of files and places in them."""
    constants = tuple(
        _byte_code(item) if isinstance(item, CodeType) else (type(item).__name__, repr(item))
        for item in code.co_consts
    )
    return (
        code.co_code,
        constants,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_exceptiontable,
    )
