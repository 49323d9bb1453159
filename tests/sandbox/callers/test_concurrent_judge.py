"""One judge, many callers: the same verdicts as one batch, merged, cancelled, forked and closed."""

import asyncio
import multiprocessing
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from o1coder_gym.errors import Cancelled, InfrastructureError, UsageError
from o1coder_gym.sandbox import ConcurrentJudge, shared_judge
from o1coder_gym.sandbox.trial import Trial
from o1coder_gym.types import AssertTest, CallTest, Limits, StdioTest, Submission
from o1coder_gym.types.protocols import Judge as JudgeProtocol

CALLS = (CallTest("[1]", "2"), CallTest("[2]", "3"))
PROGRAMS = [Submission(f"def f(x):\n    return x + {i % 3}", "f", CALLS) for i in range(60)]
SLEEPER = Submission("import time\ntime.sleep(1)\ndef f(x):\n    return x + 1", "f", CALLS)


@pytest.fixture(scope="module")
def judge(judge_of_two):
    return judge_of_two


@pytest.fixture
def many(judge):
    with ConcurrentJudge(judge) as many:
        yield many


def outcomes(verdicts):
    return [verdict.outcome for verdict in verdicts]


def test_threads_and_tasks_get_the_verdicts_of_one_batch(judge, many):
    expected = outcomes(judge.evaluate(PROGRAMS))

    async def tasks():
        found = await asyncio.gather(*(many.evaluate_async([one]) for one in PROGRAMS))
        return [verdict for (verdict,) in found]

    assert outcomes(many.evaluate(PROGRAMS)) == expected
    assert outcomes(asyncio.run(tasks())) == expected
    with ThreadPoolExecutor(30) as threads:
        assert outcomes(threads.map(lambda one: many.evaluate([one])[0], PROGRAMS)) == expected
    assert many.waiting == 0


@pytest.mark.parametrize(
    "ask", [ConcurrentJudge.evaluate, lambda many, batch: asyncio.run(many.evaluate_async(batch))]
)
def test_a_batch_that_is_refused_leaves_nothing_in_the_queue(many, monkeypatch, ask):
    futures, submit = [], many.submit

    def kept(one, /, **keywords):
        futures.append(submit(one, **keywords))
        return futures[-1]

    monkeypatch.setattr(many, "submit", kept)
    with pytest.raises(UsageError):
        ask(many, [*[SLEEPER] * 20, Submission("", None, CALLS)])
    assert sum(future.cancelled() for future in futures) >= 16  # those that had not begun


def test_a_batch_wakes_the_event_loop_once(many, monkeypatch):
    async def woken():
        loop, count = asyncio.get_running_loop(), 0
        wake = loop.call_soon_threadsafe

        def counted(*arguments):
            nonlocal count
            count += 1
            return wake(*arguments)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        verdicts = await many.evaluate_async(PROGRAMS)
        return len(verdicts), count

    assert asyncio.run(woken()) == (60, 1)
    assert asyncio.run(many.evaluate_async([])) == []


def test_a_verdict_does_not_wait_for_slow_programs_behind_it(many):
    napper = replace(SLEEPER, code=SLEEPER.code.replace("sleep(1)", "sleep(0.3)"))
    quick, *slow = (many.submit(one) for one in (PROGRAMS[0], *[napper] * 4))
    quick.result(60)
    assert not any(future.done() for future in slow[2:])
    for future in slow:
        future.cancel()


def test_callers_that_pause_wake_the_judge_each_time(many):
    def call(number):
        found = []
        for turn in range(8):
            time.sleep((number * 7 + turn * 3) % 11 / 1000)  # the queue runs empty now and then
            found.append(many.submit(PROGRAMS[0]).result(timeout=60).outcome)
        return found

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(call, range(6))) == [["wrong_answer"] * 8] * 6


