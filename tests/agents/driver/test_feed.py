import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import Driver, Feed, Task, TaskResult, best_of_n, greedy
from o1coder_gym.errors import Cancelled, UsageError


@contextmanager
def running(driver: Driver, feed: Feed) -> Iterator["queue.Queue[TaskResult]"]:
    """Runs a driver on a feed in a thread; gives its results as they come."""
    results: queue.Queue[TaskResult] = queue.Queue()

    def work() -> None:
        for result in driver.stream(feed):
            results.put(result)

    thread = threading.Thread(target=work)
    thread.start()
    yield results
    feed.close()
    thread.join(20)
    assert not thread.is_alive()


class Held:
    """A policy that waits at its gate."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self.gate = threading.Event()
        self.asked = threading.Event()

    def propose(self, requests: Any, /) -> Any:
        self.asked.set()
        assert self.gate.wait(10)
        return self.policy.propose(requests)


def test_tasks_begin_when_they_come(toy: ModuleType) -> None:
    feed = Feed()
    with running(Driver(toy.ToyModel(), toy.ToyPolicy()), feed) as results:
        for name in ("a", "b", "a"):  # a key may be used again once its task is over
            feed.put(Task(name, greedy))
            assert results.get(timeout=10).task.task_id == name


def test_results_are_those_of_a_list(toy: ModuleType) -> None:
    tasks = [Task(f"p{i}", partial(best_of_n, n=3)) for i in range(30)]
    expected = {r.task.key: r.result for r in Driver(toy.ToyModel(), toy.ToyPolicy(), seed=7).run(tasks)}
    feed = Feed()
    with running(Driver(toy.ToyModel(), toy.ToyPolicy(), seed=7, live=4), feed) as results:
        threads = [threading.Thread(target=feed.put, args=(task,)) for task in tasks]
        for thread in threads:
            thread.start()
        found = {r.task.key: r.result for r in (results.get(timeout=10) for _ in tasks)}
    assert found == expected


def test_what_came_before_closing_is_done(toy: ModuleType) -> None:
    feed = Feed()
    for i in range(5):
        feed.put(Task(f"p{i}", greedy))
    feed.close()
    with pytest.raises(UsageError, match="closed"):
        feed.put(Task("late", greedy))
    assert len(list(Driver(toy.ToyModel(), toy.ToyPolicy(), live=2).stream(feed))) == 5


def test_a_running_task_is_cancelled(toy: ModuleType) -> None:
    feed, policy = Feed(), Held(toy.ToyPolicy())
    with running(Driver(toy.ToyModel(), policy, live=1), feed) as results:
        task, waiting = Task("p", greedy), Task("q", greedy)
        feed.put(task)
        feed.put(waiting)
        assert policy.asked.wait(10)
        assert feed.waiting == 1
        assert feed.cancel(waiting.key)  # never begun, so it has no result
        assert not feed.cancel(task.key)
        result = results.get(timeout=10)
        assert result.task == task
        assert isinstance(result.error, Cancelled)
        policy.gate.set()
        feed.put(Task("r", greedy))
        assert results.get(timeout=10).task.task_id == "r"
    assert results.empty()


def test_cancelling_a_finished_task_changes_nothing(toy: ModuleType) -> None:
    feed = Feed()
    with running(Driver(toy.ToyModel(), toy.ToyPolicy()), feed) as results:
        feed.put(Task("p", greedy))
        first = results.get(timeout=10)
        feed.cancel(first.task.key)
        feed.put(Task("q", greedy))
        assert results.get(timeout=10).error is None


def test_two_equal_keys_at_the_same_time_are_refused(toy: ModuleType) -> None:
    feed = Feed()
    feed.put(Task("p", greedy))
    feed.put(Task("p", greedy))
    with pytest.raises(UsageError, match="two tasks"):
        list(Driver(toy.ToyModel(), toy.ToyPolicy()).stream(feed))


@pytest.mark.parametrize("when", ["after", "twice", "before"])
def test_cancelling_a_key_does_not_reach_the_next_task_of_that_name(toy: ModuleType, when: str) -> None:
    feed, policy = Feed(), Held(toy.ToyPolicy())
    policy.gate.set()
    if when == "before":
        assert not feed.cancel(Task("p", greedy).key)  # nobody has that key yet
    with running(Driver(toy.ToyModel(), policy), feed) as results:
        feed.put(Task("p", greedy))
        assert results.get(timeout=10).error is None
        if when != "before":
            for _ in range(1 + (when == "twice")):
                feed.cancel(Task("p", greedy).key)
            feed.put(Task("p", greedy))
            assert results.get(timeout=10).error is None


def test_a_running_task_is_cancelled_even_if_its_name_is_put_again(toy: ModuleType) -> None:
    feed, policy = Feed(), Held(toy.ToyPolicy())
    first, second = Task("p", greedy, name="a"), Task("p", greedy, name="b")
    with running(Driver(toy.ToyModel(), policy), feed) as results:
        feed.put(first)
        assert policy.asked.wait(10)
        feed.put(second)
        feed.cancel(first.key)
        assert isinstance(results.get(timeout=10).error, Cancelled)
        policy.gate.set()
        assert results.get(timeout=10).error is None
