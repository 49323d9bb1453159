"""Contest problems: CodeContests (Li et al. 2022), its + and -O versions, and open-r1's Codeforces."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from o1coder_gym.problems.formats.reading.fields import get, optional, python3, syntax_fault, wrong
from o1coder_gym.problems.formats.reading.io_tests import pairs_of, stdio_tests
from o1coder_gym.problems.formats.reading.question_row import limits_of, meta_of, question_row
from o1coder_gym.problems.formats.row_format import Origin, RowFormat
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.types import CheckerTest, StdioTest, TestCase

_PYTHON3 = 3
"""The number of Python 3 among CodeContests' languages."""

_SOURCES = {1: "CodeChef", 2: "Codeforces", 3: "HackerEarth", 4: "CodeJam", 5: "AtCoder", 6: "Aizu"}


def codecontests(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Public: ``public_tests``. Hidden: these, the private and the generated ones.

    The reference is the first solution in Python 3; there is none where all are in other languages.
    """
    if raw.get("input_file") or raw.get("output_file"):
        raise wrong("input_file", "programs that read or write files by name are not supported")
    public, private, generated = (
        _column_tests(raw, name) for name in ("public_tests", "private_tests", "generated_tests")
    )
    number = raw.get("source")
    source = _SOURCES.get(number, "") if isinstance(number, int) else ""
    return question_row(
        origin,
        get(raw, "name", str),
        get(raw, "description", str),
        _some((*public, *private, *generated), "public_tests"),
        public=public,
        reference=python3(_solutions(raw), "solutions"),
        compare="tokens",
        meta=meta_of(raw, "cf_rating", "cf_tags", "difficulty")
        | limits_of(raw, "time_limit", "memory_limit_bytes")
        | ({"source": source} if source else {}),
    )


def _column_tests(raw: Mapping[str, Any], name: str) -> tuple[TestCase, ...]:
    cases = raw.get(name)
    return stdio_tests(pairs_of(cases, name), name) if cases else ()


def _solutions(raw: Mapping[str, Any]) -> Iterable[str]:
    """Yields the solutions in Python 3; the list of languages stands beside that of programs."""
    solutions = optional(raw, "solutions", dict)
    if not solutions:
        return []
    languages, programs = (get(solutions, name, list) for name in ("language", "solution"))
    return [code for language, code in zip(languages, programs, strict=False) if language == _PYTHON3]


def codecontests_plus(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Public: the tests that the description shows, else the first. Hidden: ``test_cases``.

    The checkers of this set are C++ programs and are not run: outputs are compared by tokens.
    """
    cases = stdio_tests(pairs_of(get(raw, "test_cases", list), "test_cases"), "test_cases")
    submissions = [
        get(one, "code", str)
        for one in optional(raw, "correct_submissions", list)
        if str(one.get("language", "")).lower() in ("py3", "python3", "python", "pypy3")
    ]
    return question_row(
        origin,
        get(raw, "id", (str, int)),
        get(raw, "description", str),
        _checked(_some(cases, "test_cases"), optional(raw, "checker", str)),
        reference=python3(submissions, "correct_submissions"),
        compare="tokens",
        meta=meta_of(raw, "source", "title", "true_positive_rate", "true_negative_rate")
        | limits_of(raw, "time_limit", "memory_limit"),
    )


def codecontests_o(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Public: the tests that the description shows, else the first. Hidden: ``corner_cases``."""
    pairs = []
    for index, case in enumerate(get(raw, "corner_cases", list)):
        try:
            pairs.append(
                (get(get(case, "input", dict), "stdin", str), get(get(case, "output", dict), "stdout", str))
            )
        except (TypeError, AttributeError) as error:
            raise wrong(f"corner_cases[{index}]", "expected an object") from error
    return question_row(
        origin,
        get(raw, "name", str),
        get(raw, "description", str),
        _checked(_some(stdio_tests(pairs, "corner_cases"), "corner_cases"), optional(raw, "checker", str)),
        compare="tokens",
    )


def codeforces(raw: Mapping[str, Any], origin: Origin) -> ProblemRow:
    """Public: ``examples``. Hidden: ``official_tests``; judged by ``generated_checker`` where there is one.

    Interactive problems and those that read files by name are refused.
    """
    if raw.get("interaction_format"):
        raise wrong("interaction_format", "interactive problems are not supported")
    if raw.get("input_mode") not in (None, "", "stdio"):
        raise wrong("input_mode", f"{raw['input_mode']!r} is not supported, programs read standard input")
    examples = _listed_tests(raw, "examples")
    tests = _some(tuple(dict.fromkeys((*examples, *_listed_tests(raw, "official_tests")))), "official_tests")
    checker = optional(raw, "generated_checker", str)
    if checker and (fault := syntax_fault(checker)):
        raise wrong("generated_checker", f"not Python: {fault}")
    return question_row(
        origin,
        get(raw, "id", str),
        _statement(raw),
        _checked(tests, checker),
        public=_checked(examples, checker),
        reference=python3(optional(raw, "solutions", list), "solutions"),
        compare="codeforces",
        meta=meta_of(raw, "contest_id", "index", "rating", "tags", "official_tests_complete")
        | limits_of(raw, "time_limit", "memory_limit"),
    )


def _listed_tests(raw: Mapping[str, Any], name: str) -> tuple[TestCase, ...]:
    return stdio_tests(pairs_of(optional(raw, name, list), name), name)


def _statement(raw: Mapping[str, Any]) -> str:
    """Returns the parts of a problem as Codeforces prints them; null ones are left out."""
    parts = [f"# {title}" if (title := raw.get("title")) else "", get(raw, "description", str)]
    for heading, name in (("Input", "input_format"), ("Output", "output_format")):
        parts.append(f"{heading}\n{text}" if (text := raw.get(name)) else "")
    for example in optional(raw, "examples", list):
        parts.append(f"Example input\n{example['input']}\n\nExample output\n{example['output']}")
    parts.append(f"Note\n{text}" if (text := raw.get("note")) else "")
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _checked(tests: tuple[TestCase, ...], checker: str) -> tuple[TestCase, ...]:
    """Returns the tests with a checker in Python; one in another language is not run."""
    if syntax_fault(checker) or not ast.parse(checker).body:  # C++ may be Python comments alone
        return tests
    return tuple(
        CheckerTest(test.stdin, checker, test.stdout) for test in tests if isinstance(test, StdioTest)
    )


def _some(tests: tuple[TestCase, ...], name: str) -> tuple[TestCase, ...]:
    if not tests:
        raise wrong(name, "has no tests")
    return tests


CODECONTESTS = RowFormat(
    frozenset({"description", "public_tests", "private_tests", "generated_tests"}), codecontests
)
CODECONTESTS_PLUS = RowFormat(
    frozenset({"description", "test_cases", "correct_submissions"}), codecontests_plus
)
CODECONTESTS_O = RowFormat(frozenset({"description", "corner_cases"}), codecontests_o)
CODEFORCES = RowFormat(frozenset({"contest_id", "index", "official_tests", "examples"}), codeforces)
