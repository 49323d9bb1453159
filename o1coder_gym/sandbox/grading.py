"""From what the processes of a run wrote, and how they ended, to the results of its tests: pure functions.

All bytes here may be forged by a candidate. Forging gains nothing, for the expected results were never
in its process; what is malformed counts as no answer.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice

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
    Outcome.NO_TESTS,
    Outcome.PASS,
)
"""From worst to best."""

_FAILURES = {
    FrameKind.ERROR: Outcome.RUNTIME_ERROR,
    FrameKind.MEMORY: Outcome.MEMORY,
    FrameKind.COMPILE: Outcome.COMPILE_ERROR,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is left of a run.

    Attributes:
        children: How its processes ended: the candidate, and the tester if there was one.
        answers: What each of them wrote to its channel.
        stdout: What the candidate printed, in stdio runs.
        overflow: Whether it wrote more than it may.
        limits: Those of the run.
    """

    children: tuple[ChildReport, ...]
    answers: tuple[bytes, ...]
    stdout: bytes
    overflow: bool
    limits: Limits

    @property
    def ended_well(self) -> bool:
        """Whether the candidate ended by itself, with status 0, and wrote no more than it may."""
        candidate = self.children[0]
        return candidate.ending == Ending.OWN and candidate.status == 0 and not self.overflow


