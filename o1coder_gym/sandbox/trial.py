"""The state of one submission in the sandbox: its remaining runs, and the results so far.

`ObservedTrial` keeps what a program returns instead of judging it, for test generators and majority votes.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from o1coder_gym.sandbox.grading import (
    Evidence,
    Reading,
    answered,
    combine,
    grade,
    grade_checker,
    returned,
    unjudged,
    unreached,
)
from o1coder_gym.sandbox.plan import CallRun, NoRun, RepeatedRun, Run, StdioRun, TesterRun, plan, repeated
from o1coder_gym.sandbox.values.repeatable import repeatable
from o1coder_gym.sandbox.wire import WHOLE, Ending, Mode, Request, pack_job
from o1coder_gym.sandbox.workers.worker import Finished, Job
from o1coder_gym.types import CaseResult, Limits, Outcome, Submission, Verdict

_FRAME_ROOM = 64
"""Bytes of framing and messages that each test may add to its result."""
_FRAMES = 1024
"""Tests for which there is framing room at least."""
_USUAL_TESTS = 30
"""So many tests the limit for all of them is meant for; more get more, or right programs would fail for the
number of theirs."""
_MOST_TIMEOUTS = 2
"""Tests over their CPU limit after which the rest is skipped; a single one that waits is enough."""
_SLEEPER_S, _SLEEPER_SHARE = 1.0, 0.05
"""A job longer than this that used less than this share of a core was sleeping, not starved of CPU."""
_REPEATED_BYTES = 4 << 20
"""Limit of the inputs and expected outputs, together, of tests that share a process."""
_FEW_FAILURES = 2
"""So many failures of a shared process are repeated in processes of their own at once."""
_QUICK_S = 0.2
"""CPU limit of a test in a shared process; beside a longer one the start of a process is negligible."""
_CHECKER_CPU_S = 5.0
"""Least CPU limit of a checker, which has to read all that a program printed."""


class News(enum.Enum):
    """The answers of a running job since the last look."""

    NOTHING = enum.auto()
    NEXT_TEST = enum.auto()
    """A test was completed, and another one of the job is running."""
    DECIDED = enum.auto()
    """The verdict is decided; the job can be stopped."""


class Starved(Exception):
    """Raised when a job got too little of a core to say anything about the program."""


class Trial:
    """A submission in progress. Mutable: it collects results run by run.

    Attributes:
        submission: The program with its tests.
        breakdowns: Number of times that it had to start anew: its zygote died, or had no core for it.
    """

    def __init__(
        self,
        submission: Submission,
        *,
        stop_at_failure: bool,
        stdout_tolerance: float | None,
        packages: Sequence[str] = (),
    ) -> None:
        """Plans the runs.

        Args:
            submission: The program with its tests.
            stop_at_failure: Whether the first failure decides.
            stdout_tolerance: See `Judge`.
            packages: What programs may import besides the standard library, in the blueprint's order.

        Raises:
            UsageError: When a test goes with no program of this kind.
        """
        self.submission = submission
        self.breakdowns = 0
        self._stop_at_failure = stop_at_failure
        self._stdout_tolerance = stdout_tolerance
        planned = plan(submission.tests, submission.entry_point)
        self._unsupported = {
            run.test: CaseResult(Outcome.UNSUPPORTED, None, run.reason)
            for run in planned
            if isinstance(run, NoRun)
        }
        self._source = _utf8(submission.code)
        self._prelude = _utf8(submission.prelude)
        # One bit a package, in a 64-bit field of the request. A name that merely occurs in the source is
        # enough: the error costs an import in the zygote, none in the program's time.
        self._packages = sum(
            1 << place
            for place, name in enumerate(packages[:64])
            if name.encode() in self._source or name.encode() in self._prelude
        )
        self._planned = self._joined([run for run in planned if not isinstance(run, NoRun)])
        self.restart()

    @property
    def wants_packages(self) -> bool:
        """Whether the program seems to import packages."""
        return bool(self._packages)

    def restart(self) -> None:
        """Forgets all results."""
        self._runs = [*self._planned]
        self._position = 0
        self._cpu_s = 0.0
        self._slept_s = 0.0
        self._timeouts = 0
        self._gave_up = False
        self._doubted: Mapping[int, CaseResult] = {}
        self._output: bytes | None = None
        self._results: dict[int, CaseResult] = dict(self._unsupported)

    def next_job(self) -> Job:
        """Returns the next run as a job; the CPU time that is left to the program is its limit."""
        limits = self.submission.limits
        run = self._runs[self._position]
        # Answers are bounded by what is expected, so that no program fills the memory of this process.
        self._request = self._request_for(len(run.tests))
        self._reading = Reading(run, self._stop_at_failure) if isinstance(run, CallRun) else None
        room = limits.result_bytes + _FRAME_ROOM * max(_FRAMES, len(run.tests))
        entry = self.submission.entry_point or ""
        match run:
            case RepeatedRun():
                payload = pack_job(self._source, self._prelude, run.inputs)
                room += limits.stdout_bytes + 2 * run.expected_bytes
                return Job(self._repeat_request(len(run.calls)), (payload,), answer_bytes=room)
            case CallRun():
                payload = pack_job(self._source, self._prelude, entry, run.inputs)
                return Job(self._request, (payload,), answer_bytes=room + 2 * run.expected_bytes)
            # The program has run, and what it printed is a checker's question: the second job of one run.
            case StdioRun() if self._output is not None:
                payload = pack_job(run.checker, run.stdin, self._output, _utf8(run.stdout))
                return Job(self._checker_request(), (payload,), answer_bytes=room)
            case StdioRun():
                payload = pack_job(self._source, self._prelude)
                printed = limits.stdout_bytes + 2 * len(run.stdout.encode("utf-8", "replace"))
                request = self._request._replace(mode=Mode.STDIO)
                return Job(request, (payload,), run.stdin, room, printed)
            case TesterRun():
                payloads = (pack_job(self._source, self._prelude, entry), run.payload)
                return Job(self._request._replace(mode=Mode.TESTER), payloads, answer_bytes=room)

    def accept(self, finished: Finished) -> Verdict | None:
        """Takes the outcome of the last job; returns the verdict if it is decided, else None.

        Raises:
            Starved: When the machine had no core for the job, so that there is nothing to be learnt of it.
        """
        # One job at a time and in order: the CPU time that is left to the program decides the next one's
        # limit.
        if Ending.STARVED in {child.ending for child in finished.children}:
            raise Starved("the machine is too busy: the program hardly got a core to run on")
        run = self._runs[self._position]
        if self._output is not None:
            # A checker's CPU time is not the program's: nothing is charged.
            self._output = None
            self._results |= grade_checker(run.tests[0], finished.children[0], finished.answers[0])
        else:
            found = grade(run, self._evidence(finished), self._stdout_tolerance)
            self._charge(finished)
            if isinstance(run, RepeatedRun):
                found = self._believed(run, found, finished)
            self._results |= found
            if isinstance(run, StdioRun) and run.checker and found[run.test].outcome is Outcome.PASS:
                self._output = finished.stdout
                return None
        self._position += 1
        if self._position == len(self._runs) or self._is_decided():
            return self._verdict()
        return None

    def news(self, answer: bytearray) -> News:
        """Reports progress of the running job since the last look; `answer` is its whole output so far."""
        if self._reading is None:
            return News.NOTHING
        failed, another_test = self._reading.go_on(answer)
        if failed:
            return News.DECIDED
        return News.NEXT_TEST if another_test else News.NOTHING

    def infrastructure(self, reason: str) -> Verdict:
        """Returns the verdict of a failure of the judge, which says nothing about the program."""
        return unjudged(len(self.submission.tests), reason, self._cpu_s)

    def _joined(self, runs: Sequence[Run]) -> list[Run]:
        """Merges the whole-program runs into one process if the program is safe to repeat in it."""
        whole = [run for run in runs if isinstance(run, StdioRun)]
        size = sum(len(run.stdin) + len(run.stdout) for run in whole)
        apart = size > _REPEATED_BYTES or any(run.checker for run in whole)
        if len(whole) < 2 or apart or not repeatable(self._source, self._prelude):
            return [*runs]
        others = [run for run in runs if not isinstance(run, StdioRun)]
        return [*others, repeated(tuple(whole), self._stdout_tolerance)]

    def _believed(
        self, run: RepeatedRun, found: Mapping[int, CaseResult], finished: Finished
    ) -> Mapping[int, CaseResult]:
        """Returns the trusted results of a shared process; queues runs of the other tests.

        A failure may come of what an earlier run left behind, and one that repeats says nothing of the
        others. Before the first test there was no run: its answer is what it gives alone. Many failures are
        repeated together in reverse order, in which a right program is found out as right; few, and all where
        one is not as before, in processes of their own.
        """
        if Outcome.COMPILE_ERROR in {result.outcome for result in found.values()}:
            return found
        heard = answered(run, finished.answers[0])
        doubted, self._doubted = self._doubted, {}
        if doubted and all(test in heard and _alike(found[test], doubted[test]) for test in doubted):
            return doubted
        believed = {} if doubted else self._passed(run, found)
        first = run.tests[0]
        if first in heard:
            believed[first] = found[first]
        # Not believed yet: failures, and tests that the process did not come to.
        left = [one for one in run.alone if one.test not in believed]
        failed = [one for one in left if one.test in heard]
        if not doubted and not self._stop_at_failure and len(failed) > _FEW_FAILURES:
            self._doubted = {one.test: found[one.test] for one in failed}
            # In reverse order: what an earlier test left behind is now left by a later one, so a failure of
            # both orders is the test's own.
            self._runs.append(repeated(tuple(reversed(failed)), self._stdout_tolerance))
            left = [one for one in left if one.test not in heard]
        self._runs += left
        return believed

    def _passed(self, run: RepeatedRun, found: Mapping[int, CaseResult]) -> dict[int, CaseResult]:
        """Returns the results of the tests that passed in a shared process."""
        passed = {test: result for test, result in found.items() if result.outcome is Outcome.PASS}
        if not self._stop_at_failure:
            return passed
        # The stop may reach a quick process too late: whether it ran the tests behind its first failure
        # depends on timing, so passes there do not count.
        return {test: passed[test] for test in takewhile(passed.__contains__, run.tests)}

    @property
    def _total_cpu_s(self) -> float:
        """CPU seconds for all tests together."""
        limits, tests = self.submission.limits, len(self.submission.tests)
        return max(limits.cpu_s, limits.total_cpu_s * max(1.0, tests / _USUAL_TESTS))

    def _request_for(self, tests: int) -> Request:
        """Returns the request of a job that decides so many tests."""
        limits = self.submission.limits
        # Limits shrink as the program spends: all runs together stay below `total_cpu_s`.
        total_s = min(max(0.01, self._total_cpu_s - self._cpu_s), limits.cpu_s * max(1, tests))
        cpu_s = min(limits.cpu_s, total_s)
        return Request(Mode.CALL, cpu_s, total_s, limits.wall_s, limits.memory_bytes, self._packages)

    def _repeat_request(self, tests: int) -> Request:
        """Returns the request of a process that runs a program for so many tests, if it is quick."""
        cpu_s = min(self._request.cpu_s, _QUICK_S)
        self._request = self._request._replace(
            mode=Mode.REPEAT, cpu_s=cpu_s, total_cpu_s=min(self._request.total_cpu_s, cpu_s * tests)
        )
        return self._request

    def _checker_request(self) -> Request:
        """Returns the request of a checker, whose limits do not depend on the program."""
        usual = Limits()
        cpu_s = max(_CHECKER_CPU_S, self.submission.limits.cpu_s)
        return Request(Mode.CHECKER, cpu_s, cpu_s, usual.wall_s, usual.memory_bytes, 0)

    def _evidence(self, finished: Finished) -> Evidence:
        """Returns the evidence of the last job."""
        limits = self.submission.limits
        return Evidence(
            finished.children,
            finished.answers,
            finished.stdout,
            finished.overflow,
            limits,
            self._request.total_cpu_s,
            self._total_cpu_s,
            self._request.cpu_s < limits.cpu_s,
        )

    def _charge(self, finished: Finished) -> None:
        """Charges the cost of a job, and gives up on a program that keeps timing out."""
        cpu_s = sum(child.cpu_s for child in finished.children)
        endings = {child.ending for child in finished.children}
        self._cpu_s += cpu_s
        if self._request.mode == Mode.REPEAT:  # which had less time than the tests may take
            return
        self._timeouts += Ending.CPU in endings
        # Sleep is paid for by nobody's CPU limit; without a sum of its own, a program could sleep in each of
        # a thousand tests.
        if finished.own_s > _SLEEPER_S and cpu_s < _SLEEPER_SHARE * finished.own_s:
            self._slept_s += finished.own_s
        self._gave_up = (
            self._timeouts >= _MOST_TIMEOUTS
            or not endings.isdisjoint((Ending.WALL, Ending.TOTAL_CPU))
            or self._cpu_s >= self._total_cpu_s
            or self._slept_s > self.submission.limits.wall_s
        )

    def _is_decided(self) -> bool:
        """Whether the remaining runs cannot change the verdict, or their CPU time is used up."""
        failures = {result.outcome for result in self._results.values()}
        failures -= {Outcome.PASS, Outcome.UNSUPPORTED}
        stopped = bool(failures and self._stop_at_failure)
        return self._gave_up or stopped or Outcome.COMPILE_ERROR in failures

    def _verdict(self) -> Verdict:
        """Returns the verdict; tests that were not run share the outcome of the first failure."""
        program = self._results.pop(WHOLE, None)
        decided = (one.outcome for one in self._results.values() if one.outcome.decided)
        failed = next((one for one in decided if one is not Outcome.PASS), Outcome.INFRASTRUCTURE)
        # They were not run, and the verdict is decided: to leave them out would raise the pass ratio.
        left_out = CaseResult(Outcome.TIMEOUT if self._gave_up else failed, None, "not run")
        results = [self._results.get(index, left_out) for index in range(len(self.submission.tests))]
        return combine(results, program, self._cpu_s)


def _alike(result: CaseResult, other: CaseResult) -> bool:
    """Whether two runs of a test ended alike."""
    return (result.outcome, result.got) == (other.outcome, other.got)


def _utf8(text: str) -> bytes:
    """Encodes text; lone surrogates too, the process at the other end will deal with them."""
    return text.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Output:
    """The output of a program on one input.

    Attributes:
        value: Written by the program's process: the encoded result of a call (`codec`), or the standard
            output of a whole program. None if there is none. It may be forged, like any answer.
        outcome: `PASS` iff there is a value, else why there is none.
        error: Exception type and message, bounded; empty if there is a value.
        reached: Whether the program was run on this input, or would end so on any; False behind an input
            that ended its process, of which `outcome` speaks then.
    """

    value: str | None
    outcome: Outcome
    error: str = ""
    reached: bool = True


class ObservedTrial(Trial):
    """A trial that keeps the outputs of its runs and ignores the expected results."""

    def __init__(self, submission: Submission, packages: Sequence[str] = ()) -> None:
        """Args: the program and its inputs, as the `args` of call tests or the `stdin` of stdio tests."""
        super().__init__(submission, stop_at_failure=False, stdout_tolerance=None, packages=packages)

    def _joined(self, runs: Sequence[Run]) -> list[Run]:
        """Leaves each run in a process of its own: no expected output tells whether to look again."""
        return [*runs]

    def restart(self) -> None:
        """Forgets all results."""
        super().restart()
        self._values: dict[int, str] = {}
        self._unreached: set[int] = set()

    def accept(self, finished: Finished) -> Verdict | None:
        """Takes the outcome of the last job, and the values in it."""
        run = self._runs[self._position]
        verdict = super().accept(finished)
        self._values |= returned(run, finished.answers, finished.stdout)
        if isinstance(run, CallRun):
            spent = finished.overflow or finished.children[0].ending == Ending.TOTAL_CPU
            self._unreached.update(unreached(run, finished.answers[0], spent=spent))
        return verdict

    def outputs(self, verdict: Verdict) -> tuple[Output, ...]:
        """Returns one output per test, in order; `verdict` is the trial's own."""
        finished = (Outcome.PASS, Outcome.WRONG_ANSWER)
        return tuple(
            Output(self._values[index], Outcome.PASS)
            if result.outcome in finished and index in self._values
            else Output(None, result.outcome, result.error, self._reached(index, result))
            for index, result in enumerate(verdict.tests)
        )

    def _reached(self, index: int, result: CaseResult) -> bool:
        """Whether a test has a result of its own."""
        given_up = index not in self._results and result.outcome is Outcome.TIMEOUT
        return index not in self._unreached and not given_up
