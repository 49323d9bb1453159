from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import (
    Driver,
    Task,
    TaskResult,
    beam,
    best_of_n,
    best_of_n_random,
    diverse_beam,
    epsilon_greedy,
    greedy,
    load_agent,
    random_steps,
)
from o1coder_gym.agents.beam import by_scorer
from o1coder_gym.errors import UsageError
from o1coder_gym.runs.budget import UNLIMITED, Budget
from o1coder_gym.types import ActionType, PolicyRequest, Problem, Proposal, SearchResult, State, Step


def run(toy: ModuleType, agent: Any, policy: Any = None, budget: Budget = UNLIMITED) -> TaskResult:
    driver = Driver(toy.ToyModel(), policy or toy.ToyPolicy(), toy.ToyScorer())
    (result,) = driver.run([Task("p", agent, budget)])
    assert result.error is None
    return result


def found(result: TaskResult) -> SearchResult:
    assert result.result is not None
    return result.result


def scripted(toy: ModuleType, answer: Callable[[PolicyRequest], tuple[str, float]]) -> Any:
    """A policy whose i-th sample of a request is told by `answer`, as text and log-probability."""

    class Scripted(toy.FixedPolicy):
        def propose(self, requests: Any, /) -> Any:
            replies = []
            for request in requests:
                self.requests.append(request)
                replies.append(tuple(Proposal(text, 10, logp) for text, logp in [answer(request)]))
            return replies

    return Scripted()


def test_greedy_follows_one_path_to_the_code(toy: ModuleType) -> None:
    actions = iter([("think 0", -1.0), ("think 1", -1.0), ("code 3", -1.0)])
    result = run(toy, greedy, scripted(toy, lambda request: next(actions)))
    state = found(result).state
    assert state is not None
    assert [step.text for step in state.steps] == ["think 0", "think 1", "code 3"]
    assert found(result).value == 0.75
    assert (result.usage.tokens, result.usage.calls, result.usage.executions) == (30, 3, 1)


def test_greedy_without_code_has_no_answer(toy: ModuleType) -> None:
    result = run(toy, greedy, toy.FixedPolicy("think 0"))
    assert (found(result).state, found(result).value, result.usage.calls) == (None, 0.0, 5)


def rollouts(*programs: tuple[str, float]) -> Callable[[PolicyRequest], tuple[str, float]]:
    """Rollouts of one step each."""
    actions = iter(programs)
    return lambda request: next(actions)


def test_best_of_n_chooses_by_tests(toy: ModuleType) -> None:
    policy = scripted(toy, rollouts(("code 1", -0.1), ("code 3", -9.0), ("code 2", -0.1)))
    best = found(run(toy, partial(best_of_n, n=3), policy))
    assert (best.code, best.value) == ("code 3", 0.75)


def test_best_of_n_breaks_ties_by_mean_logprob(toy: ModuleType) -> None:
    # one step of 10 tokens, −2: mean −0.2; two steps of 20 tokens, −3: mean −0.15, though the sum is lower
    policy = scripted(toy, rollouts(("code 2", -2.0), ("think 0", -1.5), ("code 2", -1.5)))
    state = found(run(toy, partial(best_of_n, n=2), policy)).state
    assert state is not None
    assert state.depth == 2


def test_best_of_n_ranks_what_was_not_judged_last(toy: ModuleType) -> None:
    policy = scripted(toy, rollouts(("judge down", -0.1), ("code 0", -9.0)))
    assert found(run(toy, partial(best_of_n, n=2), policy)).code == "code 0"


def test_best_of_n_asks_with_fresh_seeds(toy: ModuleType) -> None:
    policy = scripted(toy, rollouts(*[("code 0", -1.0)] * 6))
    run(toy, partial(best_of_n, n=6), policy)
    assert len({request.seed for request in policy.requests}) == 6


def test_best_of_n_runs_as_many_rollouts_at_once_as_told(toy: ModuleType) -> None:
    policy = toy.FixedPolicy("think 0")
    run(toy, partial(best_of_n, n=5, width=2), policy)
    # waves of 2, 2 and 1 rollouts of 5 steps
    depths = [request.state.depth for request in policy.requests]
    assert depths == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4] * 2 + [0, 1, 2, 3, 4]


