"""Grades a run by the output and the endings of its processes: pure functions.

All bytes here may be forged by a candidate. Forging gains nothing, for the expected results were never
in its process; what is malformed counts as no answer.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from o1coder_gym.sandbox.plan import CallRun, Run, StdioRun, TesterRun
from o1coder_gym.sandbox.values.comparison import brief
from o1coder_gym.sandbox.values.expectation import Expectation
from o1coder_gym.sandbox.values.standard_output import same_stdout
from o1coder_gym.sandbox.wire import WHOLE, ChildReport, Ending, Frame, FrameKind, read_frames
from o1coder_gym.types import CaseResult, Limits, Outcome, Verdict

_LINE_CHARS = 400
_GOT_CHARS = 200
_OTHER_FRAMES = 3
"""Frames besides one for each question: begun, done or failed, and one that is too many."""
_KNOWN_BYTES = 2048

_SEVERITY = (
    Outcome.INFRASTRUCTURE,
    Outcome.COMPILE_ERROR,
    Outcome.MEMORY,
    Outcome.TIMEOUT,
    Outcome.RUNTIME_ERROR,
    Outcome.WRONG_ANSWER,
    Outcome.UNSUPPORTED,
    Outcome.NO_TESTS,
    Outcome.PASS,
)
"""From worst to best."""

_FAILURES = {
    FrameKind.ERROR: Outcome.RUNTIME_ERROR,
    FrameKind.MEMORY: Outcome.MEMORY,
    FrameKind.COMPILE: Outcome.COMPILE_ERROR,
}

_TO_CALLS = _FAILURES.keys() | {FrameKind.VALUE}
"""Kinds of frames that answer a call."""
_FROM_TESTERS = {
    **_FAILURES,
    FrameKind.PASSED: Outcome.PASS,
    FrameKind.WRONG: Outcome.WRONG_ANSWER,
    FrameKind.UNSUPPORTED: Outcome.UNSUPPORTED,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence by which a finished run is graded.

    Attributes:
        children: How its processes ended: the candidate, and the tester if there was one.
        answers: The output of each to its channel.
        stdout: The candidate's standard output, in stdio runs.
        overflow: Whether it wrote more than it may.
        limits: Limits of the submission.
        granted_s: CPU seconds that the run was allowed.
        total_cpu_s: Limit for all runs together.
        scarce: Whether less of it was left than one test may use.
    """

    children: tuple[ChildReport, ...]
    answers: tuple[bytes, ...]
    stdout: bytes
    overflow: bool
    limits: Limits
    granted_s: float
    total_cpu_s: float = math.inf
    scarce: bool = False

    @property
    def ended_well(self) -> bool:
        """Whether the candidate exited with status 0 and kept to its output limit."""
        candidate = self.children[0]
        return candidate.ending == Ending.OWN and candidate.status == 0 and not self.overflow


def grade(run: Run, evidence: Evidence, stdout_tolerance: float | None) -> Mapping[int, CaseResult]:
    """Returns the result of each test of a run by test index; that of a run without tests is at `WHOLE`.

    Tests whose calls were not all made because the job was stopped are left out, unless they failed.
    """
    if isinstance(run, CallRun):
        return _grade_candidate(run, evidence)
    frames = [_after_begin(answer, run) for answer in evidence.answers]
    endings = [
        _ending(read, child.status, _cut_short(evidence, child))
        for read, child in zip(frames, evidence.children, strict=True)
    ]
    if isinstance(run, TesterRun):
        return _grade_tester(run, frames[1], *endings)
    return {run.test: _grade_stdio(run, frames[0], endings[0], evidence, stdout_tolerance)}


