"""The attack as a tool: the minimised inputs that separate the programs of one problem, as a row."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from o1coder_gym.problems.rows import case_to_json
from o1coder_gym.tcg.adversary.attack import EXECUTIONS, Attack, attacked
from o1coder_gym.tcg.adversary.behaviour import NOT_RUN, UNTOLD, shown
from o1coder_gym.tcg.adversary.inputs import Attacker, by_mutation
from o1coder_gym.tcg.adversary.oracle import Ask, Ruling, rulings
from o1coder_gym.tcg.adversary.shrinking import minimised
from o1coder_gym.tcg.adversary.signals import hard_tests
from o1coder_gym.tcg.checking.execution import OutputJudge
from o1coder_gym.tcg.checking.question_comparison import as_compared, same_of
from o1coder_gym.tcg.reading.literals import parse_source
from o1coder_gym.types import Problem


@dataclass(frozen=True, slots=True)
class Distinct:
    """Programs without their duplicates.

    Attributes:
        codes: The distinct sources, in order of their first appearance, [S].
        members: For each the places of the programs that it stands for.
    """

    codes: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]

    @property
    def weights(self) -> tuple[float, ...]:
        """Programs that each source stands for, [S]."""
        return tuple(float(len(found)) for found in self.members)


def distinct(programs: Sequence[str]) -> Distinct:
    """Merges programs that differ in layout and comments alone."""
    places: dict[str, list[int]] = {}
    for place, code in enumerate(programs):
        tree = parse_source(code)
        # Formatting and comments are not in the AST dump; a program that does not parse stands for itself.
        places.setdefault(code if tree is None else ast.dump(tree), []).append(place)
    found = tuple(map(tuple, places.values()))
    return Distinct(tuple(programs[members[0]] for members in found), found)


@dataclass(frozen=True, slots=True)
class AttackSettings:
    """How programs are attacked.

    Attributes:
        attacker: Proposes inputs.
        executions: Runs of a program on an input at most, and as many again to make inputs small.
        shrink: Whether inputs are made small.
        ask: Asked for outputs beside the programs' votes.
        seed: Fixes the draw.
    """

    attacker: Attacker = by_mutation
    executions: int = EXECUTIONS
    shrink: bool = True
    ask: Ask | None = None
    seed: int = 0


def attack_programs(
    judge: OutputJudge, problem: Problem, programs: Sequence[str], settings: AttackSettings = AttackSettings()
) -> tuple[Distinct, Attack, list[Ruling]]:
    """Attacks the programs of a problem, and rules on the inputs that part them."""
    merged = distinct(programs)
    same = same_of(problem)
    asked, codes = as_compared(problem, merged.codes)
    found = attacked(
        judge,
        asked,
        codes,
        settings.attacker(problem, merged.codes, settings.seed),
        same=same,
        weights=merged.weights,
        executions=settings.executions,
    )
    if settings.shrink:
        found = minimised(judge, asked, codes, found, same=same, executions=settings.executions)
    return merged, found, rulings(problem, found, ask=settings.ask)


def attack_row(
    judge: OutputJudge,
    problem: Problem,
    programs: Mapping[str, str],
    settings: AttackSettings = AttackSettings(),
) -> dict[str, Any]:
    """Returns the findings of an attack on named programs as a JSON-able row.

    Args:
        judge: Runs the programs.
        problem: Their question.
        programs: Sources by name.
        settings: See `AttackSettings`.

    Returns:
        Where programs differ but were run on no input, ``untried`` says why, and there are no classes.
    """
    names = list(programs)
    merged, found, ruled = attack_programs(judge, problem, list(programs.values()), settings)
    classes, entropy = found.partition.classes, found.partition.entropy
    called = [[names[place] for place in members] for members in merged.members]
    behaviours = [[name for one in members for name in called[one]] for members in classes]
    kept = hard_tests(problem, ruled)
    untried = None
    if not found.inputs and len(merged.codes) > 1:
        untried = "the executions pay for no input" if found.unpaid else "no input could be made"
    return {
        "task_id": problem.task_id,
        "programs": len(programs),
        "distinct": len(merged.codes),
        "untried": untried,
        "classes": [] if untried else behaviours,
        "entropy": None if untried else round(entropy, 4),
        "noisy": {name: why for one, why in found.noisy.items() for name in called[one]},
        "untold": [name for one in _untold(found) for name in called[one]],
        "hanging": [name for one in found.hanging for name in called[one]],
        "rounded": found.rounded,
        "executions": found.executions,
        "shrinking": found.shrinking,
        "attacks": list(_attacks(found, ruled, called)),
        "tests": [case_to_json(test) for test in kept.tests],
        "weights": [round(weight, 4) for weight in kept.weights],
    }


def _untold(found: Attack) -> list[int]:
    """Returns the programs that returned a value which cannot be compared."""
    return [one for one in range(len(found.weights)) if UNTOLD in {names[one] for names in found.columns}]


def _attacks(
    found: Attack, ruled: Sequence[Ruling], called: Sequence[Sequence[str]]
) -> Iterator[dict[str, Any]]:
    """Yields each separating input with every program's behaviour on it."""
    for place, one in zip(found.parting, ruled, strict=True):
        did: dict[str, list[str]] = {}
        for program, name in enumerate(found.columns[place]):
            if program not in found.noisy and name != NOT_RUN:
                did.setdefault(shown(name), []).extend(called[program])
        yield {
            "input": one.input,
            "right": one.output,
            "confidence": round(one.confidence, 4),
            "outputs": did,
        }