def test_best_of_n_finishes_what_the_budget_allows(toy: ModuleType) -> None:
    # a rollout is 3 steps of 100 tokens; 700 tokens are two rollouts and a third that is cut
    def answer(request: PolicyRequest) -> str:
        return "think 0" if request.state.depth < 2 else "code 1"

    class Steps(toy.FixedPolicy):
        def propose(self, requests: Any, /) -> Any:
            self.requests += requests
            return [(Proposal(answer(r), min(100, r.sampling.max_tokens), -1.0),) for r in requests]

    result = run(toy, best_of_n, Steps(), Budget(tokens=700))
    assert result.exhausted
    assert found(result).code == "code 1"
    assert (result.usage.tokens, result.usage.executions) == (700, 2)


def test_best_of_n_stops_early_if_told(toy: ModuleType) -> None:
    programs = rollouts(("code 1", -1.0), ("code 4", -1.0), ("code 4", -0.5))
    result = run(toy, partial(best_of_n, n=3, early_stop=True), scripted(toy, programs))
    assert (result.usage.calls, found(result).value) == (2, 1.0)


def test_the_random_control_does_not_look_at_the_tests(toy: ModuleType) -> None:
    def pick(good: int, seed: int) -> int:
        """Which of 4 rollouts is chosen, where one is good."""
        programs = [(f"code {4 if i == good else 0}", -float(i + 1)) for i in range(4)]
        agent = partial(best_of_n_random, n=4, seed=seed)
        policy = scripted(toy, rollouts(*programs))
        return int(found(run(toy, agent, policy)).value == 1.0)

    # wherever the good one is, the same place is picked: once in four
    for seed in range(5):
        assert sum(pick(good, seed) for good in range(4)) == 1
    picks = [good for seed in range(30) for good in range(4) if pick(good, seed)]
    assert set(picks) == {0, 1, 2, 3}


def test_beam_keeps_the_likeliest_paths(toy: ModuleType) -> None:
    class Tree(toy.FixedPolicy):
        """Two steps, then code; ``think 9`` is likely, all others are not."""

        def propose(self, requests: Any, /) -> Any:
            self.requests += requests
            return [self.answer(request) for request in requests]

        def answer(self, request: PolicyRequest) -> Any:
            if request.state.depth == 2:
                return tuple(Proposal(f"code {i}", 10, -1.0) for i in range(request.n))
            texts = [("think 9", -1.0), *((f"think {i}", -5.0) for i in range(request.n - 1))]
            return tuple(Proposal(text, 10, logprob) for text, logprob in texts)

    policy = Tree()
    result = run(toy, partial(beam, width=1, branch=3), policy)
    states = [[step.text for step in request.state.steps] for request in policy.requests]
    assert states == [[], ["think 9"], ["think 9", "think 9"]]
    assert [request.n for request in policy.requests] == [3, 3, 3]
    assert (found(result).code, found(result).value) == ("code 2", 0.5)
    tree = found(result).tree
    assert tree.root.visits == 3


def test_beam_asks_for_all_paths_at_once(toy: ModuleType) -> None:
    policy = toy.ToyPolicy(code=0.0, malformed=0.0)
    run(toy, partial(beam, width=3, branch=2), policy)
    assert [len(batch) for batch in policy.batches] == [1, 3, 3, 3, 3]
    assert policy.batches[0][0].n == 6


def test_beam_by_scorer_keeps_the_best_scores(toy: ModuleType) -> None:
    policy = toy.ToyPolicy(code=0.0, malformed=0.0)
    result = run(toy, partial(beam, width=1, branch=3, rank=by_scorer), policy)
    kept = max(found(result).tree.root.children, key=lambda node: node.score)
    assert policy.batches[1][0].state == kept.state


def test_beam_ends_with_what_it_has(toy: ModuleType) -> None:
    result = run(toy, beam, toy.ToyPolicy(code=0.6), Budget(tokens=450))
    assert result.usage.tokens <= 450
    assert found(result).code is not None
    nothing = run(toy, beam, toy.FixedPolicy("mumble"))
    assert found(nothing).state is None


def test_diverse_beams_never_meet(toy: ModuleType) -> None:
    class Crowd(toy.FixedPolicy):
        """All that begins with ``think 0`` is likelier than anything else."""

        def propose(self, requests: Any, /) -> Any:
            self.requests += requests
            return [
                tuple(
                    Proposal(f"think {i}", 10, -1.0 if i == 0 or request.state.steps[:1] == first else -20.0)
                    for i in range(request.n)
                )
                for request in requests
            ]

    (transition,) = toy.ToyModel().advance([(toy.ToyModel().initial("p"), "think 0")])
    first = transition.state.steps
    policy = Crowd()
    run(toy, partial(diverse_beam, groups=2, branch=2), policy)
    for depth in range(1, 5):
        starts = [r.state.steps[0].text for r in policy.requests if r.state.depth == depth]
        assert starts == ["think 0", "think 1"]
    crowded = Crowd()
    run(toy, partial(beam, width=2, branch=2), crowded)
    assert {r.state.steps[0].text for r in crowded.requests if r.state.depth == 4} == {"think 0"}


