"""Feedback on a program: bounded sentences on the public tests, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from o1coder_gym.types import (
    AssertTest,
    CallTest,
    CaseResult,
    CheckerTest,
    CheckTest,
    Outcome,
    Problem,
    StdioTest,
    TestCase,
    Verdict,
)

MAX_FAILURES = 3
"""Failed public tests that are spelled out."""

MAX_PIECE_CHARS = 200
"""Longest quotation of a call, a value or an error."""

MAX_CHARS = 4_096
"""Upper bound of any feedback."""


def describe(problem: Problem, verdict: Verdict) -> str:
    """Describes the verdict on a committed program.

    Args:
        problem: The question with its public tests.
        verdict: On the public tests first, then on further tests; of those only the count is told.

    Returns:
        At most `MAX_CHARS` characters: the score, and call, got and expected of failed public tests.
    """
    if verdict.outcome is Outcome.INFRASTRUCTURE:
        return "The judge itself failed; this says nothing about the program."
    if verdict.outcome is Outcome.COMPILE_ERROR:
        return f"The program does not compile: {clip(verdict.error)}"
    if not verdict.tests:
        if verdict.outcome is Outcome.NO_TESTS:
            return "The program loads; there are no tests that it could pass."
        return _reason(verdict)
    # Of further tests only the count: their inputs and outputs would leak into the next attempt.
    public = verdict.tests[: len(problem.public_tests)]
    further = verdict.tests[len(problem.public_tests) :]
    lines = [*_scores(public, further), *_failures(problem, public)]
    return "\n".join(lines)[:MAX_CHARS]


def clip(text: str, limit: int = MAX_PIECE_CHARS) -> str:
    """Returns `text` on one line, cut to `limit` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _scores(public: Sequence[CaseResult], further: Sequence[CaseResult]) -> Iterator[str]:
    for results, name in ((public, "public"), (further, "further")):
        if results:
            passed = sum(result.outcome is Outcome.PASS for result in results)
            yield f"{passed} of {len(results)} {name} tests passed."


def _failures(problem: Problem, results: Sequence[CaseResult]) -> Iterator[str]:
    failed = [
        (test, result)
        for test, result in zip(problem.public_tests, results, strict=True)
        if result.outcome is not Outcome.PASS
    ]
    for test, result in failed[:MAX_FAILURES]:
        yield f"- {_call(problem, test)}: {_result(test, result)}"
    if len(failed) > MAX_FAILURES:
        yield f"- and {len(failed) - MAX_FAILURES} more"


def _call(problem: Problem, test: TestCase) -> str:
    match test:
        case CallTest(args):
            return clip(f"{problem.entry_point}({args.strip()[1:-1]})")
        case AssertTest(code):
            return clip(code)
        case CheckTest():
            return f"check({problem.entry_point})"
        case StdioTest(stdin) | CheckerTest(stdin):
            return f"input {clip(repr(stdin))}"


def _result(test: TestCase, result: CaseResult) -> str:
    if result.outcome is not Outcome.WRONG_ANSWER:
        return f"{result.outcome.value}" + (f", {clip(result.error)}" if result.error else "")
    got = "" if result.got is None else f"got {clip(result.got)}"
    match test:
        case CallTest(_, expected):
            expectation = f"expected {clip(expected)}"
        case StdioTest(_, stdout) | CheckerTest(_, _, stdout):
            expectation = f"expected {clip(repr(stdout))}"
        case AssertTest() | CheckTest():
            expectation = clip(result.error)
    return ", ".join(part for part in (got, expectation) if part) or Outcome.WRONG_ANSWER.value


def _reason(verdict: Verdict) -> str:
    return f"The program does not load: {verdict.outcome.value}, {clip(verdict.error)}"
