import random
import struct

import pytest

from o1coder_gym.sandbox.grading import Evidence, Reading, combine, grade
from o1coder_gym.sandbox.plan import CallRun, NoRun, plan
from o1coder_gym.sandbox.wire import WHOLE, ChildReport, Ending, FrameKind, read_frames
from o1coder_gym.types import AssertTest, CallTest, CaseResult, CheckTest, Limits, Outcome, StdioTest

SECRET = "4f1c-the-expected-value-that-no-candidate-knows"
CALLS = (
    CallTest("[1]", repr(SECRET)),
    CallTest("[2]", repr({SECRET: [SECRET, 918273645.25]})),
    CallTest("[3]", repr({SECRET, 564738291})),
    AssertTest(f"assert f(4) == ({SECRET!r}, 483012.0)"),
    AssertTest(f"assert set(f(5)) == {{{SECRET!r}}}"),
    AssertTest("import math\nassert math.isclose(f(6), 7394832.125)"),
    CheckTest("def check(candidate):\n    assert abs(candidate(7) - 8372611.5) < 1e-6"),
)
TESTER = (AssertTest(f"assert [f(1)] == [{SECRET!r}]"),)
GRANTED_S = 2.0
BODIES = (
    b"0",
    b"NaN",
    b"1e999",
    b'"x"',
    b'{"s":[[1],{"t":[]}]}',
    b'{"d":[[1,2],[1,2]]}',
    b'{"i":"0x' + b"f" * 400,
    b'{"m":[1,99999999]}',
    b'{"f":[1,0]}',
    b'{"h":0}',
    b"[" * 3000,
    b"\xff\x00\xfe",
    b"9" * 5000,
)


def planned(tests):
    """The one run of tests."""
    (run,) = plan(tests, "f")
    assert not isinstance(run, NoRun)
    return run


def frame(kind, index, body=b""):
    return struct.pack("<BII", kind, index, len(body)) + body


def wrong_answers(source, count):
    """What a candidate writes that answers every call, or does not, but never knows a right answer."""
    yield frame(FrameKind.BEGUN, WHOLE)
    for _ in range(source.randrange(2 * count)):
        kind = source.choice((2, 2, 2, 3, 4, 5, 6, 7, 8, 9, 1, source.randrange(256)))
        index = source.choice(
            (source.randrange(count), source.randrange(count), WHOLE, source.randrange(1 << 32))
        )
        yield frame(kind, index, source.choice(BODIES))


def mutate(source, data):
    """Damages a message in up to four places."""
    data = bytearray(data)
    for _ in range(source.randrange(5)):
        place, other = sorted((source.randrange(len(data) + 1), source.randrange(len(data) + 1)))
        match source.randrange(6):
            case 0:
                data[place : place + 1] = source.randbytes(1)
            case 1:
                del data[place:other]
            case 2:
                data[place:place] = data[place:other]
            case 3:
                data[place:place] = source.randbytes(source.randrange(20))
            case 4:
                data[place : place + 4] = struct.pack("<I", source.choice((0, 1, 1 << 31, WHOLE)))
            case _:
                del data[other:]
    return bytes(data)


def ending(source):
    """How a child may end."""
    status = source.choice((0, 0, 1 << 8, 9, 11, 255 << 8))
    return ChildReport(status, source.choice(list(Ending)), source.choice((0.0, 0.1, 5.0)))


@pytest.mark.parametrize(
    ("tests", "count"), [(CALLS, 30_000), (TESTER, 10_000), ((StdioTest("", SECRET),), 10_000)]
)
def test_mutated_frames_raise_nothing_and_pass_nothing(tests, count):
    source = random.Random(20241130)
    run = planned(tests)
    begun = frame(FrameKind.BEGUN, WHOLE)
    told_by_tester = (begun, begun + frame(FrameKind.WRONG, 0, b"AssertionError"))
    seen: set[Outcome] = set()
    for _ in range(count):
        answer = mutate(source, b"".join(wrong_answers(source, len(tests))))
        answers = (answer, source.choice(told_by_tester)) if tests is TESTER else (answer,)
        children = tuple(ending(source) for _ in answers)
        evidence = Evidence(
            children, answers, source.randbytes(8), source.random() < 0.1, Limits(), GRANTED_S
        )
        if isinstance(run, CallRun):
            reading, cut = Reading(run, compares=True), source.randrange(len(answer) + 1)
            assert not any(reading.go_on(bytearray(part))[1] for part in (answer[:cut], answer))
        results = grade(run, evidence, None)
        assert all(result.outcome is not Outcome.PASS for result in results.values())
        ordered = [results[index] for index in sorted(results)]
        if not ordered:
            assert children[0].ending == Ending.STOPPED
            continue
        verdict = combine(ordered, None, 0.0)
        assert verdict.error.isprintable()
        seen |= {result.outcome for result in ordered}
    assert {Outcome.WRONG_ANSWER, Outcome.RUNTIME_ERROR, Outcome.TIMEOUT} <= seen


