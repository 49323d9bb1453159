"""Asks what programs return, instead of whether it is right: for generators of tests and for votes."""

from __future__ import annotations

from dataclasses import dataclass

from o1coder_gym.sandbox.grading import returned
from o1coder_gym.sandbox.trial import Trial
from o1coder_gym.sandbox.workers.worker import Finished
from o1coder_gym.types import Outcome, Submission, Verdict


@dataclass(frozen=True, slots=True)
class Output:
    """What a program made of one input.

    Attributes:
        value: Written by the program's process: the encoded result of a call (`codec`), or the standard
            output of a whole program. None if there is none. It may be forged, like any answer.
        outcome: `PASS` iff there is a value, else why there is none.
        error: Exception type and message, bounded; empty if there is a value.
    """

    value: str | None
    outcome: Outcome
    error: str = ""


class ObservedTrial(Trial):
    """A trial that keeps what its runs returned; what its tests expect is of no account."""

    def __init__(self, submission: Submission) -> None:
        """Args: the program and its inputs, as the `args` of call tests or the `stdin` of stdio tests."""
        super().__init__(submission, stop_at_failure=False, stdout_tolerance=None)

    def restart(self) -> None:
        """Forgets all results."""
        super().restart()
        self._values: dict[int, str] = {}

    def accept(self, finished: Finished) -> Verdict | None:
        """Takes the outcome of the last job, and the values in it."""
        run = self._runs[self._position]
        verdict = super().accept(finished)
        self._values |= returned(run, finished.answers, finished.stdout)
        return verdict

    def outputs(self, verdict: Verdict) -> tuple[Output, ...]:
        """Returns one output per test, in order; `verdict` is the trial's own."""
        finished = (Outcome.PASS, Outcome.WRONG_ANSWER)
        return tuple(
            Output(self._values[index], Outcome.PASS)
            if result.outcome in finished and index in self._values
            else Output(None, result.outcome, result.error)
            for index, result in enumerate(verdict.tests)
        )