class Reading:
    """Reads the answers of a running candidate incrementally. Mutable."""

    def __init__(self, run: CallRun, compares: bool) -> None:
        """Args: the run; whether to compare answers with the expected results."""
        self._run = run
        self._compares = compares
        self._position = 0
        self._last = -1
        self._makes_sense = True

    def go_on(self, answer: bytearray) -> tuple[bool, bool]:
        """Reads the frames that have arrived since the last call.

        Args:
            answer: All that the candidate has written so far.

        Returns:
            Two flags: an answer is wrong; a test was completed and another one of the run follows.
        """
        first = self._position == 0
        frames, self._position = read_frames(answer, start=self._position)
        if first and frames:
            # The zygote's code writes BEGUN once the process is confined. Without it first, the rest means
            # nothing.
            self._makes_sense = frames.pop(0) == Frame(FrameKind.BEGUN, WHOLE, b"")
        another_test = False
        for frame in frames if self._makes_sense else ():
            if frame.about >= len(self._run.calls) or frame.kind not in _TO_CALLS:
                self._makes_sense = False
                break
            if frame.about <= self._last:
                continue  # the first answer counts
            self._last = frame.about
            if self._compares and not _is_met(self._run.calls[frame.about][1], frame):
                return True, False
            another_test = another_test or self._ends_test(frame.about)
        return False, another_test

    def _ends_test(self, call: int) -> bool:
        """Whether a call is the last of its test, and others follow."""
        following = self._run.calls[call + 1 : call + 2]
        return bool(following) and following[0][0] != self._run.calls[call][0]


def returned(run: Run, answers: Sequence[bytes], stdout: bytes) -> dict[int, str]:
    """Returns the output of a program for each test of a run: an encoded result, or its standard output."""
    match run:
        case CallRun():
            frames = _answers(_after_begin(answers[0], run), len(run.calls), _TO_CALLS)
            return {
                run.calls[call][0]: frame.body.decode("ascii", "replace")
                for call, frame in frames.items()
                if frame.kind is FrameKind.VALUE
            }
        case StdioRun():
            return {run.test: stdout.decode("utf-8", "replace")}
        case TesterRun():
            return {}


def answered(run: CallRun, answer: bytes) -> set[int]:
    """Returns the indices of the tests that a run with one call per test has answered, rightly or not."""
    frames = _answers(_after_begin(answer, run), len(run.calls), _TO_CALLS)
    return {run.calls[call][0] for call in frames}


def unreached(run: CallRun, answer: bytes, *, spent: bool) -> list[int]:
    """Returns the tests that a run with one call per test ended before: another one took them along.

    The first test without an answer is that other one, unless what all tests share was used up; then it may
    have been the tests before it. A program that does not load fails on each test.

    Args:
        run: The run.
        answer: The output of its process.
        spent: Whether the process ended because its tests together went over a limit.
    """
    frames = _after_begin(answer, run)
    if any(frame.about == WHOLE and frame.kind in _FAILURES for frame in frames):
        return []
    heard = _answers(frames, len(run.calls), _TO_CALLS)
    left = [test for call, (test, _) in enumerate(run.calls) if call not in heard]
    return left if spent and heard else left[1:]


def combine(results: Sequence[CaseResult], program: CaseResult | None, cpu_s: float) -> Verdict:
    """Returns the verdict over all tests of a submission.

    Args:
        results: One per test, in order.
        program: How loading went, where there are no tests.
        cpu_s: CPU seconds used.
    """
    graded = results if program is None else [*results, program]
    # By severity, not by place: a test that timed out says more of a program than a wrong answer before it.
    worst = min(graded, key=lambda result: _SEVERITY.index(result.outcome))
    error = ""
    if worst.outcome not in (Outcome.PASS, Outcome.NO_TESTS):
        detail = worst.error or (f"got {worst.got}" if worst.got is not None else "")
        where = f"test {results.index(worst)}: " if worst in results else ""
        error = f"{where}{worst.outcome.value.replace('_', ' ')}" + (f": {detail}" if detail else "")
    return Verdict(worst.outcome, tuple(results), cpu_s, error)


def unjudged(tests: int, reason: str, cpu_s: float = 0.0) -> Verdict:
    """Returns the verdict of a failure of the judge, which says nothing about the program.

    Args:
        tests: How many the program has.
        reason: What failed.
        cpu_s: CPU time that was spent on it before.
    """
    failed = CaseResult(Outcome.INFRASTRUCTURE, None, reason)
    return Verdict(Outcome.INFRASTRUCTURE, (failed,) * tests, cpu_s, reason)


