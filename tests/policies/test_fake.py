import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from o1coder_gym.errors import UsageError
from o1coder_gym.policies import LanguageModelPolicy, load_policy
from o1coder_gym.types import ActionType, PolicyRequest, Problem, Sampling, State

PROBLEM = Problem("t/0", "Do it.", "do")


def chain(policy, seed=0):
    state = State("t/0")
    while state.code is None:
        proposal = policy.propose([PolicyRequest(PROBLEM, state, 1, Sampling(), seed)])[0][0]
        state = state.then(policy.step_format.parse(proposal.text))
    return state


def test_it_writes_steps_and_then_code():
    state = chain(load_policy("fake:depth=3"))
    kinds = [step.type for step in state.steps]
    assert kinds == [ActionType.DEFINE, ActionType.REFINE, ActionType.CODE]
    assert "def answer" in (state.code or "")
    assert chain(load_policy("fake:depth=1", format="vanilla")).depth == 1


def test_equal_requests_get_equal_answers_whatever_the_batch():
    policy = load_policy("fake:tokens=20")
    assert chain(policy, seed=3) == chain(policy, seed=3)
    assert chain(policy, seed=3) != chain(policy, seed=4)
    requests = [PolicyRequest(PROBLEM, State("t/0"), 4, Sampling(), seed) for seed in (1, 2)]
    assert policy.propose(requests)[1] == policy.propose(requests[1:])[0]


def test_lengths_are_as_told_and_cut_at_the_limit():
    policy = load_policy("fake:tokens=20")
    request = PolicyRequest(PROBLEM, State("t/0"), 200, Sampling(), 0)
    tokens = [proposal.tokens for proposal in policy.propose([request])[0]]
    assert min(tokens) == 10
    assert max(tokens) == 30
    short = PolicyRequest(PROBLEM, State("t/0"), 50, Sampling(max_tokens=12), 0)
    cut = policy.propose([short])[0]
    assert max(proposal.tokens for proposal in cut) == 12
    assert {proposal.finish for proposal in cut} == {"stop", "length"}


def test_it_counts_and_takes_its_time():
    policy = load_policy("fake:call_s=0.02&step_s=0.001&row_s=0.0001&tokens=1")
    assert isinstance(policy, LanguageModelPolicy)
    begun = time.monotonic()
    policy.propose([PolicyRequest(PROBLEM, State("t/0"), 5, Sampling(), 0)] * 2)
    assert time.monotonic() - begun >= 0.02 + 0.001 + 10 * 0.0001
    counters = policy.counters
    assert (counters.requests, counters.generated_tokens, counters.batch_sizes) == (2, 10, ((10, 1),))


def test_batches_beyond_its_parallelism_wait(monkeypatch):
    policy = load_policy("fake:call_s=0.03&parallel=2&tokens=1")
    assert isinstance(policy, LanguageModelPolicy)
    assert policy.parallel == 2
    pair, running, most = threading.Barrier(2, timeout=60), [], []

    def sleep(seconds):
        running.append(seconds)
        pair.wait()  # two batches run at the same time, or this never ends
        most.append(len(running))
        pair.wait()
        running.pop()

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=sleep)  # of this module alone: others sleep too
    monkeypatch.setattr("o1coder_gym.policies.fake.time", clock)
    request = PolicyRequest(PROBLEM, State("t/0"))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: policy.propose([request]), range(4)))
    assert most == [2, 2, 2, 2]
    assert policy.counters.queue_s >= 0


def test_of_nothing_no_batch_is_counted():
    policy = load_policy("fake:tokens=7")  # an engine of its own: equal specs share one
    assert isinstance(policy, LanguageModelPolicy)
    assert policy.propose([]) == []
    assert (policy.counters.batches, policy.counters.batch_sizes) == (0, ())


def test_senseless_settings_are_refused():
    for options in ("step_s=-1", "depth=0", "tokens=x"):
        with pytest.raises(UsageError):
            load_policy(f"fake:{options}")
