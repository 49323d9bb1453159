import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from o1coder_gym.policies.vllm import OwnThread


def test_everything_runs_on_one_thread_one_at_a_time():
    thread, inside, most = OwnThread("mine"), [], []

    def work():
        inside.append(1)
        most.append(len(inside))
        inside.pop()
        return threading.current_thread()

    with ThreadPoolExecutor(4) as pool:
        ran_on = list(pool.map(lambda _: thread.call(work), range(40)))
    assert {found.name for found in ran_on} == {"mine"}
    assert len(set(ran_on)) == 1
    assert ran_on[0].daemon
    assert max(most) == 1


def test_an_error_belongs_to_the_caller_and_the_thread_goes_on():
    thread = OwnThread("mine")
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda: 1 / 0)
    assert thread.call(lambda: 3) == 3


def test_what_has_not_begun_can_be_cancelled():
    thread, go_on, done = OwnThread("mine"), threading.Event(), []
    first, second = thread.submit(go_on.wait), thread.submit(lambda: done.append(1))
    assert second.cancel()
    go_on.set()
    assert first.result()
    assert thread.call(lambda: list(done)) == []
