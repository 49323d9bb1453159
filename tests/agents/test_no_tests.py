"""Search on a problem without tests: nothing counts as solved, and there is still an answer."""

import math
from collections.abc import Sequence
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import (
    AGENTS,
    Driver,
    Task,
    TaskResult,
    Tree,
    best_of_n,
    load_agent,
    mcts,
    self_repair,
)
from o1coder_gym.agents.choosing import Program, choose_program
from o1coder_gym.agents.driver.recordings import Recorder, Recording
from o1coder_gym.agents.driver.tree_records import tree_record
from o1coder_gym.agents.rl.episodes import Episode, metrics
from o1coder_gym.envs import ReasoningModel
from o1coder_gym.process_data import ProcessData
from o1coder_gym.process_data.harvest import harvest
from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.runs.budget import Budget
from o1coder_gym.tcg.checking.selection import SCORES
from o1coder_gym.types import (
    ActionType,
    CallTest,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    State,
    Step,
    Submission,
    Verdict,
)

LIKELY = "bare 3"


class BarePolicy:
    """A plan, then programs: one that loads is the likeliest of those, one that does not is likelier yet."""

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        return [tuple(self._one(request, place) for place in range(request.n)) for request in requests]

    def _one(self, request: PolicyRequest, place: int) -> Proposal:
        drawn = (request.seed + place) % 5
        if not request.state.steps:
            return Proposal(f"think {drawn}", 10, -5.0)
        text = "broken 0" if drawn == 4 else f"bare {drawn}"
        return Proposal(text, 10, -1.0 if drawn == 4 else -2.0 if text == LIKELY else -9.0)


def run(toy: ModuleType, agent: Any) -> tuple[TaskResult, SearchTree]:
    recorder = Recorder()
    driver = Driver(toy.ToyModel(), BarePolicy(), toy.ToyScorer(), observer=recorder)
    (result,) = driver.run([Task("p", agent, Budget(tokens=600))])
    assert result.error is None
    recording = recorder.recordings.get(result.task.key, Recording())
    return result, tree_record(result, Problem("p", "?"), recording, seed=0, format="pseudocode")


@pytest.mark.parametrize("name", sorted(set(AGENTS) - {"choice_ppo"}))
def test_every_agent_answers_with_a_program_that_loads(toy: ModuleType, name: str) -> None:
    result, tree = run(toy, load_agent(name))
    assert result.result is not None
    assert result.result.code is not None
    assert result.result.value == 0.0
    assert all(node.end in (None, 0.0) for node in tree.nodes)
    if any(node.outcome is Outcome.NO_TESTS for node in tree.nodes) and name != "best_of_n_random":
        assert result.result.code.startswith("bare")


def test_the_likeliest_program_is_the_answer(toy: ModuleType) -> None:
    result, tree = run(toy, partial(best_of_n, n=16))
    assert LIKELY in {node.step.text for node in tree.nodes if node.step}
    assert "broken 0" in {node.step.text for node in tree.nodes if node.step}
    assert result.result is not None
    assert result.result.code == LIKELY


def test_no_search_stops_early_or_repairs(toy: ModuleType) -> None:
    calls = [run(toy, partial(best_of_n, n=9, early_stop=stop))[0].usage.calls for stop in (False, True)]
    assert calls == [18, 18]
    counts = [
        run(toy, partial(mcts, simulations=12, early_stop=stop))[0].usage.calls for stop in (False, True)
    ]
    assert counts[0] == counts[1]
    _, tree = run(toy, partial(self_repair, starts=3))
    assert not any("It is wrong" in node.step.text for node in tree.nodes if node.step)


def test_an_end_without_tests_is_not_backed_up(toy: ModuleType) -> None:
    tree = Tree(State("p"))
    (end,) = toy.ToyModel().advance([(State("p"), "bare 1")])
    node = tree.add(tree.root, Proposal("bare 1", 10, -1.0), end)
    assert node is not None
    assert (node.value, node.closed, node.verdict) == (None, True, Outcome.NO_TESTS)
    assert (tree.root.visits, tree.trace, tree.solution) == (0, [], None)
    assert tree.result().code == "bare 1"


def test_a_program_that_loads_ranks_above_one_that_does_not(toy: ModuleType) -> None:
    tree = Tree(State("p"))
    for action, logprob in (("broken 1", -1.0), ("bare 1", -9.0), ("bare 2", -5.0), ("judge down", -0.5)):
        (end,) = toy.ToyModel().advance([(State("p"), action)])
        tree.add(tree.root, Proposal(action, 10, logprob), end)
    assert tree.result().code == "bare 2"


@pytest.mark.parametrize("score", sorted(SCORES))
def test_selectors_prefer_a_program_that_loads(score: str) -> None:
    programs = [
        Program(State("p", (Step(ActionType.CODE, code),)), Verdict(outcome), value, 1, logprob)
        for code, outcome, value, logprob in (
            ("broken", Outcome.COMPILE_ERROR, 0.0, -1.0),
            ("loads", Outcome.NO_TESTS, None, -9.0),
            ("likelier", Outcome.NO_TESTS, None, -5.0),
            ("judge down", Outcome.INFRASTRUCTURE, None, -0.1),
        )
    ]
    found = choose_program(programs, 0, [SCORES[score]])
    assert found is not None
    assert found.state.code == "likelier"


class Approving:
    """Passes every program on the tests it is given, as a judge of earlier versions would."""

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Verdict]:
        return [Verdict(Outcome.PASS) for _ in submissions]


def rows(toy: ModuleType, tree: SearchTree) -> ProcessData:
    return harvest([tree], Approving(), source={"run": "x"})


def test_harvest_takes_no_row_of_a_search_without_tests(toy: ModuleType) -> None:
    _, tree = run(toy, partial(mcts, simulations=12))
    data = rows(toy, tree)
    assert (data.prefixes, data.paths, data.pairs) == ((), (), ())
    assert data.drops["prefix: the problem has no tests"] == len(tree.nodes) - 1


def test_harvest_takes_no_row_of_an_earlier_tree_without_tests(toy: ModuleType) -> None:
    _, tree = run(toy, partial(mcts, simulations=12))
    row = tree.to_row()
    row["outcome"] = ["pass" if outcome == "no_tests" else outcome for outcome in row["outcome"]]
    data = rows(toy, SearchTree.from_row(row))
    assert (data.prefixes, data.paths) == ((), ())


def test_a_tested_problem_is_harvested_beside_it(toy: ModuleType) -> None:
    _, bare = run(toy, partial(mcts, simulations=12))
    tested = SearchTree(
        Problem("q", "?", "f", (CallTest("[]", "1"),)), "mcts", 0, "pseudocode", bare.nodes[:1]
    )
    data = harvest([bare, tested], Approving(), source={"run": "x"})
    assert [problem.task_id for problem in data.problems] == ["p", "q"]


def test_training_masks_and_counts_what_has_no_tests() -> None:
    model = ReasoningModel([Problem("bare", "?", "f")], Approving(), max_steps=2)
    (end,) = model.advance([(State("bare"), "### Step 1 (code)\n```python\nx = 1\n```\n")])
    episode = Episode(model.problem("bare"), (Proposal("", 1),), (end,))
    assert (end.reward, math.isnan(episode.outcome(1.0, 0.0))) == (0.0, True)
    assert math.isnan(episode.outcome(1.0, 0.0, fractional=True))
    told = metrics([episode])
    assert (told["untested"], told["judge_failures"]) == (1.0, 0.0)
    assert math.isnan(told["pass_rate"])
