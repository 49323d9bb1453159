"""The attack: searches for inputs on which programs differ ("part"). The loop alone; it runs nothing itself.

Like an agent, an attack is a generator: it yields `Execution`s and is sent what was observed, so that the
same loop runs on a judge (`attacked`), and within a search, where a driver meters each execution.

    for inputs in batches:
        observe all programs on the inputs          # once
        keep the inputs that split a class          # the others say nothing
        observe them again in other surroundings    # what comes out otherwise is noise, and parts nobody
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import TypeAlias

from o1coder_gym.tcg.adversary.behaviour import (
    NOT_RUN,
    Partition,
    column,
    partition,
    rounds,
    shows_address,
)
from o1coder_gym.tcg.adversary.disturbance import disturbed
from o1coder_gym.tcg.checking.agreement import Same
from o1coder_gym.tcg.checking.execution import UNFINISHED, Observation, OutputJudge, Program, observe
from o1coder_gym.types import Outcome, Problem
from o1coder_gym.types.queries import MOST_INPUTS

EXECUTIONS = 4096
"""Runs of a program on an input that an attack may cost where nobody says."""
PATIENCE = 64
"""Inputs in a row that part nobody, after which there is nothing more to be expected."""
_HANGS = 3
"""Runs of a batch in which all programs hang on an input, which takes the inputs after it along."""
SURROUNDINGS = 2
"""Others than those of the sandbox in which inputs that part programs are run again, see `disturbed`."""
_CONFIRMING = 2 * SURROUNDINGS
"""Runs more of an input that parts programs, at least."""
_TOGETHER = 16
"""Calls of a process that confirms, where that can be paid: a program that draws lots seldom draws alike as
often as that."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Asks for one program on some inputs, in this order and in one process.

    Attributes:
        program: Index of the program.
        inputs: Literals of argument lists, or standard inputs.
        surroundings: Number of those that the program runs in, see `disturbed`.
    """

    program: int
    inputs: tuple[str, ...]
    surroundings: int = 0


Executions: TypeAlias = Generator[list[Execution], list[list[Observation]], "Attack"]
"""An attack in progress: one list of observations per execution, one observation per input."""


@dataclass(frozen=True, slots=True)
class Attack:
    """What an attack found. S programs, I inputs.

    Attributes:
        inputs: All inputs tried, [I].
        columns: Each program's behaviour on each input, [I, S], by the names of `behaviour.column`.
        parting: Places of the inputs that part programs, confirmed; each splits a class that those before it
            left whole.
        noisy: By program, why it can not be told apart: what it does on an input changes.
        hanging: Programs that ran into a time limit.
        rounded: Inputs on which outputs differ as texts alone, as floats are that were rounded apart.
        executions: Runs of a program on an input, confirmations included.
        weights: Samples that each program stands for, [S].
        shrinking: Runs of a program on an input that made the parting ones small.
        unpaid: Whether it ended because the executions paid for no more input.
    """

    inputs: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    parting: tuple[int, ...]
    noisy: Mapping[int, str]
    hanging: tuple[int, ...]
    rounded: int
    executions: int
    weights: tuple[float, ...]
    shrinking: int = 0
    unpaid: bool = False

    @property
    def partition(self) -> Partition:
        """The classes that the confirmed inputs make; noisy programs are in none."""
        keys = [
            None if program in self.noisy else tuple(self.columns[place][program] for place in self.parting)
            for program in range(len(self.weights))
        ]
        return partition(keys, self.weights)


def attack(
    weights: Sequence[float],
    batches: Iterable[Sequence[str]],
    *,
    same: Same,
    executions: int = EXECUTIONS,
    patience: int = PATIENCE,
) -> Executions:
    """Searches for inputs on which programs differ.

    Args:
        weights: Samples that each program stands for, > 0, [S].
        batches: Inputs, those first that promise most.
        same: Which outputs are one.
        executions: Runs of a program on an input at most.
        patience: Inputs in a row that part nobody, after which it ends.

    Returns:
        What was found, by executions that were paid in full; up to the first one on which the judge failed,
        for that is nothing that a program did.
    """
    board = _Board(tuple(weights), same, executions)
    for batch in batches:
        # Either nobody is left to be told apart, or inputs have stopped to tell anybody apart.
        if board.settled or board.idle >= patience:
            break
        inputs = board.affordable(batch)
        if not inputs:
            board.unpaid = not set(batch) <= set(board.inputs)
            break
        # An input on which every program hangs ends the run of the batch: the inputs after it are run again.
        for _ in range(_HANGS):
            observed = yield [Execution(program, inputs) for program in board.sound]
            if judge_failed(observed):
                return board.attack()
            inputs = board.enter(inputs, observed)
            if not inputs:
                break
        # Again after a confirmation: a program found noisy is in no class, and inputs that split only it are
        # gone.
        while candidates := board.candidates():
            again = board.repeats(candidates)
            observed = yield again
            if judge_failed(observed):
                return board.attack()
            board.confirm(candidates, again, observed)
    return board.attack()


def attacked(
    judge: OutputJudge,
    problem: Problem,
    programs: Sequence[str],
    batches: Iterable[Sequence[str]],
    *,
    same: Same,
    weights: Sequence[float] = (),
    executions: int = EXECUTIONS,
    patience: int = PATIENCE,
) -> Attack:
    """Runs an attack on a judge.

    Args:
        judge: Runs the programs.
        problem: Their question; its limits hold.
        programs: Sources, [S].
        batches: As in `attack`.
        same: As in `attack`.
        weights: As in `attack`; empty where each program counts once.
        executions: As in `attack`.
        patience: As in `attack`.
    """
    asked = weights or [1.0] * len(programs)
    running = attack(asked, batches, same=same, executions=executions, patience=patience)
    return play(judge, problem, programs, running)


def play(judge: OutputJudge, problem: Problem, programs: Sequence[str], running: Executions) -> Attack:
    """Runs the executions of an attack on a judge until it ends."""
    try:
        wanted = next(running)
        while True:
            wanted = running.send(observe(judge, [_run(problem, programs, one) for one in wanted], rounds=1))
    except StopIteration as end:
        return end.value


def _run(problem: Problem, programs: Sequence[str], wanted: Execution) -> Program:
    code = programs[wanted.program]
    return Program(disturbed(problem, code, wanted.surroundings), code, wanted.inputs)


@dataclass(slots=True)
class _Board:
    """Observations of S programs. Mutable; used by one attack."""

    weights: tuple[float, ...]
    same: Same
    limit: int
    inputs: list[str] = field(default_factory=list)
    columns: list[tuple[str, ...]] = field(default_factory=list)
    first: list[dict[int, Observation]] = field(default_factory=list)
    parting: list[int] = field(default_factory=list)
    repeated: bool = False
    noisy: dict[int, str] = field(default_factory=dict)
    hanging: set[int] = field(default_factory=set)
    rounded: int = 0
    spent: int = 0
    idle: int = 0
    unpaid: bool = False

    @property
    def sound(self) -> list[int]:
        """The programs that are run: the others are noisy, or hang and would cost their limit each time."""
        whole = range(len(self.weights))
        return [one for one in whole if one not in self.noisy and one not in self.hanging]

    @property
    def settled(self) -> bool:
        """Whether no two programs are left that could differ."""
        return len(self.sound) < 2 or all(len(members) < 2 for members in self._classes())

    def affordable(self, inputs: Sequence[str]) -> tuple[str, ...]:
        """Returns the new inputs that can be paid for, with the confirmation of one."""
        known = set(self.inputs)
        fresh = [one for one in dict.fromkeys(inputs) if one not in known]
        left = (self.limit - self.spent) // max(len(self.sound), 1)
        return tuple(fresh[: max(left - _CONFIRMING, 0)])

    def enter(self, inputs: tuple[str, ...], observed: Sequence[Sequence[Observation]]) -> tuple[str, ...]:
        """Enters first observations; returns the inputs that no program was run on, as all had hung."""
        ran = dict(zip(self.sound, observed, strict=True))
        # The furthest any program came; behind it all of them hung on earlier inputs.
        end = max(sum(one != UNFINISHED for one in seen) for seen in observed)
        inputs, left = inputs[:end], inputs[end:]
        self.spent += end * len(ran)
        self.inputs += inputs
        self.idle += len(inputs)
        for place in range(len(inputs)):
            cells = {program: seen[place] for program, seen in ran.items()}
            self._watch(cells)
            self.first.append(cells)
            self.columns.append(self._column(cells))
            self.rounded += rounds(list(cells.values()), self.same)
        return left

    def candidates(self) -> list[int]:
        """Returns the indices of inputs that split a class further, as many as can be confirmed."""
        found = self._splitting(range(len(self.inputs)))
        # Only inputs that split a class are progress; patience counts those since the last.
        self.idle = 0 if found else self.idle
        payable = (self.limit - self.spent) // (_CONFIRMING * max(len(self.sound), 1))
        return found[: min(payable, MOST_INPUTS // 2)] if self.sound else []

    def repeats(self, places: Sequence[int]) -> list[Execution]:
        """Returns the runs that confirm some inputs, in surroundings that no program has seen.

        The inputs come backwards, then forwards: a program that remembers earlier calls does otherwise behind
        other ones. Up to `_TOGETHER` calls a process they come so twice, and the first time behind inputs
        that part nobody, for a program that draws lots may well draw alike on a single one.
        """
        calls = min((self.limit - self.spent) // (SURROUNDINGS * len(self.sound)), _TOGETHER)
        order = [*places[::-1], *places]
        order *= 2 if 2 * len(order) <= calls else 1
        if not self.repeated:
            # A process ends at an input on which its program hangs.
            whole = [one for one, cells in enumerate(self.first) if all(map(ended, cells.values()))]
            others = [one for one in whole if one not in places]
            order = [*others[: max(calls - len(order), 0)], *order]
            self.repeated = True
        return elsewhere(self.sound, tuple(self.inputs[place] for place in order))

    def confirm(
        self, places: Sequence[int], again: Sequence[Execution], observed: Sequence[Sequence[Observation]]
    ) -> None:
        """Enters repeated observations; programs that contradict themselves are noisy."""
        known = dict(zip(self.inputs, self.first, strict=True))
        for one, seen in zip(again, observed, strict=True):
            self.spent += len(seen)
            before = [known[given][one.program] for given in one.inputs]
            if not all(map(alike, before, seen)):
                self.noisy.setdefault(one.program, "does otherwise when it is run again")
        self.parting += self._splitting(places)

    def attack(self) -> Attack:
        """Returns the attack's result so far."""
        return Attack(
            tuple(self.inputs),
            tuple(self.columns),
            tuple(self.parting),
            dict(self.noisy),
            tuple(sorted(self.hanging)),
            self.rounded,
            self.spent,
            self.weights,
            unpaid=self.unpaid,
        )

    def _watch(self, cells: Mapping[int, Observation]) -> None:
        nobody = all(one.outcome is Outcome.TIMEOUT for one in cells.values())  # it may be no input at all
        for program, one in cells.items():
            if shows_address(one):
                self.noisy.setdefault(program, "its output holds the address of an object")
            if one.outcome is Outcome.TIMEOUT and not nobody:
                self.hanging.add(program)

    def _column(self, cells: Mapping[int, Observation]) -> tuple[str, ...]:
        """Returns [S]; a program that is no longer run keeps its known behaviour."""
        names = dict(zip(cells, column(list(cells.values()), self.same), strict=True))
        return tuple(names.get(program, NOT_RUN) for program in range(len(self.weights)))

    def _splitting(self, places: Iterable[int]) -> list[int]:
        """Returns those of some inputs, in order, that split a class which all before them leave whole."""
        found: list[int] = []
        classes = self._classes()
        for place in places:
            finer = partition(self._keys([*self.parting, *found, place]), self.weights).classes
            # Greedy and in order: later inputs that split nothing further are not kept, and cost no
            # confirmation.
            if len(finer) > len(classes):
                found.append(place)
                classes = finer
        return found

    def _classes(self) -> tuple[tuple[int, ...], ...]:
        return partition(self._keys(self.parting), self.weights).classes

    def _keys(self, places: Sequence[int]) -> list[tuple[str, ...] | None]:
        """Returns each program's behaviour on some inputs; None for a program that separates nothing."""
        columns = [self.columns[place] for place in places]
        return [
            None if program in self.noisy else tuple(one[program] for one in columns)
            for program in range(len(self.weights))
        ]


