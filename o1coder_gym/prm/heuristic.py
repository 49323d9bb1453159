"""A step scorer without a model: it judges the form of a step. The default where no PRM is given.

It does not know whether an idea is right. It scores programs that cannot run below those that might, and
empty, repeated or unrelated steps below those that share words with the question. Its weights were set by
hand, not fitted; it is the baseline of a trained PRM.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from functools import lru_cache

from o1coder_gym.steps.prompts import question
from o1coder_gym.steps.source import parsed
from o1coder_gym.types import ActionType, Problem, State

_WORD = re.compile(r"[a-z]{3,}")
_STRUCTURE = re.compile(r"\b(?:def|for|if|while|return|else|loop|input|output|returns?)\b", re.I)
_MALFORMED = 0.05
_WORDS_OF_A_PLAN = 20


class HeuristicScorer:
    """Scores steps by their form. Pure; the score of a state depends on its problem and its steps only."""

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        """Scores states, one number in [0, 1] each; 0.5 for a state without steps."""
        return [_score(problem, state) for problem, state in items]


def _score(problem: Problem, state: State) -> float:
    if not state.steps:
        return 0.5
    step = state.steps[-1]
    if step.type is ActionType.MALFORMED:
        return _MALFORMED
    if step.type is ActionType.CODE:
        return _program_score(problem.entry_point, step.text)
    if step.type is ActionType.HELPER:
        return _helper_score(step.text)
    return _plan_score(problem, state)


def _plan_score(problem: Problem, state: State) -> float:
    """Length up to a point, structure, words of the question, something not said before: equal parts."""
    text = state.steps[-1].text
    words = _words(text)
    said = frozenset[str]().union(*(_words(step.text) for step in state.steps[:-1]))
    length = min(1.0, len(text.split()) / _WORDS_OF_A_PLAN)
    structure = min(1.0, len(_STRUCTURE.findall(text)) / 3)
    asked = _words(question(problem))
    # Over the smaller set, so that neither a short step nor a short question caps it.
    relevance = len(words & asked) / max(1, min(len(words), len(asked)))
    novelty = len(words - said) / max(1, len(words))
    return round(0.1 + 0.2 * (length + structure + relevance + novelty), 6)


@lru_cache(maxsize=4096)
def _program_score(entry_point: str | None, code: str) -> float:
    """0.1 for what is not Python; else 0.4, and more for each sign of a whole answer."""
    try:
        with warnings.catch_warnings(action="ignore"):
            nodes = list(ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 0.1
    signs = _whole_program(nodes) if entry_point is None else _whole_function(nodes, entry_point)
    return 0.4 + 0.5 * sum(signs) / len(signs)


@lru_cache(maxsize=4096)
def _helper_score(code: str) -> float:
    """As `_program_score`, of the function that a helper step defines, whatever its name."""
    tree = parsed(code)
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)] if tree else []
    return _program_score(names[0] if names else "", code)


def _whole_function(nodes: Sequence[ast.AST], entry_point: str) -> tuple[bool, ...]:
    """Whether the function is there, returns something, uses all its arguments, and is not a placeholder."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef) and node.name == entry_point:
            body = [inner for statement in node.body for inner in ast.walk(statement)]
            returns = any(isinstance(inner, ast.Return | ast.Yield) and inner.value for inner in body)
            names = {inner.id for inner in body if isinstance(inner, ast.Name)}
            arguments = {argument.arg for argument in (*node.args.posonlyargs, *node.args.args)}
            return True, returns, arguments <= names, not _is_placeholder(node.body)
    return False, False, False, False


def _whole_program(nodes: Sequence[ast.AST]) -> tuple[bool, ...]:
    """Whether a program reads, prints, and does something in between."""
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    reads, prints = "input" in names or "stdin" in attributes, "print" in names or "stdout" in attributes
    return reads, prints, any(isinstance(node, ast.Assign | ast.For | ast.While) for node in nodes)


def _is_placeholder(body: Sequence[ast.stmt]) -> bool:
    last = body[-1]
    if isinstance(last, ast.Expr):
        return isinstance(last.value, ast.Constant)
    return isinstance(last, ast.Pass | ast.Raise)


@lru_cache(maxsize=4096)
def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))