@pytest.mark.parametrize("agent", [greedy, best_of_n, beam, diverse_beam])
def test_nothing_is_asked_without_a_budget(toy: ModuleType, agent: Any) -> None:
    policy = toy.ToyPolicy()
    result = run(toy, agent, policy, Budget(tokens=0))
    assert (policy.requests, found(result).state, result.exhausted) == ([], None, True)


class Ideas:
    """Five ideas for a step, the likeliest first; the second step is a program that says which was taken."""

    def __init__(self) -> None:
        self.asked = 0

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        self.asked += sum(request.n for request in requests)
        return [tuple(self._idea(request, i) for i in range(request.n)) for request in requests]

    def _idea(self, request: PolicyRequest, i: int) -> Proposal:
        if request.state.depth == 1:
            return Proposal("code 1", 10, -1.0)
        return Proposal(f"think {i % 5}", 10, -1.0 - i % 5)


def first_steps(toy: ModuleType, agent: Any, seeds: int = 200) -> Counter[str]:
    """How often each first step is taken over seeds, one episode each."""
    tasks = [Task("p", agent, seed=seed) for seed in range(seeds)]
    found = Driver(toy.ToyModel(), Ideas(), toy.ToyScorer()).run(tasks)
    assert [result.error for result in found] == [None] * seeds
    states = [result.result.state for result in found if result.result is not None]
    return Counter(state.steps[0].text for state in states if state is not None)


def test_random_takes_every_sampled_step_alike(toy: ModuleType) -> None:
    taken = first_steps(toy, partial(random_steps, branch=5))
    assert len(taken) == 5
    # 200 draws of a fifth each: 40 ± 5.7; beyond 4 standard deviations in one of 3,000 such tests
    assert all(17 <= count <= 63 for count in taken.values())
    # samples that are equal are one step: 10 samples of 5 ideas are drawn from 5
    assert len(first_steps(toy, partial(random_steps, branch=10), 50)) == 5


@pytest.mark.parametrize(("epsilon", "least", "most"), [(0.0, 200, 200), (0.5, 96, 144), (1.0, 17, 63)])
def test_epsilon_is_the_chance_of_a_random_step(
    toy: ModuleType, epsilon: float, least: int, most: int
) -> None:
    # the likeliest step is taken with 1 − ε + ε/5: 200, 120 ± 6.9, 40 ± 5.7 of 200
    taken = first_steps(toy, partial(epsilon_greedy, epsilon=epsilon, branch=5))
    assert least <= taken["think 0"] <= most


def test_epsilon_greedy_asks_the_scorer_for_the_best_step(toy: ModuleType) -> None:
    scores = toy.ToyScorer().score(
        [(Problem("p", ""), State("p", (Step(ActionType.DEFINE, f"think {i}"),))) for i in range(5)]
    )
    best = f"think {scores.index(max(scores))}"
    agent = load_agent("epsilon_greedy?epsilon=0&branch=5&rank=by_scorer")
    assert first_steps(toy, agent, 5) == {best: 5}


@pytest.mark.parametrize("spec", ["random?episodes=3&branch=2", "epsilon_greedy?episodes=3&branch=2"])
def test_episodes_are_counted(toy: ModuleType, spec: str) -> None:
    policy = Ideas()
    run(toy, load_agent(spec), policy, Budget(tokens=10_000))
    assert policy.asked == 3 * 2 * 2  # two steps an episode, two samples a step


@pytest.mark.parametrize(
    "spec", ["epsilon_greedy?epsilon=1.5", "epsilon_greedy?epsilon=-0.1", "random?branch=0"]
)
def test_baselines_refuse_what_is_out_of_range(spec: str) -> None:
    with pytest.raises(UsageError):
        load_agent(spec)


def test_the_random_baseline_differs_by_seed_and_repeats(toy: ModuleType) -> None:
    def steps(seed: int) -> list[str]:
        (result,) = Driver(toy.ToyModel(), Ideas(), seed=seed).run([Task("p", load_agent("random"))])
        assert result.result is not None
        assert result.result.state is not None
        return [step.text for step in result.result.state.steps]

    assert steps(3) == steps(3)
    assert len({tuple(steps(seed)) for seed in range(20)}) > 1