def _after_begin(answer: bytes, run: Run) -> list[Frame]:
    """Returns the frames behind the BEGUN frame of a confined process; none without it."""
    # Bounded by what was asked: a flood of empty frames (a megabyte holds 100,000) costs no time here.
    questions = len(run.calls if isinstance(run, CallRun) else run.tests)
    frames, _ = read_frames(answer, questions + _OTHER_FRAMES)
    if not frames or frames[0] != Frame(FrameKind.BEGUN, WHOLE, b""):
        return []
    return frames[1:]


def _answers(frames: Iterable[Frame], count: int, kinds: Iterable[FrameKind]) -> dict[int, Frame]:
    """Returns the first frame for each call or test, up to the first frame that makes no sense."""
    answers: dict[int, Frame] = {}
    for frame in frames:
        # DONE, a failure of the whole, or nonsense: no frame behind it is taken for an answer.
        if frame.about >= count or frame.kind not in kinds:
            break
        answers.setdefault(frame.about, frame)
    return answers


def _grade_candidate(run: CallRun, evidence: Evidence) -> Mapping[int, CaseResult]:
    """Grades the answer of a candidate without a tester."""
    answer, candidate = evidence.answers[0], evidence.children[0]
    stopped = candidate.ending == Ending.STOPPED and not evidence.overflow
    # Short answers are looked up: a batch of samples has few distinct ones, and decoding costs more than a
    # look-up.
    grade_answer = _known_grades if len(answer) <= _KNOWN_BYTES else _grade_answer
    cut_short = _cut_short(evidence, candidate)
    return grade_answer(run, answer, candidate.status, evidence.ended_well, stopped, cut_short)


def _grade_answer(
    run: CallRun, answer: bytes, status: int, ended_well: bool, stopped: bool, cut_short: CaseResult | None
) -> Mapping[int, CaseResult]:
    """Does the work of `_grade_candidate`."""
    frames = _after_begin(answer, run)
    ending = _ending(frames, status, cut_short)
    if not run.calls:
        # `os._exit(0)` at import ends well too, and a forged DONE may come before a crash: loading counts
        # only if the process says so and ends well.
        loaded = ended_well and FrameKind.DONE in {frame.kind for frame in frames}
        return {WHOLE: CaseResult(Outcome.NO_TESTS) if loaded else ending}
    return _grade_calls(run, frames, None if stopped else ending)


_known_grades = lru_cache(1024)(_grade_answer)
"""For short answers: programs that are right, and many that are wrong, answer alike."""


def _grade_calls(run: CallRun, frames: list[Frame], ending: CaseResult | None) -> dict[int, CaseResult]:
    """Grades each test by the worst of its calls.

    With `ending` None the job was stopped: a test with calls that were not made may still fail, so it can
    have failed but not passed, and is left out unless it failed.
    """
    answers = _answers(frames, len(run.calls), _TO_CALLS)
    results: dict[int, CaseResult] = {}
    undecided: set[int] = set()
    for call, (test, expectation) in enumerate(run.calls):
        result = _grade_call(expectation, answers[call]) if call in answers else ending
        if result is None:
            undecided.add(test)
            continue
        # A test of several calls is as bad as the worst of them.
        known = results.get(test)
        if known is None or _SEVERITY.index(result.outcome) < _SEVERITY.index(known.outcome):
            results[test] = result
    return {
        test: result
        for test, result in results.items()
        if test not in undecided or result.outcome is not Outcome.PASS
    }


def _grade_call(expectation: Expectation, frame: Frame) -> CaseResult:
    """Grades one call."""
    if frame.kind is not FrameKind.VALUE:
        return CaseResult(_FAILURES[frame.kind], None, line(frame.body))
    outcome = Outcome.PASS if _is_met(expectation, frame) else Outcome.WRONG_ANSWER
    if expectation.printed:
        return CaseResult(outcome, ascii(frame.body.decode("utf-8", "replace")[:_GOT_CHARS]))
    return CaseResult(outcome, brief(frame.body, _GOT_CHARS))


def _is_met(expectation: Expectation, frame: Frame) -> bool:
    """Whether a call returned what is expected."""
    encoding = "utf-8" if expectation.printed else "ascii"
    return frame.kind is FrameKind.VALUE and expectation.met_by(frame.body.decode(encoding, "replace"))


