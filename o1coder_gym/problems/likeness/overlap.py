"""Finds problems of one set that occur in another one: verbatim, nearly so, or by their behaviour.

The ways to be alike, the surest first, are in `WAYS`. Text and tests cost nothing; behaviour runs each
reference once, on inputs of its kind from both sets.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.likeness.identity import question_key, question_words
from o1coder_gym.problems.missing_tests import NAMED
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.sandbox.trial import Output
from o1coder_gym.sandbox.values.codec import decode
from o1coder_gym.sandbox.values.comparison import read_tree
from o1coder_gym.sandbox.values.extraction import expectations
from o1coder_gym.types import AssertTest, CallTest, CheckTest, StdioTest, Submission

WAYS = ("question", "tests", "text", "behaviour")
"""Equal words; half of the smaller one's tests and two, or one and a rare name; near texts; equal results."""
SURE = ("question", "tests")
"""Those without near texts and behaviour, which two different problems may share."""
NEAR = 0.6
"""Share of three-word pieces in common (Jaccard) from which texts are near."""
_WITHIN = 0.9
"""Share of its pieces from which a question stands within a longer text: one with an example, say."""
_FEWEST_PIECES = 8
"""Pieces of a question that can stand within another one; what is shorter may be a part of anything."""
_TELLING = 12
"""Characters of an encoded input from which it tells something even with a yes or no."""
_NAMESAKES = 5
"""Functions of a set, or half of them, that may have one name; what more have (`solve`) proves nothing."""
_PROBES = 12
_FEWEST_OUTPUTS = 3
"""Different results that two references must share to be alike: many functions return True and False."""


class OutputRunner(Protocol):
    """Runs programs and returns their outputs; implemented by `sandbox.Judge`."""

    def outputs(self, submissions: Sequence[Submission], /) -> list[tuple[Output, ...]]:
        """Runs a batch; one output per test."""
        ...


@dataclass(frozen=True, slots=True)
class Likeness:
    """A pair of duplicate problems.

    Attributes:
        a: Task id in the first set.
        b: Task id in the second set.
        way: How they are alike, of `WAYS`.
    """

    a: str
    b: str
    way: str


def overlaps(
    a: Sequence[ProblemRow],
    b: Sequence[ProblemRow],
    runner: OutputRunner | None = None,
    ways: Collection[str] = WAYS,
) -> list[Likeness]:
    """Finds the problems of `a` that also occur in `b`, each pair once, under its surest criterion.

    Args:
        a: Problems, e.g. those of a training.
        b: Other problems, e.g. those held out.
        runner: Runs references for the likeness of behaviour; None leaves that way out.
        ways: Those that count, of `WAYS`. Sets whose questions are made of the same phrases are near in text.
    """
    pairs = {"question": _equal_questions, "tests": _shared_tests, "text": _near_texts}
    if runner is not None:
        pairs["behaviour"] = partial(_equal_behaviours, runner=runner)
    found: dict[tuple[int, int], str] = {}
    for way, alike in pairs.items():
        for pair in alike(a, b) if way in ways else ():
            # Ways go from the surest on, so the first that finds a pair names it.
            found.setdefault(pair, way)
    return [
        Likeness(a[one].problem.task_id, b[other].problem.task_id, way)
        for (one, other), way in sorted(found.items())
    ]


def in_training(found: Sequence[Likeness], held_out: int) -> str:
    """Returns a sentence on held-out problems that are training problems too; empty if there are none.

    Args:
        found: The training's overlaps with what is held out.
        held_out: How many problems are held out.
    """
    if not found:
        return ""
    pairs = {one.b: one.a for one in found}
    names = [b if a == b else f"{b} is {a}" for b, a in pairs.items()]
    more = ", …" if len(names) > NAMED else ""
    are = "is also a training problem" if len(names) == 1 else "are also training problems"
    return f"{len(names)} of {held_out} held-out problems {are} ({', '.join(names[:NAMED])}{more})"


Pairs = Iterable[tuple[int, int]]


def _equal_questions(a: Sequence[ProblemRow], b: Sequence[ProblemRow]) -> Pairs:
    return _joined([question_key(row.problem) for row in a], [question_key(row.problem) for row in b])


