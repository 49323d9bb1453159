"""Reads test code without running it: which function it calls, with what, and which names it leans on."""

from __future__ import annotations

import ast
import builtins
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from o1coder_gym.errors import ProblemFileError


def parse_code(code: str, field: str) -> ast.Module:
    """Parses Python; without the warnings about its style.

    Raises:
        ProblemFileError: When it is not Python; names the field that it came from.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(code)
    except SyntaxError as error:
        raise ProblemFileError(f"field {field!r}: not Python: {error.msg} (line {error.lineno})") from error
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or "nested too deep"  # a MemoryError of the parser has no words
        raise ProblemFileError(f"field {field!r}: not Python: {reason}") from error


def parse_test(code: str, field: str) -> ast.Module:
    """Parses test code that a program can fail: it asserts, raises or calls something.

    Raises:
        ProblemFileError: When it is not Python, or does none of this.
    """
    module = parse_code(code, field)
    if not any(isinstance(node, ast.Assert | ast.Raise | ast.Call) for node in ast.walk(module)):
        raise ProblemFileError(f"field {field!r}: asserts nothing: every program would pass it")
    return module


def called_function(code: str, reference: str) -> str:
    """Returns the function that an assert calls and the reference defines."""
    defined = {node.name for node in parse_code(reference, "code").body if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(parse_code(code, "test_list")):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined:
            return node.func.id
    raise ProblemFileError("field 'test_list': the first assert calls no function that the code defines")


def called_by(code: str) -> list[str]:
    """Returns the functions that an assert statement calls, builtins left out; none for any other text."""
    if not code.startswith("assert"):
        return []
    try:
        with warnings.catch_warnings(action="ignore"):
            body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    if not all(isinstance(statement, ast.Assert) for statement in body):
        return []
    calls = (node.func for statement in body for node in ast.walk(statement) if isinstance(node, ast.Call))
    names = (call.id for call in calls if isinstance(call, ast.Name))
    return [name for name in names if not hasattr(builtins, name)]


def helpers_for(check: str, reference: str, entry_point: str) -> str:
    """Returns what stands before the entry point, if the check uses names from there.

    Otherwise the candidate's own version of a helper would decide about the candidate.
    """
    before = code_before(reference, entry_point)
    bound = {name for node in parse_code(before, "prompt").body for name in _bound(node)}
    return before + "\n\n" if bound & free_names(check) else ""


def code_before(reference: str, entry_point: str) -> str:
    """Returns the imports and helpers that stand before the entry point, comments aside."""
    before = []
    for node in parse_code(reference, "prompt").body:
        if isinstance(node, ast.FunctionDef) and node.name == entry_point:
            break
        before.append(node)
    return ast.unparse(ast.Module(before, []))


def missing_imports(code: str) -> list[str]:
    """Returns imports of the standard modules that `code` uses (``math.isclose``) but does not import."""
    nodes = ast.walk(parse_code(code, "test"))
    bases = {
        node.value.id
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    return [f"import {name}" for name in sorted(bases & free_names(code) & sys.stdlib_module_names)]


def checked_calls(check: str) -> dict[str, Any]:
    """Returns what a check demands of ``candidate`` for literal arguments, by the arguments."""
    demanded = {}
    for node in ast.walk(parse_code(check, "test")):
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq):
            for args in _literal_calls(node.left, "candidate"):
                try:
                    demanded[repr(args)] = ast.literal_eval(node.comparators[0])
                except (ValueError, TypeError):
                    continue
    return demanded


def calls_of(asserts: Iterable[str], name: str) -> Iterator[list[Any]]:
    """Yields the arguments with which asserts call a function, where they are literals."""
    for code in asserts:
        for node in ast.walk(parse_code(code, "assertion")):
            yield from _literal_calls(node, name)


def compared_view(asserts: Iterable[str]) -> str:
    """Returns what the asserts compare: ``set`` or ``bool`` of the answer, or the answer itself."""
    views = set()
    for code in asserts:
        test = parse_code(code, "assertion").body[0]
        assert isinstance(test, ast.Assert)
        node = test.test
        if isinstance(node, ast.Compare):
            call = node.left
            is_set = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "set"
            views.add("set" if is_set else "")
        else:
            views.add("" if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else "bool")
    return views.pop() if len(views) == 1 else ""


def _literal_calls(node: ast.AST, name: str) -> Iterator[list[Any]]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
        try:
            yield [ast.literal_eval(argument) for argument in node.args]
        except (ValueError, TypeError):
            return


def _bound(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).split(".", 1)[0] for alias in node.names]
    return []


def free_names(code: str) -> set[str]:
    """Returns the names that are read but bound nowhere in `code`; scopes are not told apart."""
    nodes = list(ast.walk(parse_code(code, "test")))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {name for node in nodes if isinstance(node, ast.stmt) for name in _bound(node)}
    return {node.id for node in names} - bound - set(dir(builtins))