def test_the_fuzzed_parser_reads_true_frames():
    run = planned(CALLS[:1])
    answer = frame(FrameKind.BEGUN, WHOLE) + frame(FrameKind.VALUE, 0, f'"{SECRET}"'.encode())
    evidence = Evidence((ChildReport(0, Ending.OWN, 0.0),), (answer,), b"", False, Limits(), GRANTED_S)
    assert grade(run, evidence, None) == {0: CaseResult(Outcome.PASS, repr(SECRET))}


def test_a_second_answer_to_a_call_does_not_count():
    run = planned(CALLS[:1])
    answer = frame(FrameKind.BEGUN, WHOLE) + frame(FrameKind.VALUE, 0, b"0")
    answer += frame(FrameKind.VALUE, 0, f'"{SECRET}"'.encode())
    evidence = Evidence((ChildReport(0, Ending.OWN, 0.0),), (answer,), b"", False, Limits(), GRANTED_S)
    assert grade(run, evidence, None) == {0: CaseResult(Outcome.WRONG_ANSWER, "0")}


def test_a_running_candidate_is_read_as_it_answers():
    run = planned((CallTest("[0]", "0"), AssertTest("assert f(1) == 1 and f(2) == 2"), CallTest("[3]", "3")))
    assert isinstance(run, CallRun)
    begun, right = frame(FrameKind.BEGUN, WHOLE), [frame(FrameKind.VALUE, n, b"%d" % n) for n in range(4)]
    reading, told, seen = Reading(run, compares=True), bytearray(), []
    for part in (begun, right[0], right[0], right[1][:3], right[1][3:], right[2], right[3]):
        told += part
        seen.append(reading.go_on(told))
    assert seen == [(False, another) for another in (False, True, False, False, False, True, False)]
    wrong = bytearray(begun + right[0] + frame(FrameKind.VALUE, 1, b"7"))
    assert Reading(run, compares=True).go_on(wrong) == (True, False)
    assert Reading(run, compares=False).go_on(wrong) == (False, True)
    assert Reading(run, compares=True).go_on(bytearray(right[0])) == (False, False)


def evidence_of(answer, child):
    return Evidence((child,), (frame(FrameKind.BEGUN, WHOLE) + answer,), b"", False, Limits(), GRANTED_S)


@pytest.mark.parametrize(
    ("answer", "child", "outcome"),
    [
        (frame(FrameKind.DONE, WHOLE), ChildReport(0, Ending.OWN, 0.0), Outcome.NO_TESTS),
        (b"", ChildReport(0, Ending.OWN, 0.0), Outcome.RUNTIME_ERROR),
        (b"", ChildReport(9, Ending.STOPPED, 0.0), Outcome.RUNTIME_ERROR),
        (frame(FrameKind.DONE, WHOLE), ChildReport(9, Ending.STOPPED, 0.0), Outcome.RUNTIME_ERROR),
        (frame(FrameKind.DONE, WHOLE), ChildReport(9, Ending.CPU, 9.0), Outcome.TIMEOUT),
        (frame(FrameKind.DONE, WHOLE), ChildReport(1 << 8, Ending.OWN, 0.0), Outcome.RUNTIME_ERROR),
        (frame(FrameKind.COMPILE, WHOLE), ChildReport(1 << 8, Ending.OWN, 0.0), Outcome.COMPILE_ERROR),
    ],
)
def test_a_program_without_tests_has_loaded_only_if_it_says_so_and_ends_well(answer, child, outcome):
    run = planned(())
    results = grade(run, evidence_of(answer, child), None)
    assert results is not None
    assert results[WHOLE].outcome is outcome


def test_a_stopped_test_of_which_calls_are_missing_has_not_passed():
    two_calls = AssertTest("assert f(1) == 1 and f(2) == 2")
    run = planned((CallTest("[0]", "0"), two_calls, two_calls))
    wrong, right = frame(FrameKind.VALUE, 0, b"7"), frame(FrameKind.VALUE, 1, b"1")
    both = frame(FrameKind.VALUE, 1, b"1") + frame(FrameKind.VALUE, 2, b"2")
    stopped = ChildReport(9, Ending.STOPPED, 0.0)
    for answer, decided in ((wrong + right, {0}), (wrong + both, {0, 1})):
        assert set(grade(run, evidence_of(answer, stopped), None)) == decided


@pytest.mark.parametrize("length", [0, 1, 8, 9, 100])
def test_an_announced_length_is_not_believed(length):
    data = struct.pack("<BII", FrameKind.VALUE, 0, WHOLE) + b"x" * length
    assert read_frames(data) == ([], 0)
    assert read_frames(frame(FrameKind.DONE, 0) + data)[0] == read_frames(frame(FrameKind.DONE, 0))[0]
