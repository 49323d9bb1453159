"""One submission on its way through the sandbox: the runs it still needs, the results it has.

Asks what programs return, instead of whether it is right: for generators of tests and for votes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from o1coder_gym.sandbox.grading import Evidence, combine, failed_already, grade, returned
from o1coder_gym.sandbox.plan import CallRun, StdioRun, plan
from o1coder_gym.sandbox.wire import WHOLE, Mode, Request, pack_job
from o1coder_gym.sandbox.workers.worker import Finished, Job
from o1coder_gym.types import CaseResult, Limits, Outcome, Submission, Verdict

_FRAME_ROOM = 64
"""Bytes of framing and of messages that each test may add to the results."""


class Trial:
    """A submission in progress. Mutable: it collects results run by run.

    Attributes:
        submission: What is judged.
        deaths: How many zygotes died over it.
    """

    def __init__(
        self, submission: Submission, *, stop_at_failure: bool, stdout_tolerance: float | None
    ) -> None:
        """Plans the runs.

        Raises:
            UsageError: When a test cannot be run on any program.
        """
        self.submission = submission
        self.deaths = 0
        self._stop_at_failure = stop_at_failure
        self._stdout_tolerance = stdout_tolerance
        self._runs = plan(submission.tests, submission.entry_point)
        self._source = submission.code.encode("utf-8", "surrogatepass")
        self.restart()

    def restart(self) -> None:
        """Forgets all results."""
        self._position = 0
        self._cpu_s = 0.0
        self._results: dict[int, CaseResult] = {}

    def next_job(self) -> Job:
        """Returns the next run as a job; the CPU time that is left is its limit."""
        self._met = 0
        limits = self._limits_left()
        entry = self.submission.entry_point or ""
        room = limits.result_bytes + _FRAME_ROOM * 1024
        run = self._runs[self._position]
        request = Request(Mode.CALL, limits.cpu_s, limits.wall_s, limits.memory_bytes)
        match run:
            case CallRun():
                return Job(request, (pack_job(self._source, entry, run.inputs),), answer_bytes=room)
            case StdioRun():
                return Job(
                    request._replace(mode=Mode.STDIO),
                    (pack_job(self._source),),
                    run.stdin,
                    room,
                    limits.stdout_bytes,
                )
        payloads = (pack_job(self._source, entry), run.payload)
        return Job(request._replace(mode=Mode.TESTER), payloads, answer_bytes=room)

    def accept(self, finished: Finished) -> Verdict | None:
        """Takes the outcome of the last job; returns the verdict once there is nothing more to run."""
        evidence = Evidence(
            finished.children, finished.answers, finished.stdout, finished.overflow, self._limits_left()
        )
        self._results |= grade(self._runs[self._position], evidence, self._stdout_tolerance)
        self._cpu_s += sum(child.cpu_s for child in finished.children)
        self._position += 1
        if self._position == len(self._runs) or self._is_decided():
            return self._verdict()
        return None

    def should_stop(self, answer_so_far: Callable[[], bytes]) -> bool:
        """Whether what the running job has answered so far already decides."""
        run = self._runs[self._position]
        if not self._stop_at_failure or not isinstance(run, CallRun):
            return False
        failed, self._met = failed_already(run, answer_so_far(), self._met)
        return failed

    def infrastructure(self, reason: str) -> Verdict:
        """Returns the verdict that says that the judge failed, not the program."""
        failed = CaseResult(Outcome.INFRASTRUCTURE, None, reason)
        return Verdict(Outcome.INFRASTRUCTURE, (failed,) * len(self.submission.tests), self._cpu_s, reason)

    def _limits_left(self) -> Limits:
        """Returns the limits of the submission less the CPU time used."""
        limits = self.submission.limits
        return dataclasses.replace(limits, cpu_s=max(0.01, limits.cpu_s - self._cpu_s))

    def _is_decided(self) -> bool:
        """Whether what is left to run is not wanted, or cannot be run any more."""
        failures = {result.outcome for result in self._results.values()} - {Outcome.PASS}
        return Outcome.COMPILE_ERROR in failures or bool(failures and self._stop_at_failure)

    def _verdict(self) -> Verdict:
        """Returns the verdict; tests that were not run share the outcome of the first failure."""
        program = self._results.pop(WHOLE, None)
        failed = next((one for one in self._results.values() if one.outcome is not Outcome.PASS), None)
        left_out = CaseResult(failed.outcome if failed else Outcome.INFRASTRUCTURE, None, "not run")
        results = [self._results.get(index, left_out) for index in range(len(self.submission.tests))]
        return combine(results, program, self._cpu_s)


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