def _grade_tester(
    run: TesterRun, frames: list[Frame], ending: CaseResult, tester_ending: CaseResult
) -> dict[int, CaseResult]:
    """Grades a test by the frame of its tester, or by the processes' endings if it sent none."""
    # From the tester's channel alone: on its own one the candidate can only say how it failed itself.
    frame = _answers(frames, 1, {*_FROM_TESTERS, FrameKind.GONE}).get(0)
    if frame is None:
        return {run.test: tester_ending}
    if frame.kind is FrameKind.GONE:
        return {run.test: ending}
    return {run.test: CaseResult(_FROM_TESTERS[frame.kind], None, line(frame.body))}


def grade_checker(test: int, child: ChildReport, answer: bytes) -> dict[int, CaseResult]:
    """Returns the result of a test from its checker's answer; a checker without an answer rejects."""
    frames, _ = read_frames(answer, 1 + _OTHER_FRAMES)
    said = [frame for frame in frames if frame.kind in (FrameKind.PASSED, FrameKind.WRONG)]
    # A checker that crashes on an output has not accepted it.
    if child.ending != Ending.OWN or not said:
        return {test: CaseResult(Outcome.WRONG_ANSWER, None, f"checker: {_way_out(child.status)}")}
    if said[0].kind is FrameKind.PASSED:
        return {test: CaseResult(Outcome.PASS)}
    return {test: CaseResult(Outcome.WRONG_ANSWER, None, line(said[0].body))}


def _grade_stdio(
    run: StdioRun, frames: list[Frame], ending: CaseResult, evidence: Evidence, tolerance: float | None
) -> CaseResult:
    """Compares standard output with the expected one, if the program ended well."""
    # A whole program that ends well sends no frame: each is a failure report, or forged.
    if frames or not evidence.ended_well:
        return ending
    text = evidence.stdout.decode("utf-8", "replace")
    if run.checker:  # which is asked next
        return CaseResult(Outcome.PASS, ascii(text[:_GOT_CHARS]))
    same = run.same or partial(same_stdout, tol=tolerance)
    outcome = Outcome.PASS if same(text, run.stdout) else Outcome.WRONG_ANSWER
    return CaseResult(outcome, ascii(text[:_GOT_CHARS]))


def _cut_short(evidence: Evidence, child: ChildReport) -> CaseResult | None:
    """Returns the result of unanswered tests if the process went over a limit, else None."""
    # The kernel's own limit (RLIMIT_CPU) may kill a child unseen by the supervisor: then only the
    # seconds tell that it was a timeout.
    if child.ending in (Ending.CPU, Ending.TOTAL_CPU) or child.cpu_s >= evidence.granted_s:
        limit, of = evidence.limits.cpu_s, ""
        if evidence.scarce or child.ending == Ending.TOTAL_CPU:
            limit, of = evidence.total_cpu_s, " in all tests"
        return CaseResult(Outcome.TIMEOUT, None, f"used more than {limit:g} s of CPU time{of}")
    if child.ending == Ending.WALL:
        return CaseResult(Outcome.TIMEOUT, None, f"waited for more than {evidence.limits.wall_s:g} s")
    if evidence.overflow:
        return CaseResult(Outcome.RUNTIME_ERROR, None, "wrote more than is allowed")
    return None


def _ending(frames: Sequence[Frame], status: int, cut_short: CaseResult | None) -> CaseResult:
    """Returns the result of unanswered tests: why the process ended before it answered."""
    if cut_short is not None:
        return cut_short
    for frame in frames:
        if frame.about == WHOLE and frame.kind in _FAILURES:
            return CaseResult(_FAILURES[frame.kind], None, line(frame.body))
    return CaseResult(Outcome.RUNTIME_ERROR, None, f"the program {_way_out(status)} before it answered")


def _way_out(status: int) -> str:
    """Describes the ending of a process by its wait status."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"left with status {code}"
    number = -code
    names: Mapping[int, str] = {one.value: one.name for one in signal.Signals}
    return f"was killed by {names.get(number, f'signal {number}')}"


def line(body: bytes) -> str:
    """Returns untrusted text as one bounded, printable line."""
    text = " ".join(body.decode("utf-8", "replace").split())
    # Control characters of a program must not reach a terminal or a log.
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:_LINE_CHARS])
    return shown if len(text) <= _LINE_CHARS else shown + "…"