def grade(run: Run, evidence: Evidence, stdout_tolerance: float | None) -> Mapping[int, CaseResult]:
    """Returns the result of each test of a run, by index; for a run without tests at index `WHOLE`.

    Calls that were not made because the job was stopped are left out.
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


def failed_already(run: CallRun, answer: bytes, met: int) -> tuple[bool, int]:
    """Whether the answers of a candidate that still runs fail a test already.

    Args:
        run: What it was asked.
        answer: What it has written so far.
        met: How many of its answers are known to be right, so that none is compared twice.

    Returns:
        Whether one is wrong, and how many are right.
    """
    answers = _answers(_after_begin(answer, run), len(run.calls), _FAILURES.keys() | {FrameKind.VALUE})
    for index, frame in islice(answers.items(), met, None):
        if not _is_met(run.calls[index][1], frame):
            return True, met
        met += 1
    return False, met


def returned(run: Run, answers: Sequence[bytes], stdout: bytes) -> dict[int, str]:
    """Returns what a program answered to each test of a run: encoded results, or what it printed."""
    match run:
        case CallRun():
            frames = _answers(
                _after_begin(answers[0], run), len(run.calls), _FAILURES.keys() | {FrameKind.VALUE}
            )
            return {
                run.calls[call][0]: frame.body.decode("ascii", "replace")
                for call, frame in frames.items()
                if frame.kind is FrameKind.VALUE
            }
        case StdioRun():
            return {run.test: stdout.decode("utf-8", "replace")}
        case TesterRun():
            return {}


def combine(results: Sequence[CaseResult], program: CaseResult | None, cpu_s: float) -> Verdict:
    """Returns the verdict over all tests of a submission.

    Args:
        results: One per test, in order.
        program: How loading went, where there are no tests.
        cpu_s: CPU seconds used.
    """
    graded = results if program is None else [program]
    worst = min(graded, key=lambda result: _SEVERITY.index(result.outcome))
    error = ""
    if worst.outcome not in (Outcome.PASS, Outcome.NO_TESTS):
        detail = worst.error or (f"got {worst.got}" if worst.got is not None else "")
        where = f"test {results.index(worst)}: " if results else ""
        error = f"{where}{worst.outcome.value.replace('_', ' ')}" + (f": {detail}" if detail else "")
    return Verdict(worst.outcome, tuple(results), cpu_s, error)


def _after_begin(answer: bytes, run: Run) -> list[Frame]:
    """Returns the frames that follow the mark of a confined process; none without the mark."""
    questions = len(run.calls if isinstance(run, CallRun) else run.tests)
    frames, _ = read_frames(answer, questions + _OTHER_FRAMES)
    if not frames or frames[0] != Frame(FrameKind.BEGUN, WHOLE, b""):
        return []
    return frames[1:]


def _answers(frames: Iterable[Frame], count: int, kinds: Iterable[FrameKind]) -> dict[int, Frame]:
    """Returns the first frame for each call or test, up to the first frame that makes no sense."""
    answers: dict[int, Frame] = {}
    for frame in frames:
        if frame.about >= count or frame.kind not in kinds:
            break
        answers.setdefault(frame.about, frame)
    return answers


def _grade_candidate(run: CallRun, evidence: Evidence) -> Mapping[int, CaseResult]:
    """Grades the answer of a candidate without a tester."""
    answer, candidate = evidence.answers[0], evidence.children[0]
    stopped = candidate.ending == Ending.STOPPED and not evidence.overflow
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
        loaded = ended_well and FrameKind.DONE in {frame.kind for frame in frames}
        return {WHOLE: CaseResult(Outcome.NO_TESTS) if loaded else ending}
    return _grade_calls(run, frames, None if stopped else ending)


_known_grades = lru_cache(1024)(_grade_answer)
"""For short answers: programs that are right, and many that are wrong, answer alike."""


def _grade_calls(run: CallRun, frames: list[Frame], ending: CaseResult | None) -> dict[int, CaseResult]:
    """Grades the calls, and of each test the worst of its calls.

    Without `ending` the calls that were not made are left out, and tests that they could still fail.
    """
    answers = _answers(frames, len(run.calls), _FAILURES.keys() | {FrameKind.VALUE})
    results: dict[int, CaseResult] = {}
    undecided: set[int] = set()
    for call, (test, expectation) in enumerate(run.calls):
        result = _grade_call(expectation, answers[call]) if call in answers else ending
        if result is None:
            undecided.add(test)
            continue
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
    return CaseResult(outcome, brief(frame.body, _GOT_CHARS))


def _is_met(expectation: Expectation, frame: Frame) -> bool:
    """Whether a call returned what is expected."""
    return frame.kind is FrameKind.VALUE and expectation.met_by(frame.body.decode("ascii", "replace"))


def _grade_tester(
    run: TesterRun, frames: list[Frame], ending: CaseResult, tester_ending: CaseResult
) -> dict[int, CaseResult]:
    """Grades tests by what the tester says; what it could not say, by how the processes ended."""
    said = _FAILURES.keys() | {FrameKind.PASSED, FrameKind.WRONG, FrameKind.GONE}
    answers = _answers(frames, len(run.tests), said)
    results = {}
    for position, test in enumerate(run.tests):
        frame = answers.get(position)
        if frame is None:
            results[test] = tester_ending
        elif frame.kind is FrameKind.GONE:
            results[test] = ending
        elif frame.kind is FrameKind.PASSED:
            results[test] = CaseResult(Outcome.PASS)
        else:
            outcome = _FAILURES.get(frame.kind, Outcome.WRONG_ANSWER)
            results[test] = CaseResult(outcome, None, line(frame.body))
    return results


def _grade_stdio(
    run: StdioRun, frames: list[Frame], ending: CaseResult, evidence: Evidence, tolerance: float | None
) -> CaseResult:
    """Grades what a program printed, if it ended well."""
    if frames or not evidence.ended_well:
        return ending
    text = evidence.stdout.decode("utf-8", "replace")
    same = run.same or partial(same_stdout, tol=tolerance)
    outcome = Outcome.PASS if same(text, run.stdout) else Outcome.WRONG_ANSWER
    return CaseResult(outcome, ascii(text[:_GOT_CHARS]))


def _cut_short(evidence: Evidence, child: ChildReport) -> CaseResult | None:
    """Returns the result of tests that a process left unanswered because it went over a limit."""
    limits = evidence.limits
    if child.ending == Ending.CPU or child.cpu_s >= limits.cpu_s:
        return CaseResult(Outcome.TIMEOUT, None, f"used more than {limits.cpu_s:g} s of CPU time")
    if child.ending == Ending.WALL:
        return CaseResult(Outcome.TIMEOUT, None, f"waited for more than {limits.wall_s:g} s")
    if evidence.overflow:
        return CaseResult(Outcome.RUNTIME_ERROR, None, "wrote more than is allowed")
    return None


def _ending(frames: Sequence[Frame], status: int, cut_short: CaseResult | None) -> CaseResult:
    """Returns the result of tests that a process left unanswered: why it ended before."""
    if cut_short is not None:
        return cut_short
    for frame in frames:
        if frame.about == WHOLE and frame.kind in _FAILURES:
            return CaseResult(_FAILURES[frame.kind], None, line(frame.body))
    return CaseResult(Outcome.RUNTIME_ERROR, None, f"the program {_way_out(status)} before it answered")


def _way_out(status: int) -> str:
    """Says how a process ended, from its wait status."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"left with status {code}"
    number = -code
    names: Mapping[int, str] = {one.value: one.name for one in signal.Signals}
    return f"was killed by {names.get(number, f'signal {number}')}"


def line(body: bytes) -> str:
    """Returns foreign text as one bounded, printable line."""
    text = " ".join(body.decode("utf-8", "replace").split())
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:_LINE_CHARS])
    return shown if len(text) <= _LINE_CHARS else shown + "…"
