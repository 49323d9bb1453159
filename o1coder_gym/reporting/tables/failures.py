"""Faults of answers, found by rules that read only the result row: for counting, not for judging.

The rules ask in the order of `RULES` and the first that holds names the failure, so counts add up to the
answers. What the worked example of a format leaves in programs is asked for: types in words, which are no
Python, and its function.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType

from o1coder_gym.reporting.results import ResultRow
from o1coder_gym.steps.prompts import EXAMPLE_QUESTION
from o1coder_gym.types import Outcome

_WORDED_TYPE = re.compile(r"^\s*def .*(?::|->)\s*[A-Za-z]+ (?:of|or) [A-Za-z]", re.MULTILINE)
_EXAMPLE = re.compile(r"`(\w+)\(").findall(EXAMPLE_QUESTION)[0]
_BUILT_IN = frozenset(dir(builtins))


def _has_worded_type(row: ResultRow) -> bool:
    return row.outcome is Outcome.COMPILE_ERROR and _WORDED_TYPE.search(row.code or "") is not None


def _is_the_example(row: ResultRow) -> bool:
    return f"def {_EXAMPLE}(" in (row.code or "")


def _calls_the_unknown(row: ResultRow) -> bool:
    """Whether a program calls a plain name that nothing in it could have bound."""
    try:
        nodes = [*ast.walk(ast.parse(row.code or ""))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # no Python, or nested without end
        return False
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in nodes):
        return False
    calls = (node.func for node in nodes if isinstance(node, ast.Call))
    called = {function.id for function in calls if isinstance(function, ast.Name)}
    return not called <= _BUILT_IN | {name for node in nodes for name in _bound(node)}


def _bound(node: ast.AST) -> Iterable[str]:
    """Returns the names that a node of a program binds."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return (name,)
        case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
            return (name,)
        case ast.alias(name=name, asname=other):
            return (other or name.partition(".")[0],)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return (name,)
    return ()


RULES: Mapping[str, Callable[[ResultRow], bool]] = MappingProxyType(
    {
        "no answer: an engine or a judge failed": lambda row: bool(row.error),
        "cut by the budget before a program": lambda row: row.code is None and row.cut,
        "no program": lambda row: row.code is None,
        "types in words, as in pseudocode": _has_worded_type,
        "no Python": lambda row: row.outcome is Outcome.COMPILE_ERROR,
        "the worked example's function": _is_the_example,
        "calls a function that is nowhere": _calls_the_unknown,
        "raises": lambda row: row.outcome is Outcome.RUNTIME_ERROR,
        "too slow or too large": lambda row: row.outcome in (Outcome.TIMEOUT, Outcome.MEMORY),
        "wrong, and fails tests it could see": lambda row: row.value < 1,
        "wrong, and passes all tests it could see": lambda row: True,
    }
)
"""What can be wrong with an answer, by name."""


def failure_of(row: ResultRow) -> str:
    """Returns the first of `RULES` that holds for an answer; empty for one that solves its problem."""
    return "" if row.solved else next(name for name, holds in RULES.items() if holds(row))


def count_failures(rows: Iterable[ResultRow], tasks: Collection[str]) -> dict[str, int]:
    """Counts the faults of answers to some problems, in the order of `RULES`.

    Args:
        rows: Of one setting; those that do not count and those that solve their problem are left out.
        tasks: Ids of the problems.
    """
    found = Counter(failure_of(row) for row in rows if row.counted and row.task_id in tasks)
    return {name: found[name] for name in RULES if found[name]}
