"""Calls that share vLLM's batch, without vLLM: a machine that steps prompts as vLLM's `LLM` does."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from o1coder_gym.policies.vllm.own_thread import OwnThread
from o1coder_gym.policies.vllm.running_batch import RunningBatch

Done = Callable[[], bool]
"""A prompt: whether it ends at this step."""


@dataclass
class Machine:
    """As much of `vllm.LLM` as is used; prompts say themselves when they end.

    Attributes:
        rows: How many prompts took part in each step.
        failing: Raised by the next step.
    """

    rows: list[int] = field(default_factory=list)
    failing: BaseException | None = None
    _inside: dict[str, Done] = field(default_factory=dict)
    _count: int = 0

    @property
    def llm_engine(self) -> "Machine":
        return self

    def enqueue(self, prompts: Sequence[Done], samplings: Sequence[str]) -> list[str]:
        if "bad" in samplings:
            raise ValueError("no such sampling")
        ids = [str(self._count + place) for place in range(len(prompts))]
        self._count += len(prompts)
        self._inside |= dict(zip(ids, prompts, strict=True))
        return [f"{one}-0123abcd" for one in ids]

    def step(self) -> list[SimpleNamespace]:
        if self.failing is not None:
            raise self.failing
        self.rows.append(len(self._inside))
        time.sleep(0.001)
        ended = [name for name, done in self._inside.items() if done()]
        for name in ended:
            del self._inside[name]
        outputs = [SimpleNamespace(request_id=name, finished=True) for name in ended]
        return [*outputs, *(SimpleNamespace(request_id=name, finished=False) for name in self._inside)]


def after(steps: int) -> Done:
    left = iter(range(steps - 1))
    return lambda: next(left, None) is None


class Counted(OwnThread):
    """A thread that says how much it was given."""

    submitted = 0

    def submit(self, function: Callable[[], Any]) -> Future[Any]:
        future = super().submit(function)
        self.submitted += 1
        return future


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def batch() -> RunningBatch:
    return RunningBatch(OwnThread("steps"))


def answer(batch: RunningBatch, machine: Machine, *prompts: Done, sampling: str = "good") -> list[str]:
    found = batch.answer(machine, len(prompts), lambda: machine.enqueue(prompts, [sampling] * len(prompts)))
    return [one.request_id for one in found]


def test_outputs_come_in_the_order_of_their_prompts(batch: RunningBatch, machine: Machine) -> None:
    assert answer(batch, machine, after(3), after(1), after(2)) == ["0", "1", "2"]
    assert machine.rows == [3, 2, 1]
    assert answer(batch, machine, after(1)) == ["3"]


def test_a_short_call_joins_a_long_one_and_does_not_wait_for_it(
    batch: RunningBatch, machine: Machine
) -> None:
    long_may_end = threading.Event()
    with ThreadPoolExecutor() as pool:
        long = pool.submit(answer, batch, machine, long_may_end.is_set)
        while not machine.rows:
            time.sleep(0.001)
        short = pool.submit(answer, batch, machine, after(2))
        try:
            assert short.result(timeout=30) == ["1"]
            assert not long.done()
        finally:
            long_may_end.set()
        assert long.result() == ["0"]
    assert max(machine.rows) == 2


def test_many_calls_at_once_get_their_own_answers(batch: RunningBatch, machine: Machine) -> None:
    with ThreadPoolExecutor(16) as pool:
        prompts = [[after(1 + (place * 7) % 5), after(1 + place % 3)] for place in range(60)]
        found = list(pool.map(lambda pair: answer(batch, machine, *pair), prompts))
    assert sorted(int(one) for pair in found for one in pair) == list(range(120))
    assert all(int(second) == int(first) + 1 for first, second in found)


def test_prompts_that_are_refused_hurt_no_other_call(batch: RunningBatch, machine: Machine) -> None:
    may_end = threading.Event()
    with ThreadPoolExecutor() as pool:
        good = pool.submit(answer, batch, machine, may_end.is_set)
        with pytest.raises(ValueError, match="no such sampling"):
            answer(batch, machine, after(1), sampling="bad")
        may_end.set()
        assert good.result(timeout=30) == ["0"]
    assert not batch.failed


def test_a_step_that_fails_fails_all_calls_inside(batch: RunningBatch, machine: Machine) -> None:
    with ThreadPoolExecutor() as pool:
        inside = [pool.submit(answer, batch, machine, lambda: False) for _ in range(3)]
        while not machine.rows or machine.rows[-1] < 3:
            time.sleep(0.001)
        machine.failing = RuntimeError("out of memory")
        for one in inside:
            with pytest.raises(RuntimeError, match="out of memory"):
                one.result(timeout=30)
    assert batch.failed


def test_a_call_that_waited_for_its_turn_while_a_step_failed_is_refused(machine: Machine) -> None:
    thread, go_on = Counted("steps"), threading.Event()
    batch = RunningBatch(thread)

    def fails() -> bool:
        go_on.wait(30)
        raise RuntimeError("out of memory")

    with ThreadPoolExecutor() as pool:
        first = pool.submit(answer, batch, machine, fails)
        while not machine.rows:
            time.sleep(0.001)
        second = pool.submit(answer, batch, machine, after(1))
        while thread.submitted < 3:  # the first call, its step, the second call
            time.sleep(0.001)
        go_on.set()
        with pytest.raises(RuntimeError, match="out of memory"):
            first.result(timeout=30)
        with pytest.raises(RuntimeError, match="an earlier request failed"):
            second.result(timeout=30)


def test_what_changes_the_weights_waits_for_the_calls_inside_and_is_waited_for(
    batch: RunningBatch, machine: Machine
) -> None:
    may_end, order = threading.Event(), []

    def ends(name: str, done: Done) -> Done:
        def ended() -> bool:
            if found := done():
                order.append(name)
            return found

        return ended

    with ThreadPoolExecutor() as pool:
        first = pool.submit(answer, batch, machine, ends("first", may_end.is_set))
        while not machine.rows:
            time.sleep(0.001)
        change = pool.submit(batch.alone, machine, lambda: order.append("change"))
        while not change.running():
            time.sleep(0.001)
        assert order == []
        may_end.set()
        change.result(timeout=30)
        first.result(timeout=30)
        answer(batch, machine, ends("second", after(1)))
    assert order == ["first", "change", "second"]
