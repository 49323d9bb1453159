"""Ranks of a machine share the judge of the first."""

from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe

import pytest

from o1coder_gym.errors import InfrastructureError, UsageError
from o1coder_gym.experiments.training import node_judge
from o1coder_gym.sandbox import default_judge, shared_judge
from o1coder_gym.types import CallTest, Outcome, Submission

RIGHT = Submission("def f(x):\n    return 2 * x", "f", (CallTest("[3]", "6"),))
WRONG = Submission("def f(x):\n    return x", "f", (CallTest("[3]", "6"),))


def test_a_process_alone_has_its_own_judge() -> None:
    with node_judge.node_judge() as judge:
        assert judge is shared_judge()


def test_ranks_have_the_verdicts_of_the_first_one() -> None:
    with node_judge._hosted() as address, ThreadPoolExecutor(4) as pool:

        def rank(_: int) -> list[Outcome]:
            with node_judge._asked(address) as judge:
                return [one.outcome for _ in range(3) for one in judge.evaluate([RIGHT, WRONG])]

        wanted = [one.outcome for one in default_judge().evaluate([RIGHT, WRONG])]
        assert wanted == [Outcome.PASS, Outcome.WRONG_ANSWER]
        assert list(pool.map(rank, range(4))) == [wanted * 3] * 4


def test_what_the_judge_raises_is_raised_in_the_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    class Judge:
        def evaluate(self, submissions: object) -> None:
            raise UsageError("no such test")

    monkeypatch.setattr(node_judge, "shared_judge", Judge)
    with node_judge._hosted() as address, node_judge._asked(address) as judge:
        with pytest.raises(UsageError, match="no such test"):
            judge.evaluate([RIGHT])
        with pytest.raises(UsageError, match="no such test"):  # the line is as good as before
            judge.evaluate([RIGHT])


def test_threads_of_a_rank_get_the_verdicts_of_their_own_programs() -> None:
    mine, other = Pipe()
    judge = node_judge._Remote(mine)
    with ThreadPoolExecutor(2) as pool:
        found = {code: pool.submit(judge.evaluate, [Submission(code, None, ())]) for code in "ab"}
        for _ in found:
            (asked,) = other.recv()
            assert not other.poll(0.2)  # or two threads would wait for whichever answer comes first
            other.send([asked.code])
        assert {code: one.result(10) for code, one in found.items()} == {"a": ["a"], "b": ["b"]}
    mine.close()
    other.close()


def test_a_rank_hears_that_the_judge_has_ended() -> None:
    mine, other = Pipe()
    other.close()
    with pytest.raises(InfrastructureError, match="the rank that judges on this machine has ended"):
        node_judge._Remote(mine).evaluate([RIGHT])
    mine.close()