def test_a_fault_of_the_judge_is_told_and_ends_nothing_else(many, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Trial, "next_job", lambda self: 1 // 0)
        with pytest.raises(InfrastructureError, match="the judge failed: ZeroDivisionError") as caught:
            many.evaluate(PROGRAMS[:4])
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert outcomes(many.evaluate(PROGRAMS[:2])) == ["wrong_answer", "pass"]


def test_one_slow_caller_does_not_hold_up_the_others(many):
    slow = many.submit(SLEEPER)
    done = [many.submit(one) for one in PROGRAMS]
    assert [future.result().outcome for future in done[:2]] == ["wrong_answer", "pass"]
    assert not slow.done()
    assert slow.result().outcome == "pass"


def test_what_its_tests_are_of_no_account_for(many):
    calls = many.submit_run(Submission("def f(x):\n    return x * 7", "f", CALLS))
    prints = many.submit_run(Submission("print(input())", None, (StdioTest("hi\n", ""),)))
    assert [output.value for output in calls.result()] == ["7", "14"]
    assert [output.value for output in prints.result()] == ["hi\n"]
    failing = many.submit_run(Submission("1/0", None, (StdioTest("", ""),)))
    assert [(one.value, one.outcome) for one in failing.result()] == [(None, "runtime_error")]


def test_tests_that_fit_no_program_are_told_to_who_asks(many):
    with pytest.raises(UsageError, match="entry point"):
        many.submit(Submission("", None, CALLS))
    assert outcomes(many.evaluate([])) == []


def test_what_is_cancelled_in_time_is_never_begun(many):
    futures = [many.submit(SLEEPER) for _ in range(40)]
    cancelled = [future.cancel() for future in futures]
    assert sum(cancelled) >= 36  # two run, and two more are at the workers' doors
    assert outcomes(many.evaluate(PROGRAMS[:1])) == ["wrong_answer"]
    assert many.submit_run(SLEEPER).cancel()


def test_a_task_that_is_cancelled_takes_its_programs_back(many):
    async def hang_up():
        task = asyncio.ensure_future(many.evaluate_async([SLEEPER] * 30))
        await asyncio.sleep(0.1)
        task.cancel()
        return await asyncio.gather(task, return_exceptions=True)

    (error,) = asyncio.run(hang_up())
    assert isinstance(error, asyncio.CancelledError)
    assert outcomes(many.evaluate(PROGRAMS[1:2])) == ["pass"]


def test_batches_of_the_judge_itself_go_on_beside(judge, many):
    with ThreadPoolExecutor(8) as threads:
        merged = [threads.submit(many.evaluate, PROGRAMS[:9]) for _ in range(4)]
        alone = [threads.submit(judge.evaluate, PROGRAMS[:9]) for _ in range(4)]
        found = [outcomes(future.result()) for future in (*merged, *alone)]
    assert all(one == found[0] for one in found)


def test_a_program_that_takes_a_zygote_down_is_the_only_one_that_suffers(many):
    futures = [many.submit(one) for one in PROGRAMS]
    hog = many.submit(
        Submission("x = [0] * 10**10\ndef f(x): ...", "f", CALLS, Limits(memory_bytes=64 << 20))
    )
    assert hog.result().outcome == "memory"
    assert outcomes(future.result() for future in futures) == outcomes(many.evaluate(PROGRAMS))


def test_stopping_at_a_failure_is_each_callers_own_choice(many):
    wrong = Submission("def f(x):\n    return 0", "f", (AssertTest("assert f(1) == 2"), *CALLS))
    (verdict,) = many.evaluate([wrong], stop_at_failure=True)
    assert verdict.outcome == "wrong_answer"
    assert verdict.total == 3


def _in_child(many, sender):
    sender.send([str(one) for one in outcomes(many.evaluate(PROGRAMS[:3]))])
    many.close()


def test_a_fork_has_a_queue_of_its_own_even_while_its_parent_judges(judge):
    with ConcurrentJudge(judge) as many:
        busy = [many.submit(SLEEPER) for _ in range(2)]
        while many.waiting:
            time.sleep(0.01)
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe(duplex=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what is tested
            child = context.Process(target=_in_child, args=(many, sender))
            child.start()
        assert receiver.poll(60)
        assert receiver.recv() == ["wrong_answer", "pass", "wrong_answer"]
        child.join(30)
        assert outcomes(future.result() for future in busy) == ["pass", "pass"]


def test_a_closed_one_calls_off_what_waits_and_takes_nothing_more(judge):
    many = ConcurrentJudge(judge)
    futures = [many.submit(SLEEPER) for _ in range(20)]
    threading.Timer(0.05, many.close).start()
    with pytest.raises(Cancelled):
        futures[-1].result(30)
    many.close()
    with pytest.raises(InfrastructureError, match="closed"):
        many.submit(PROGRAMS[0])
    assert outcomes(judge.evaluate(PROGRAMS[1:2])) == ["pass"]


def test_it_is_a_judge_by_the_protocol(many):
    assert isinstance(many, JudgeProtocol)


def test_there_is_one_for_the_process():
    assert shared_judge() is shared_judge()
