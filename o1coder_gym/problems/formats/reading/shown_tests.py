"""Which tests a question shows: those that its examples print, line for line, and no others.

A test that merely occurs somewhere in the text is not shown: "0 → 1" would be, wherever "100" is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from o1coder_gym.problems.formats.reading.docstring_examples import docstring_examples
from o1coder_gym.sandbox.values.comparison import equal
from o1coder_gym.sandbox.values.literals import encode_literal
from o1coder_gym.types import CallTest, StdioTest, TestCase

_HEADING = re.compile(r"[\W_]*(?:(?:sample|example)s?\W*)?(?:test\W*)?(input|output)s?[ \t]*#?\d*\W*", re.I)
_INLINE = re.compile(r"[\W_]*(?:(?:sample|example)s?\W*)?(input|output)s?\s*\d*\W*[:=]\W*?\s(.*\S)\W*", re.I)
_END = re.compile(
    r"[\W_]*(?:explanations?|notes?|constraints?|examples?|samples?|scoring|subtasks?)\b.*", re.I
)
_FENCE = re.compile(r"\s*```\w*\s*")


@dataclass(slots=True)
class _Example:
    """The lines of one example, blank ones left out; grows while it is read."""

    stdin: list[str] = field(default_factory=list)
    stdout: list[str] = field(default_factory=list)


def shown_tests(question: str, tests: Iterable[TestCase], entry_point: str | None) -> tuple[TestCase, ...]:
    """Returns the tests that the examples of a question print.

    A test of a whole program is shown by an example whose input is its input, line for line, and whose
    output begins with its output; a call by the call, or by its arguments by name, and the same value.

    Args:
        question: The text, with the signature of the function if the tests are calls.
        tests: All tests.
        entry_point: The function; None for whole programs.
    """
    tests = tuple(tests)
    if entry_point is None:
        examples = list(_examples(question))
        return tuple(test for test in tests if any(_prints(example, test) for example in examples))
    known = [_encoded(one) for one in docstring_examples(question.replace("`", ""), entry_point)]
    calls = [test for test in tests if known and isinstance(test, CallTest)]
    return tuple(test for test in calls if any(equal(_encoded(test), one) for one in known))


def _encoded(test: CallTest) -> str:
    """Returns a call with its value, as the judge reads literals, ``inf`` among them; empty if it cannot."""
    try:
        return encode_literal(f"[{test.args}, {test.expected}]")
    except ValueError:
        return ""


def _prints(example: _Example, test: TestCase) -> bool:
    if not isinstance(test, StdioTest):
        return False
    stdin, stdout = _lines(test.stdin), _lines(test.stdout)
    return stdin == example.stdin and bool(stdout) and stdout == example.stdout[: len(stdout)]


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.split("\n") if line.strip()]


def _examples(question: str) -> Iterator[_Example]:
    """Yields what stands between a heading "Input", a heading "Output" and the next one."""
    example, block = _Example(), None
    for line in question.split("\n"):
        if _FENCE.fullmatch(line):
            continue
        which, rest = _heading(line)
        if which == "input":
            yield example
            example = _Example()
            block = example.stdin
        elif which == "output":
            block = example.stdout
        elif which == "end":
            block = None
        elif block is not None:
            block += _lines(line)
        if rest and block is not None:
            block += _lines(rest)
    yield example


def _heading(line: str) -> tuple[str, str]:
    """Returns which part a line begins, if any, and what of the part stands in the same line."""
    if match := _HEADING.fullmatch(line):
        return match.group(1).lower(), ""
    if match := _INLINE.fullmatch(line):
        return match.group(1).lower(), match.group(2)
    return ("end", "") if _END.fullmatch(line) else ("", "")
