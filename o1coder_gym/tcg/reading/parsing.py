"""Reads test cases from whatever a model wrote. Nothing is ever run or eval'ed.

Function problems, the first of these that finds something: Python assertions (`assertions.py`); calls with
an arrow, a word or a comment before their result (``f(2) -> 4``, ``print(f(2))  # 4``, ``>>> f(2)``);
labelled lines (``Input: n = 2`` / ``Output: 4``); data (lists and objects of inputs and outputs).
Whole programs: labelled blocks of text, or data with strings.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, TypeAlias

from o1coder_gym.tcg.reading.assertions import MAX_CASES, AssertionReader
from o1coder_gym.tcg.reading.io_pairs import find_labelled, find_pairs
from o1coder_gym.tcg.reading.literals import call_at, fold, parse_expression, read_literal, write_literal
from o1coder_gym.tcg.reading.statements import DENIED, find_statements
from o1coder_gym.types import AssertTest, CallTest, CheckerTest, StdioTest, TestCase

MAX_TEXT = 40_000
"""Characters of a text that are looked at."""

Cases: TypeAlias = list[TestCase | None]
"""Cases in order; None stands for one that was written and could not be read."""

_SIGN = re.compile(
    r"[`*)\s]*?(?:#\s*)?(?:[=-]+>|==?|➞|→|:(?=\s)|(?:is\s+|should\s+|will\s+|must\s+|would\s+)?"
    r"(?:be\s+|equals?|returns?|outputs?|expected(?: output| result)?|results? in)\b:?|#)[`*:\s]*",
    re.I,
)


@dataclass(frozen=True, slots=True)
class ParsedTests:
    """What was read from one text.

    Attributes:
        tests: Readable cases without duplicates and without contradictions.
        written: Cases that the model wrote, readable or not, duplicates included.
        unreadable: Of these, the ones that could not be read.
        contradictory: Cases of which another one has the same input and another output; one of them is
            wrong, and nothing tells which.
    """

    tests: tuple[TestCase, ...]
    written: int
    unreadable: int
    contradictory: tuple[TestCase, ...] = ()

    @property
    def duplicates(self) -> int:
        """Readable cases that came before."""
        return self.written - self.unreadable - len(self.tests) - len(self.contradictory)


def parse_tests(text: str, entry_point: str | None, parameters: Sequence[str] = ()) -> ParsedTests:
    """Reads the cases in a text.

    Args:
        text: What a model wrote; only the first `MAX_TEXT` characters are read.
        entry_point: Function under test; None for whole programs.
        parameters: Names of its parameters, where they are known: for keyword and labelled arguments.
    """
    # half of a surrogate pair, which servers send now and then, can be in no file and no standard input
    text = text[:MAX_TEXT].encode(errors="replace").decode()
    cases: Cases = []
    for reader in _readers(entry_point, parameters):
        # A reader that reads something wins; else the one that has seen most cases, so that they are counted
        # as unreadable.
        cases = max(cases, reader(text)[:MAX_CASES], key=lambda found: (any(found), len(found)))
        if any(cases):
            break
    kept, contradictory = without_contradictions([*dict.fromkeys(case for case in cases if case is not None)])
    return ParsedTests(kept, len(cases), sum(case is None for case in cases), contradictory)


def cases_in_any_form(text: str, entry_point: str | None, parameters: Sequence[str] = ()) -> list[TestCase]:
    """Returns what any reader finds in a text, not the first one alone; arguments as of `parse_tests`."""
    found = (reader(text[:MAX_TEXT]) for reader in _readers(entry_point, parameters))
    return [case for cases in found for case in cases if case is not None]


def without_contradictions(
    tests: Sequence[TestCase],
) -> tuple[tuple[TestCase, ...], tuple[TestCase, ...]]:
    """Parts distinct tests into those whose input has one output, and those that contradict each other."""
    # The tests are distinct, so two of one input differ in their output.
    outputs = Counter(_input_of(test) for test in tests)
    alone = [outputs[_input_of(test)] == 1 for test in tests]
    return tuple(compress(tests, alone)), tuple(compress(tests, (not single for single in alone)))


def _readers(entry_point: str | None, parameters: Sequence[str]) -> Sequence[Callable[[str], Cases]]:
    return _program_readers() if entry_point is None else _function_readers(entry_point, parameters)


def _function_readers(name: str, parameters: Sequence[str]) -> Sequence[Callable[[str], Cases]]:
    return (
        lambda text: _assertions(text, name, parameters),
        lambda text: list(_calls(text, name)),
        lambda text: list(_labelled_arguments(text, name, parameters)),
        lambda text: list(_data_arguments(text, len(parameters))),
    )


def _program_readers() -> Sequence[Callable[[str], Cases]]:
    return (lambda text: list(_data_texts(text)), lambda text: list(_labelled_texts(text)))


def _input_of(case: TestCase) -> str:
    match case:
        case CallTest(args):
            return args
        case StdioTest(stdin) | CheckerTest(stdin):
            return stdin
        case AssertTest(code):
            left, equals, _ = code.rpartition(" == ")
            return left if equals else code.replace("assert not ", "assert ", 1)
        case _:
            return repr(case)


def _assertions(text: str, name: str, parameters: Sequence[str]) -> Cases:
    statements = find_statements(text)
    reader = AssertionReader(name, parameters)
    reader.read(statements.found)
    return [*reader.cases, *[None] * statements.broken]


def _calls(text: str, name: str) -> Iterator[TestCase | None]:
    """Yields calls that are followed by their result on the line, or on the next one after ``>>>``."""
    end = 0
    for match in re.finditer(rf"(?<![\w.])(?<!def ){re.escape(name)}\s*\(", text):
        call = call_at(text, match.start())
        before = text[: match.start()].rpartition("\n")[2]
        is_joined = end and "print(" not in before and _JOINED.fullmatch(text[end : match.start()])
        in_assert = "assert" in before  # was read as one, or left out
        if call is not None:
            end = match.start() + len(ast.get_source_segment(text[match.start() :], call) or "")
        if in_assert or call is None or call.keywords or is_joined or _is_inner(before):
            continue
        result = _result_after(text[: match.start()], text[end:])
        if result is not None:
            yield _call_test(call, result)


_OPERATOR = re.compile(r"(?:[=!<>]=|[+/%&|^~]|(?<![>=-])[<>]|\bnot)\s*$")
_TIMES = re.compile(r"[\w)\]](?:\s+\*\s*|\*)$")
_JOINED = re.compile(r"[ \t`]*(?:,|-|\*|and|or)[ \t`]*")
"""Between two calls that have one result: ``f(2), f(3) -> (4, 9)``, the sum of f(2) and f(3)."""


def _is_inner(before: str) -> bool:
    """Whether a call is a part of a larger expression, whose result is not the call's: ``len(f(2))  # 1``.

    Args:
        before: The line up to the call.
    """
    bare = before.replace(">>>", "").rstrip("`* ")
    if _OPERATOR.search(bare) or _TIMES.search(before):
        return True
    opened = max((bare.rfind(mark) for mark in "([{"), default=-1)
    is_open = sum(map(bare.count, "([{")) > sum(map(bare.count, ")]}"))
    # a bracket of prose stands alone: (f(2) is 4); `print(f(2), f(3))` prints two results
    in_call = is_open and re.search(r"\w$", bare[: max(opened, 0)])
    return bool(in_call) and re.search(r"\bprint\($", bare) is None


def _result_after(before: str, after: str) -> str | None:
    """Returns the text of the result that is given after a call, None if none is."""
    line, _, below = after.partition("\n")
    sign = _SIGN.match(line)
    if sign and "==" in sign[0] and (DENIED.search(line) or below.partition("\n")[0].strip() == "False"):
        return None
    if sign:
        return line[sign.end() :]
    following = below.partition("\n")[0]
    if not line.strip(" )`") and (comment := _COMMENT.match(following)):
        return following[comment.end() :]
    # Only an interpreter session gives its result on the next line without a mark.
    if before.rpartition("\n")[2].strip() != ">>>":
        return None
    compared = _COMPARED.fullmatch(line)
    if compared and following.strip() == "True":
        return compared[1]
    return following if not line.strip() else None


_COMPARED = re.compile(r"\s*(?:==|is)\s+(.+)")
_COMMENT = re.compile(
    r"\s*#\s*(?:expected\s+)?(?:output|result|returns?|prints?)\s*:\s*|\s*#\s*[=-]+>\s*", re.I
)


def _call_test(call: ast.Call, result: str) -> CallTest | None:
    try:
        arguments = write_literal([fold(argument) for argument in call.args])
    except ValueError:
        return None
    expected = _leading_literal(result)
    return None if expected is None else CallTest(arguments, expected)


_NOT_ALL = re.compile(
    r"\s*[,;(]?\s*(?:or|in (?:any|some|either|no)|(?:any|some|no particular|arbitrary) order|(?:the )?order\b"
    r"|unordered|approx\w*|roughly|about|\+/-|±)",
    re.I,
)
"""Prose behind a result that is one of several, in any order, or only near."""
_GOES_ON = re.compile(r"\s*(?:[-+*/%]+\s*[\d(\[{'\"]|[-=]*>|<=?\s*\w+\b(?!>))")
"""An operator and its other side; a dash before words is punctuation."""


def _leading_literal(text: str) -> str | None:
    """Returns the literal that a piece of prose begins with, None if it begins with none.

    None too where the prose goes on to say that other results would do, or how the result comes about:
    ``1 + 3 = 4``, ``2 -> 4``.
    """
    bare = text.strip().strip("`*").strip()[:_LONGEST_RESULT]
    # The whole text first, then up to each place where a literal may end: the first piece that is one counts.
    ends = [len(bare), *(match.start() for match in _POSSIBLE_END.finditer(bare))]
    for end in ends[:_POSSIBLE_ENDS]:
        piece = bare[:end].strip().rstrip(".,;`")
        # nearly so much, not the bitwise complement; and a number in groups of three digits, not a tuple
        if piece.startswith("~") or _GROUPED.fullmatch(piece):
            return None
        try:
            found = write_literal(read_literal(_JSON_NAMES.get(piece.lower(), piece)))
        except ValueError:
            continue
        # ``3 or 4`` folds to 3, but the author means that either will do; ``4 == 2**2`` says where 4 is from.
        several = isinstance(parse_expression(piece), ast.BoolOp | ast.Compare) or _NOT_ALL.match(bare[end:])
        return None if several or _GOES_ON.match(bare[end:]) else found
    return None


_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_LONGEST_RESULT = 4000
_POSSIBLE_ENDS = 60
_POSSIBLE_END = re.compile(r"[.,;`#](?=\s|$|`)|\s|(?<=[\])}'\"])")
_JSON_NAMES = {"true": "True", "false": "False", "null": "None", "none": "None"}


def _labelled_arguments(text: str, name: str, parameters: Sequence[str]) -> Iterator[TestCase | None]:
    for given, output in find_labelled(text):
        arguments = _arguments(given, name, parameters)
        expected = _leading_literal(output.strip().partition("\n")[0])
        yield None if arguments is None or expected is None else CallTest(arguments, expected)


def _arguments(text: str, name: str, parameters: Sequence[str]) -> str | None:
    """Returns the literal of the arguments that ``f(1, 2)``, ``n = 1, k = 2`` or ``1, 2`` give."""
    bare = re.sub(r"\s*\n\s*", ", ", text.replace("`", "").strip())
    call = parse_expression(bare)
    # Python's own parser splits the arguments, commas in strings and brackets included.
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == name):
        named_values = _COLON.sub(r"\1\2 = ", bare)
        call = parse_expression(f"f({named_values})")
    if not isinstance(call, ast.Call):
        return None
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    order = [named[parameter] for parameter in parameters if parameter in named]
    # Names that are not the function's parameters: their order counts if their number fits.
    if len(order) != len(named):
        order = list(named.values()) if not parameters or len(named) == len(parameters) else []
    try:
        values = [fold(node) for node in (*call.args, *order)]
        return write_literal(_spread(values, len(parameters))) if values else None
    except ValueError:
        return None


_COLON = re.compile(r"(^|, )([A-Za-z_]\w*): ")


def _spread(values: list[Any], count: int) -> list[Any]:
    """Returns the items of a lone list where a function takes as many arguments as it has items."""
    if count > 1 and len(values) == 1 and isinstance(values[0], list | tuple) and len(values[0]) == count:
        return list(values[0])
    return values


def _data_arguments(text: str, count: int) -> Iterator[TestCase | None]:
    for given, output in find_pairs(text):
        # An object names the arguments; its order is taken for that of the parameters.
        values = list(given.values()) if isinstance(given, dict) else _spread([given], count)
        if count == 1 and isinstance(given, list | tuple) and len(given) == 1 and not isinstance(given, dict):
            values = list(given)
        try:
            yield CallTest(write_literal(values), write_literal(output))
        except ValueError:
            yield None


def _labelled_texts(text: str) -> Iterator[TestCase | None]:
    for given, output in find_labelled(text):
        yield StdioTest(_line_ended(given), _line_ended(output)) if output.strip() else None


def _data_texts(text: str) -> Iterator[TestCase | None]:
    for given, output in find_pairs(text):
        both_texts = isinstance(given, str) and isinstance(output, str)
        yield StdioTest(_line_ended(given), _line_ended(output)) if both_texts else None


def _line_ended(text: str) -> str:
    # A program reads whole lines; an empty input stays empty.
    return text if text.endswith("\n") or not text else f"{text}\n"
