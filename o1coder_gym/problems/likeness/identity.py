"""The identity of a problem, independent of its task id: the words of its question. It fixes the split.

One question stands in several sets under several task ids (HumanEval in its plus set, MBPP in three forms). A
split by names would put it on both sides.
"""

from __future__ import annotations

import ast
import re
import unicodedata
import warnings

from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.types import Problem

_FEWEST_WORDS = 4
"""A question of fewer words is told by its public tests too."""
_EXAMPLE = re.compile(r"^\s*(?:>>>.*(?:\n(?!\s*(?:>>>|$)).*)*|assert\b.*)$", re.M)
_FENCE = re.compile(r"^\s*```\w*\s*$", re.M)
_FRAME = re.compile(
    r"```\w*|you are an expert python programmer,? and here is your task\b"
    r"|your code should (?:pass|satisfy) (?:this|these|the following) tests?\b",
    re.I,
)
"""What prompts of evaluations put around a question: fences, and the sentences of MBPP's authors."""
_WORD = re.compile(r"\w+")


def split_of(problem: Problem, validation: float) -> str:
    """Returns the split of a problem, the same in every data set, of whatever seed, under whatever name.

    Args:
        problem: The problem.
        validation: Share of all problems that are in the validation split, in [0, 1).
    """
    # 64 bits of the hash as a uniform number: the split depends on the question alone.
    place = int(question_key(problem)[:16], 16)
    return "validation" if place < validation * 2**64 else "train"


def question_key(problem: Problem) -> str:
    """Returns a SHA-256 of the question that ignores layout, case and punctuation.

    Examples, the signature and the function's name do not count.
    """
    words = question_words(problem)
    if len(words) >= _FEWEST_WORDS:
        return content_hash(" ".join(words))
    tests = sorted(map(repr, problem.public_tests))
    return content_hash([problem.prompt.split(), tests])


def question_words(problem: Problem) -> list[str]:
    """Returns the words of the question in order, without its examples; lower case."""
    prose = _FRAME.sub(" ", _EXAMPLE.sub("", _docstring(problem) or problem.prompt))
    name = (problem.entry_point or "").lower()
    return [word for word in _WORD.findall(_plain(prose)) if word != name]


def _plain(text: str) -> str:
    """Returns a text in lower case, one way of writing each character, without invisible ones."""
    shown = (character for character in text if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFKC", "".join(shown)).lower()


def _docstring(problem: Problem) -> str | None:
    """Returns the docstring of the function that a prompt begins, None where a prompt is not code."""
    try:
        with warnings.catch_warnings(action="ignore"):
            nodes = ast.walk(ast.parse(_FENCE.sub("", problem.prompt)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    found = next((node for node in functions if node.name == problem.entry_point), None)
    return ast.get_docstring(found) if found is not None else None
