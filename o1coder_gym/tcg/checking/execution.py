"""Runs programs on inputs in the judge and reads what they return.

An *input* is a text: the literal of the list of arguments for functions, standard input for whole
programs. An *output* is a text too: a canonical literal, or standard output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol, runtime_checkable

from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.sandbox.trial import Output
from o1coder_gym.sandbox.values.comparison import same
from o1coder_gym.sandbox.values.literals import encode_literal
from o1coder_gym.sandbox.values.standard_output import same_stdout
from o1coder_gym.tcg.reading.literals import literal_of
from o1coder_gym.types import CallTest, Outcome, Problem, StdioTest, Submission, Verdict
from o1coder_gym.types.protocols import Judge

_ROUNDS = 6
"""Inputs on which a program may hang before the rest is given up; each costs the limit of a test."""


@runtime_checkable
class OutputJudge(Judge, Protocol):
    """A judge that also returns programs' outputs; `sandbox.Judge` is one."""

    def evaluate(
        self, submissions: Sequence[Submission], /, *, stop_at_failure: bool = False
    ) -> list[Verdict]:
        """Judges a batch; may leave out the tests after a program's first failure."""
        ...

    def outputs(self, submissions: Sequence[Submission], /) -> list[tuple[Output, ...]]:
        """Runs a batch; one output per test of each submission, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Program:
    """A program and the inputs to run it on.

    Attributes:
        problem: The question; its limits and its prelude hold.
        code: Python source, untrusted.
        inputs: Literals of argument lists, or standard inputs.
    """

    problem: Problem
    code: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """A program's output on one input.

    Attributes:
        output: Canonical literal or standard output; None if the program failed, or if what it returned
            has no literal.
        outcome: `PASS` if the program came to an end, else why not.
        error: Bounded; empty if there is an output.
    """

    output: str | None
    outcome: Outcome
    error: str = ""


UNFINISHED = Observation(None, Outcome.TIMEOUT, "too many inputs hang")
"""Of an input that was not run, because those before it had used up the time."""


def test_of(entry_point: str | None, given: str, output: str) -> CallTest | StdioTest:
    """Returns the test that `given` leads to `output`."""
    return StdioTest(given, output) if entry_point is None else CallTest(given, output)


def same_output(entry_point: str | None, left: str, right: str) -> bool:
    """Whether the judge considers two outputs equal."""
    if entry_point is None:
        return same_stdout(left, right)
    try:
        return same(encode_literal(left), encode_literal(right))
    except ValueError:
        return False


def observe(
    judge: OutputJudge, programs: Sequence[Program], *, rounds: int = _ROUNDS
) -> list[list[Observation]]:
    """Runs every program on its inputs, all in one batch, within the limits of its problem.

    An input on which a program hangs or ends its process takes those after it along; they are run again. So
    inputs that are likely to take long should come last.

    Args:
        judge: Runs them.
        programs: The programs to run.
        rounds: Inputs on which a program may hang, ≥ 1; those behind the last of these are `UNFINISHED`.

    Returns:
        For each program one observation per input, in order.
    """
    seen: list[list[Observation]] = [[] for _ in programs]
    hung = [0] * len(programs)
    while waiting := [
        index
        for index, program in enumerate(programs)
        if len(seen[index]) < len(program.inputs) and hung[index] < rounds
    ]:
        # From the first input without an observation on; what was not reached comes with the next round.
        batch = [_submission(programs[index], len(seen[index])) for index in waiting]
        for index, outputs in zip(waiting, judge.outputs(batch), strict=True):
            is_function = programs[index].problem.entry_point is not None
            seen[index] += [_observation(output, is_function) for output in _reached(outputs)]
            # Only what hangs is given up: a process that exits, or is killed, ends at once and costs little.
            hung[index] += seen[index][-1].outcome is Outcome.TIMEOUT
    return [
        [*found, *[UNFINISHED] * (len(program.inputs) - len(found))]
        for found, program in zip(seen, programs, strict=True)
    ]


def observe_twice(judge: OutputJudge, programs: Sequence[Program]) -> list[list[Observation | None]]:
    """Runs every program on its inputs, then on those that gave an output once more, the last one first.

    Returns:
        For each program one observation per input; None where the second output was another one, because
        the program is not deterministic or remembers earlier calls.
    """
    first = observe(judge, programs)
    good = [[index for index, one in enumerate(found) if one.output is not None] for found in first]
    again = [
        # Backwards: state kept between calls, a cache or a counter, then shows as another output.
        Program(program.problem, program.code, tuple(program.inputs[index] for index in indices[::-1]))
        for program, indices in zip(programs, good, strict=True)
    ]
    settled: list[list[Observation | None]] = [[*found] for found in first]
    for found, indices, second in zip(settled, good, observe(judge, again), strict=True):
        for index, repeated in zip(indices[::-1], second, strict=True):
            if repeated != found[index]:
                # The second failure is what it does; two different outputs say nothing.
                found[index] = repeated if repeated.output is None else None
    return settled


def _submission(program: Program, done: int) -> Submission:
    name = program.problem.entry_point
    return submission(
        program.problem, program.code, tuple(test_of(name, given, "None") for given in program.inputs[done:])
    )


def _reached(outputs: Sequence[Output]) -> list[Output]:
    """Returns the outputs up to the first input that the program was not run on, at least one."""
    # The first input of a process is its own doing, whatever the judge says: so each round gets on.
    return [outputs[0], *takewhile(lambda output: output.reached, outputs[1:])]


def _observation(output: Output, is_function: bool) -> Observation:
    if output.value is None:
        return Observation(None, output.outcome, output.error)
    if not is_function:
        return Observation(output.value, Outcome.PASS)
    try:
        return Observation(literal_of(output.value), Outcome.PASS)
    except ValueError as error:
        return Observation(None, Outcome.PASS, str(error))