def elsewhere(programs: Iterable[int], inputs: tuple[str, ...]) -> list[Execution]:
    """Returns the runs of some inputs in all surroundings but those of the sandbox."""
    programs, numbers = [*programs], range(1, SURROUNDINGS + 1)
    return [Execution(program, inputs, number) for number in numbers for program in programs]


def judge_failed(observed: Iterable[Iterable[Observation]]) -> bool:
    """Whether the judge could not run something: nothing that a program did."""
    return any(one.outcome is Outcome.INFRASTRUCTURE for seen in observed for one in seen)


def ended(seen: Observation) -> bool:
    """Whether a program was run and came to an end, well or not, within its limits."""
    return seen.outcome not in (Outcome.TIMEOUT, Outcome.MEMORY, Outcome.INFRASTRUCTURE)


def alike(one: Observation, other: Observation) -> bool:
    """Whether a program did the same twice; by the text, as rounding that changes is noise too."""
    return (one.output, one.outcome) == (other.output, other.outcome)


def parted(found: Attack, one: int, other: int) -> tuple[str, ...]:
    """Returns the confirmed inputs on which two programs part."""
    if one in found.noisy or other in found.noisy:
        return ()
    differs = [found.columns[place][one] != found.columns[place][other] for place in found.parting]
    return tuple(found.inputs[place] for place in compress(found.parting, differs))
