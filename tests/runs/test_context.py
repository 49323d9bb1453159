"""What an agent knows of its run."""

from functools import partial
from itertools import islice
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import Driver, Task, choosing, load_agent
from o1coder_gym.agents.driver.recordings import Recorder
from o1coder_gym.agents.driver.sweep import answer_within
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.context import ALONE, SearchContext
from o1coder_gym.types import Problem, Proposal, SearchResult, State
from o1coder_gym.types.queries import Propose, Search
from tests.ids import without_address


@pytest.fixture(scope="module")
def toy(import_file: Any) -> ModuleType:
    from pathlib import Path

    return import_file(Path(__file__).parents[1] / "agents" / "toy.py")


def drawing(problem: Problem, root: State, /, *, context: SearchContext = ALONE) -> Search:
    """A custom agent whose answer is a number of its own."""
    yield [Propose(root)]
    return SearchResult(None, context.generator().random())


class Drawing:
    """The same as an object."""

    def __call__(self, problem: Problem, root: State, *, context: SearchContext = ALONE) -> Search:
        return (yield from drawing(problem, root, context=context))


def values(toy: ModuleType, agent: Any, *, seed: int = 0, name: str = "agent", count: int = 3) -> list[float]:
    tasks = [Task(f"p{i}", agent, Budget(tokens=2000), name=name) for i in range(count)]
    found = Driver(toy.ToyModel(), toy.FixedPolicy("code 1", "code 2", "code 3"), seed=seed).run(tasks)
    return [result.result.value for result in found if result.result is not None]


@pytest.mark.parametrize(
    "agent", [drawing, Drawing(), partial(drawing), choosing(drawing)], ids=without_address
)
def test_a_custom_agent_is_given_a_generator_of_run_problem_and_name(toy: ModuleType, agent: Any) -> None:
    first = values(toy, agent)
    assert values(toy, agent) == first
    assert len(set(first)) == 3
    others = [values(toy, agent, seed=seed, name=name) for seed, name in ((1, "agent"), (0, "b"), (2, "b"))]
    assert len({value for one in (first, *others) for value in one}) == 12


def test_a_tasks_own_seed_comes_first(toy: ModuleType) -> None:
    def value(run: int, own: int | None) -> float:
        task = Task("p", drawing, seed=own)
        (done,) = Driver(toy.ToyModel(), toy.ToyPolicy(), seed=run).run([task])
        assert done.result is not None
        return done.result.value

    assert value(1, 5) == value(2, 5) != value(2, None)


@pytest.mark.parametrize("spec", ["best_of_n_random:n=6,width=6", "best_of_n_random:n=6,width=6,seed=3"])
def test_the_blind_choice_differs_from_seed_to_seed(toy: ModuleType, spec: str) -> None:
    def chosen(seed: int) -> list[float]:
        class Many(toy.ToyPolicy):
            def _draw(self, request: Any) -> Any:
                place = len(self.requests)
                return (Proposal(f"code {place % 4}", 10, -1.0),)

        policy = Many()
        tasks = [Task(f"p{i}", load_agent(spec), name=spec) for i in range(4)]
        found = Driver(toy.ToyModel(), policy, seed=seed, live=1, batch_tokens=1).run(tasks)
        return [result.result.value for result in found if result.result is not None]

    assert len({tuple(chosen(seed)) for seed in range(10)}) > 3
    assert chosen(4) == chosen(4)


def test_ab_mcts_draws_otherwise_for_each_seed_of_the_run(toy: ModuleType) -> None:
    def tree(seed: int, own: int) -> list[int]:
        agent = load_agent(f"ab_mcts:simulations=30,seed={own}")
        (done,) = Driver(toy.ToyModel(), toy.FixedPolicy("think 0", "code 1"), seed=seed).run(
            [Task("p", agent)]
        )
        assert done.result is not None
        return [node.asked for node in done.result.tree.nodes]

    found = [tree(seed, own) for seed in range(4) for own in range(2)]
    assert len({tuple(one) for one in found}) > 4


@pytest.mark.parametrize("spec", ["best_of_n_random", "ab_mcts"])
def test_a_replay_within_less_draws_the_same_numbers(toy: ModuleType, spec: str) -> None:
    recorder = Recorder()
    task = Task("p", load_agent(spec), Budget(tokens=3000), name=spec)
    model = toy.ToyModel()
    (whole,) = Driver(model, toy.ToyPolicy(), seed=9, observer=recorder).run([task])
    recording = recorder.recordings[task.key]
    again = answer_within(task, model.problem("p"), model.initial("p"), recording, task.budget, seed=9)
    assert whole.result is not None
    assert again.result.state == whole.result.state
    assert (again.usage.tokens, again.exhausted) == (whole.usage.tokens, True)


def test_caps() -> None:
    free, bounded = SearchContext(), SearchContext(bounded=True)
    assert (free.cap(None, 8), free.cap(3, 8)) == (8, 3)
    assert (bounded.cap(None, 8), bounded.cap(3, 8)) == (float("inf"), 3)
    assert list(free.rounds(None, 2)) == [0, 1]
    assert list(bounded.rounds(3, 1)) == [0, 1, 2]
    assert list(islice(bounded.rounds(None, 1), 5)) == [0, 1, 2, 3, 4]


def test_generators_begin_anew_and_differ_by_seed() -> None:
    context = SearchContext(seed=7)
    assert context.generator().random() == context.generator().random()
    assert context.generator().random() != context.generator(1).random()
    assert context.generator().random() != SearchContext(seed=8).generator().random()