def _joined(a: Sequence[str | None], b: Sequence[str | None]) -> Pairs:
    """Yields the places with equal keys; None is like nothing."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, key in enumerate(b):
        if key is not None:
            places[key].append(place)
    return ((one, other) for one, key in enumerate(a) if key is not None for other in places.get(key, ()))


def _shared_tests(a: Sequence[ProblemRow], b: Sequence[ProblemRow]) -> Iterator[tuple[int, int]]:
    cases_a, cases_b = ([_cases(row) for row in rows] for rows in (a, b))
    usual = _usual_names(a) | _usual_names(b)
    for (one, other), shared in _in_common(cases_a, cases_b).items():
        name = a[one].problem.entry_point
        namesakes = name == b[other].problem.entry_point and name not in usual
        # One equal test may be chance, an empty list say; with the same function name, or half of the smaller
        # set's tests, it is not.
        if namesakes or (shared >= 2 and 2 * shared >= min(len(cases_a[one]), len(cases_b[other]))):
            yield one, other
    # What is expected was mended in some sets: two equal calls of one function are enough.
    calls_a, calls_b = ([_named_calls(row, usual) for row in rows] for rows in (a, b))
    yield from (pair for pair, shared in _in_common(calls_a, calls_b).items() if shared >= 2)


def _near_texts(a: Sequence[ProblemRow], b: Sequence[ProblemRow]) -> Iterator[tuple[int, int]]:
    pieces_a, pieces_b = ([_pieces(question_words(row.problem)) for row in rows] for rows in (a, b))
    for (one, other), shared in _in_common(pieces_a, pieces_b).items():
        sizes = len(pieces_a[one]), len(pieces_b[other])
        is_within = min(sizes) >= _FEWEST_PIECES and shared >= _WITHIN * min(sizes)
        # Jaccard: shared / (a + b − shared) ≥ NEAR, without a division.
        if is_within or shared >= NEAR * (sum(sizes) - shared):
            yield one, other


def _pieces(words: Sequence[str]) -> set[Any]:
    return set(zip(words, words[1:], words[2:], strict=False))


def _in_common(a: Sequence[set[Any]], b: Sequence[set[Any]]) -> Counter[tuple[int, int]]:
    """Counts by pair of places how many items two sets share; pairs that share none are left out."""
    # An inverted index: only pairs that share an item are ever looked at, not all len(a) × len(b).
    holders: dict[Any, list[int]] = defaultdict(list)
    for place, items in enumerate(b):
        for item in items:
            holders[item].append(place)
    return Counter(
        (one, other) for one, items in enumerate(a) for item in items for other in holders.get(item, ())
    )


def _cases(row: ProblemRow) -> set[Any]:
    """Returns the tests of a problem as pairs of encoded input and what is expected, as far as they tell.

    Small inputs with a yes or no are left out: they stand in the tests of very different problems.
    """
    found: set[Any] = set()
    for test in (*row.problem.public_tests, *row.tests):
        if isinstance(test, StdioTest):
            found.add((test.stdin.strip(), test.stdout.strip()))
        elif isinstance(test, CallTest | AssertTest | CheckTest):
            calls = expectations(test, row.problem.entry_point or "") or ()
            found |= {
                (call.args, call.wanted)
                for call in calls
                if len(call.args) >= _TELLING or call.wanted not in ("True", "False")
            }
    return found


def _usual_names(rows: Sequence[ProblemRow]) -> set[str | None]:
    """Returns the function names that do not tell a problem from the others of its set."""
    names = Counter(row.problem.entry_point for row in rows)
    most = max(1, min(_NAMESAKES, len(rows) // 2))
    return {None, *(name for name, count in names.items() if count > most)}


def _named_calls(row: ProblemRow, usual: Collection[str | None]) -> set[Any]:
    """Returns the calls that the tests make, by the function's name without its spelling."""
    if row.problem.entry_point in usual:
        return set()
    name = (row.problem.entry_point or "").lower().replace("_", "")
    return {(name, given) for given in _arguments(row)} if name else set()


def _equal_behaviours(a: Sequence[ProblemRow], b: Sequence[ProblemRow], runner: OutputRunner) -> Pairs:
    """Yields pairs whose references return the same on inputs of one kind."""
    rows = [*a, *b]
    kinds = [_kind_of(row) for row in rows]
    pools = _pools(rows, kinds)
    common = {*kinds[: len(a)]} & {*kinds[len(a) :]} - {None}
    asked = [place for place, kind in enumerate(kinds) if kind in common and rows[place].reference]
    runs = runner.outputs([_probe(rows[place], pools[str(kinds[place])]) for place in asked])
    keys: list[str | None] = [None] * len(rows)
    for place, outputs in zip(asked, runs, strict=True):
        values = [one.value for one in outputs]
        if len({*values} - {None}) >= _FEWEST_OUTPUTS:
            # One key a reference: equal behaviour becomes an equality join, and no pair is compared.
            keys[place] = content_hash([kinds[place], values])
    return _joined(keys[: len(a)], keys[len(a) :])


def _probe(row: ProblemRow, inputs: Sequence[str]) -> Submission:
    return submission(row.problem, row.reference or "", [CallTest(given, "None") for given in inputs])


def _pools(rows: Sequence[ProblemRow], kinds: Sequence[str | None]) -> Mapping[str, Sequence[str]]:
    """Returns by kind a few inputs, as many of each problem as of the others, one after the other."""
    inputs: dict[str, list[list[str]]] = defaultdict(list)
    for row, kind in zip(rows, kinds, strict=True):
        if kind is not None:
            inputs[kind].append(_inputs(row))
    return {kind: _dealt(found) for kind, found in inputs.items()}


def _dealt(hands: Sequence[Sequence[str]]) -> list[str]:
    rounds = (hand[turn] for turn in range(_PROBES) for hand in hands if turn < len(hand))
    return list(dict.fromkeys(rounds))[:_PROBES]


def _inputs(row: ProblemRow) -> list[str]:
    """Returns literals of the argument lists that the tests of a problem call it with."""
    found = []
    for given in _arguments(row):
        try:
            found.append(repr(decode(given)))
        except (ValueError, TypeError, KeyError):
            continue
    return found


def _arguments(row: ProblemRow) -> list[str]:
    calls = (
        call.args
        for test in (*row.problem.public_tests, *row.tests)
        if isinstance(test, CallTest | AssertTest | CheckTest)
        for call in expectations(test, row.problem.entry_point or "") or ()
    )
    return list(dict.fromkeys(calls))


def _kind_of(row: ProblemRow) -> str | None:
    """Returns the types of the arguments that a function is called with; None where no test tells."""
    known = _arguments(row) if row.problem.entry_point is not None else []
    return str([_shape(argument) for argument in read_tree(known[0])]) if known else None


def _shape(tree: Any) -> Any:
    """Returns the types of an encoded value; of the items of a list that of the first one alone."""
    if isinstance(tree, list):
        return [_shape(item) for item in tree[:1]]
    if isinstance(tree, dict):
        return {tag: _shape(body) for tag, body in tree.items()}
    return type(tree).__name__
