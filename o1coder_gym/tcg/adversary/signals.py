"""Training signals of an attack: preference pairs, rewards for a test generator, hard tests to keep.

All of it comes from rulings, which are opinions with a confidence, never from references or hidden tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, product

from o1coder_gym.process_data.rows import PairRow
from o1coder_gym.tcg.adversary.attack import Attack
from o1coder_gym.tcg.adversary.behaviour import NOT_RUN
from o1coder_gym.tcg.adversary.choosing import by_rulings
from o1coder_gym.tcg.adversary.oracle import CONFIDENT, Ruling
from o1coder_gym.tcg.checking.question_comparison import comparison_of, expected_test
from o1coder_gym.types import GeneratedTests, Problem, State, Step

_PAIRS = 16
SOURCE = "attack"
"""What the rows of these pairs name as their source."""


def hard_tests(problem: Problem, ruled: Sequence[Ruling], *, confidence: float = CONFIDENT) -> GeneratedTests:
    """Returns the tests that part programs and whose output is believed; their weights are confidences.

    Args:
        problem: The question.
        ruled: Rulings on inputs that part programs.
        confidence: Share of the votes that must be exceeded or, at 1, met.
    """
    comparison = comparison_of(problem)
    believed = [one for one in ruled if one.believed(confidence)]
    weights = {
        expected_test(problem, comparison, one.input, one.output or ""): one.confidence for one in believed
    }
    return GeneratedTests(tuple(weights), report={"parting": len(ruled)}, weights=tuple(weights.values()))


def preference_pairs(
    found: Attack, ruled: Sequence[Ruling], ends: Sequence[State], *, split: str, most: int = _PAIRS
) -> list[PairRow]:
    """Returns pairs for DPO: a program that survives all believed inputs over one that fails on some.

    Only programs that were committed in the same state are a pair; the value of each is its mean standing.

    Args:
        found: The attack.
        ruled: Its rulings.
        ends: The terminal state of each program, [S].
        split: Of the problem.
        most: Pairs at most; those of the widest margin first.
    """
    believed = [
        (found.columns[place], one.right)
        for place, one in zip(found.parting, ruled, strict=True)
        if one.believed()
    ]
    values = by_rulings(found, ruled)
    sound = [program for program in range(len(ends)) if program not in found.noisy]
    # Who hung before was not run on an input, and neither survives nor falls there.
    survivors = [program for program in sound if all(names[program] == right for names, right in believed)]
    fallen = [
        program
        for program in sound
        if any(names[program] not in (right, NOT_RUN) for names, right in believed)
    ]
    pairs = [
        _pair(ends[winner], ends[loser], values[winner], values[loser], split)
        # Same prefix: DPO compares two continuations of one prompt.
        for winner, loser in product(survivors, fallen)
        if ends[winner].steps[:-1] == ends[loser].steps[:-1] and values[winner] > values[loser]
    ]
    return list(islice(sorted(pairs, key=lambda pair: -pair.margin), most)) if believed else []


def generator_rewards(found: Attack, ruled: Sequence[Ruling], inputs: Sequence[str]) -> list[float]:
    """Returns the reward of each input of a test generator: the share of programs that fail on it.

    After UTRL's reward for tests that fail wrong programs, times the confidence of the ruling. An input that
    parts nobody is worth nothing, and so is one without a ruling, as where half of the votes are for
    failures. A program that hung before an input was not run on it, and does not count there.

    Args:
        found: The attack.
        ruled: Its rulings. With rulings on all inputs (`oracle.rulings`) an input is worth as much wherever
            it stands among the others; with those that part programs the first of two like ones has it all.
        inputs: Inputs of the generator, among those of the attack or not.
    """
    places = {given: place for place, given in enumerate(found.inputs)}
    worth: dict[str, float] = {}
    for one in ruled:
        cells = zip(found.columns[places[one.input]], found.weights, strict=True)
        ran = [
            (name, weight)
            for place, (name, weight) in enumerate(cells)
            if place not in found.noisy and name != NOT_RUN
        ]
        falls = sum(weight for name, weight in ran if name != one.right)
        whole = sum(weight for _, weight in ran)
        worth[one.input] = one.confidence * falls / whole if one.right is not None and whole else 0.0
    return [worth.get(given, 0.0) for given in inputs]


def _pair(winner: State, loser: State, chosen: float, rejected: float, split: str) -> PairRow:
    state = State(winner.problem_id, winner.steps[:-1])
    steps: tuple[Step, Step] = winner.steps[-1], loser.steps[-1]
    return PairRow(state, *steps, chosen, rejected, 1, split, (SOURCE,))
