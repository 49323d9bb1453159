"""The template of the test case generator (paper, figure 3), in its two modes.

Mode A shows the question and a solution; mode B, which the paper only mentions, the question alone. The
paper does not print how a case is written; here it is an assert, or for whole programs a block with the
labels ``Input:`` and ``Output:``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from o1coder_gym.sandbox.values.comparison import DEFAULT_TOLERANCE
from o1coder_gym.steps import prompts
from o1coder_gym.steps.formats import Prompt
from o1coder_gym.types import AssertTest, CallTest, CheckerTest, CheckTest, Problem, StdioTest, TestCase

CASES = 3
"""Cases per sample, as in the paper."""

_WITH_CODE = (
    "Please complete the code in the code part, and generate test cases in the test part that can check the "
    "quality of the generated code."
)
_WITHOUT_CODE = (
    "Please generate test cases in the test part that can check the quality of code that solves the problem."
)
_FUNCTION_FORM = "Write each one on a line of its own: assert {entry_point}(<arguments>) == <expected output>"
_PROGRAM_FORM = "Write each one as a line Input: with the input below it, then a line Output: likewise."
_CASE_LINE = re.compile(r"^[ \t]*assert\b.*\n", re.M)
_INPUT_LABEL = re.compile(r"^Input:", re.M)
_EQUALITY = (None, DEFAULT_TOLERANCE)
"""Tolerances of tests that are written, and read again, as equalities."""
_END = re.compile(r"^(?:###|```[ \t]*$)", re.M)


def instruction(problem: Problem, reference: str | None, cases: int = CASES) -> str:
    """Returns what γ_TCG is shown (paper, figure 3), up to and including the request for test cases.

    Args:
        problem: The question.
        reference: A solution for mode A; None for mode B, in which the public examples are shown.
        cases: How many cases to ask for.
    """
    form = _PROGRAM_FORM if problem.entry_point is None else _FUNCTION_FORM
    parts = [("Instruction", _WITHOUT_CODE if reference is None else _WITH_CODE)]
    parts += [("Problem", prompts.question(problem) if reference is None else problem.prompt.strip("\n"))]
    if reference is not None:
        parts.append(("Code Part", reference.strip("\n")))
    request = f"Please generate {cases} test cases. {form.format(entry_point=problem.entry_point)}"
    parts.append(("Test Part", request))
    return "\n".join(f"### {title}\n{body}" for title, body in parts)


def prompt(problem: Problem, reference: str | None, cases: int = CASES) -> Prompt:
    """Returns the instruction as one user turn; arguments as for `instruction`."""
    return Prompt((("user", instruction(problem, reference, cases)),), "", "")


def write_cases(tests: Sequence[TestCase], entry_point: str | None) -> str:
    """Returns cases as a generator writes them; `parsing.parse_tests` reads them back."""
    return "\n".join(_write_case(test, entry_point) for test in tests) + "\n"


def end_of_cases(text: str, cases: int) -> int | None:
    """Returns where a completion ends: after `cases` cases, or before the next heading; None while open.

    Args:
        text: The completion so far.
        cases: How many cases were asked for.
    """
    ends = [match.end() for match in _CASE_LINE.finditer(text)][cases - 1 : cases]
    # The (n + 1)-th label shows that n cases are whole; an assert shows it by its own line end.
    ends += [match.start() for match in _INPUT_LABEL.finditer(text)][cases : cases + 1]
    ends += [
        match.start() for match in _END.finditer(text) if match.start() > 0 and text[: match.start()].strip()
    ]
    return min(ends, default=None)


def _write_case(test: TestCase, entry_point: str | None) -> str:
    match test:
        case CallTest(args, expected, tol):
            call = f"{entry_point}({args.strip()[1:-1].strip()})"
            return f"assert {call} == {expected}" if tol in _EQUALITY else _within(call, expected, tol)
        case StdioTest(stdin, stdout) | CheckerTest(stdin, _, stdout):
            return f"Input:\n{stdin.rstrip()}\nOutput:\n{stdout.rstrip()}"
        case AssertTest(code) | CheckTest(code):
            return code.strip()


def _within(call: str, expected: str, tol: float) -> str:
    """Writes a tolerance as the judge has it: ``abs(a - b) <= tol + tol * abs(b)``."""
    number = float(expected)
    shown = f"({expected})" if number < 0 else expected
    return f"assert abs({call} - {shown}) <= {tol + tol * abs(number)!r}"


def is_writable(test: TestCase) -> bool:
    """Whether `write_cases` says all of a test: a tolerance can be written for a single number alone."""
    if isinstance(test, CallTest) and test.tol not in _EQUALITY:
        try:
            return math.isfinite(float(test.expected))
        except ValueError:
            return False
    return getattr(test, "compare", None) is None
