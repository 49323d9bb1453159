"""Text as Python source: its syntax, its errors, its definitions. Nothing is run."""

from __future__ import annotations

import ast
import re
import threading
import warnings
from functools import lru_cache

_quiet = threading.Lock()


def parsed(code: str) -> ast.Module | None:
    """Returns a program's syntax tree, None if it is not Python."""
    return _read(code)[0]


def broken_line(code: str) -> int:
    """Returns the number, from 1, of the first line that breaks a program's syntax; 0 if none does."""
    return _read(code)[1]


def does_something(code: str) -> bool:
    """Whether it is Python and more than names, constants and ``return``, as one word may be by itself."""
    tree = parsed(code)
    return tree is not None and any(map(_acts, tree.body))


def defines(code: str, name: str) -> bool:
    """Whether a program, broken or not, defines a function, a class, a method or a variable of that name."""
    word = re.escape(name.rpartition(".")[2].removesuffix("()"))
    # What calls itself, other than in a lambda, uses what was defined before: is_prime = is_prime(7).
    used = rf"(?:(?!\blambda\b).)*?(?<![\w.]){word}[ \t]*\("
    pattern = (
        rf"^[ \t]*(?:(?:async[ \t]+)?def|class)[ \t]+{word}\b"
        rf"|^{word}[ \t]*(?::[^=\n]+)?=(?!=)(?!{used})"
    )
    return re.search(pattern, code, re.M) is not None


@lru_cache(maxsize=64)
def _read(code: str) -> tuple[ast.Module | None, int]:
    # filters of warnings are the process's own: two threads that change and restore them must take turns
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code), 0
        except SyntaxError as error:
            return None, error.lineno or 1
        except (ValueError, RecursionError, MemoryError):
            return None, 1


def _acts(line: ast.stmt) -> bool:
    if isinstance(line, ast.Expr):
        return any(isinstance(node, ast.Call) for node in ast.walk(line))
    return not isinstance(line, ast.Return | ast.Break | ast.Continue)
