"""Selectors: around any agent, by hand-made verdicts."""

import itertools
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import AGENTS, Driver, Task, choosing, load_agent
from o1coder_gym.agents.choosing import Program, choose_program, codes, judged_programs, watched
from o1coder_gym.agents.choosing.adversary import ADVERSARIES, against
from o1coder_gym.agents.choosing.selectors import choosing_by_scorer
from o1coder_gym.agents.driver.recordings import Recorder, Recording
from o1coder_gym.agents.driver.sweep import answer_within
from o1coder_gym.agents.search.leaf_values import AGGREGATES
from o1coder_gym.envs.conformance import check_agent
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import UnknownNameError
from o1coder_gym.runs.budget import Budget
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import VANILLA
from o1coder_gym.tcg.checking.selection import SCORES, by_dual_agreement, by_majority, by_public_tests
from o1coder_gym.types import (
    ActionType,
    CallTest,
    CaseResult,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    SearchResult,
    State,
    Step,
    Verdict,
)
from o1coder_gym.types.queries import Advance, Propose, Search, propose


def program(name: str, bits: str, *, got: str = "", samples: int = 1, logprob: float = -1.0) -> Program:
    """A program that passes the tests whose bit is 1 and returns `got`, one letter a test."""
    tests = tuple(
        CaseResult(Outcome.PASS if bit == "1" else Outcome.WRONG_ANSWER, letter)
        for bit, letter in zip(bits, got or bits, strict=True)
    )
    outcome = Outcome.PASS if "0" not in bits else Outcome.WRONG_ANSWER
    state = State("p", (Step(ActionType.CODE, name),))
    return Program(state, Verdict(outcome, tests), bits.count("1") / len(bits), samples, logprob)


def chosen(programs: Sequence[Program], public: int, *scores: Any) -> str | None:
    found = choose_program(programs, public, scores)
    return found.state.code if found else None


def test_dual_agreement_by_hand() -> None:
    # first test public. Consensus sets: {a, b} pass 110 → 2 · 2 = 4; {c} passes 101 → 1 · 2 = 2; {d} 111 → 3
    programs = [program("d", "111"), program("a", "110"), program("b", "110"), program("c", "101")]
    assert chosen(programs, 1, by_dual_agreement) == "a"
    assert chosen(programs, 1, SCORES["tests"]) == "d"
    # one program drawn three times is a consensus of three
    assert chosen([program("a", "110"), program("c", "101", samples=3)], 1, by_dual_agreement) == "c"


def test_public_tests_ignore_generated_ones() -> None:
    programs = [program("a", "011"), program("b", "100")]
    assert chosen(programs, 1, by_public_tests) == "b"
    assert chosen(programs, 1, SCORES["tests"]) == "a"


def test_majority_counts_behaviour_not_passes() -> None:
    programs = [program("a", "11", got="xy"), program("b", "00", got="uv"), program("c", "00", got="uv")]
    assert chosen(programs, 0, by_majority) == "b"


class Writes:
    """Writes some programs in turn."""

    def __init__(self, *bodies: str) -> None:
        self._codes = itertools.cycle(f"def f(x):\n    return {body}" for body in bodies)

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        return [
            tuple(Proposal(f"```python\n{next(self._codes)}\n```", 9, -1.0) for _ in range(request.n))
            for request in requests
        ]


def test_the_majority_of_a_search_is_of_equal_outputs() -> None:
    problem = Problem("p", "Three tenths.", "f", (CallTest("[1]", "7"),))
    policy = Writes("x / 5", "x * 0.1 + x * 0.2", "x * 0.3")  # 0.2, 0.30000000000000004, 0.3
    driver = Driver(ReasoningModel([problem], default_judge(), format=VANILLA), policy)
    for spec in ("best_of_n?n=3&select=majority", "best_of_n?n=3&select=majority&adversary=mutation"):
        (found,) = driver.run([Task("p", load_agent(spec), name=spec)])
        assert found.error is None
        assert found.result is not None
        assert "0.1 + x" in (found.result.code or "")


def test_ties_go_to_the_next_score_then_value_then_logprob_then_the_first() -> None:
    programs = [program("a", "110", logprob=-2.0), program("b", "101", logprob=-1.0)]
    assert chosen(programs, 1, by_public_tests) == "b"
    assert chosen([*programs, program("c", "111")], 1, by_public_tests) == "c"
    assert chosen([programs[0], program("d", "110", logprob=-2.0)], 1, by_public_tests) == "a"
    assert chosen([program("a", "10", samples=2), program("b", "01")], 1, by_public_tests) == "a"
    assert chosen([program("a", "10"), program("b", "11")], 1, by_public_tests, by_dual_agreement) == "b"


def test_a_failure_of_the_judge_comes_last() -> None:
    masked = Program(State("p", (Step(ActionType.CODE, "m"),)), Verdict(Outcome.INFRASTRUCTURE), None, 9, 0.0)
    assert chosen([masked, program("a", "00")], 1, by_dual_agreement) == "a"
    assert chosen([masked], 1, by_dual_agreement) == "m"
    assert chosen([], 1, by_dual_agreement) is None


@pytest.mark.parametrize("name", [name for name in AGENTS if name not in ("greedy", "self_repair")])
def test_any_agent_can_be_made_to_choose(toy: ModuleType, name: str) -> None:
    # the toy's agents choose by all tests; so does the selector, and nothing else changes
    plain, selected = load_agent(name), load_agent(f"{name}{':' if ':' not in name else ','}select=tests")
    # of one name, from which an agent's own randomness derives
    first, second = (
        Driver(toy.ToyModel(), toy.ToyPolicy(), seed=3).run([Task("p", agent, Budget(tokens=1500))])[0]
        for agent in (plain, selected)
    )
    assert first.result is not None
    assert second.result is not None
    assert second.error is None
    assert (second.usage.tokens, second.usage.calls) == (first.usage.tokens, first.usage.calls)
    if name == "best_of_n_random":
        assert second.result.value >= first.result.value
    else:
        assert second.result == first.result
        assert second.result.tree is None or second.result.tree.to_row() == first.result.tree.to_row()


def test_selected_agents_pass_the_conformance_kit(toy: ModuleType) -> None:
    for spec in ("mcts:select=uct,select=codet", "best_of_n:select=public,select=majority"):
        check_agent(load_agent(spec), toy.ToyModel(), toy.ToyPolicy(), toy.ToyScorer(), task_ids=["p"])


def test_an_agent_of_a_user_is_saved_from_its_budget(toy: ModuleType) -> None:
    def careless(problem: Problem, root: State, /) -> Search:
        while True:
            (proposals,) = yield from propose([Propose(root)])
            yield [Advance(root, proposals[0].text)]

    policy = toy.FixedPolicy("code 1", "code 3")
    agent = choosing(careless, SCORES["tests"])
    (result,) = Driver(toy.ToyModel(), policy).run([Task("p", agent, Budget(calls=3))])
    assert result.error is None
    assert result.result is not None
    assert result.result.code == "code 1"
    assert result.exhausted


def test_a_sweep_chooses_anew_at_each_budget(toy: ModuleType) -> None:
    agent = load_agent("best_of_n:n=20,select=codet")
    recorder, model = Recorder(), toy.ToyModel()
    driver = Driver(model, toy.ToyPolicy(), observer=recorder)
    (whole,) = driver.run([Task("p", agent, Budget(tokens=2000))])
    for tokens in (500, 1000, 2000):
        replay = answer_within(
            whole.task, model.problem("p"), model.initial("p"), recorder.recordings["agent p"], Budget(tokens)
        )
        found = replay.result
        assert replay.usage.tokens <= tokens
        assert found.state is None or found.state.code is not None
    assert found == whole.result


def test_a_recording_keeps_every_program(toy: ModuleType) -> None:
    recording = Recording()

    def agent(problem: Problem, root: State, /) -> Search:
        return (yield from watched(load_agent("best_of_n:n=30")(problem, root), recording))

    model = toy.ToyModel()
    (result,) = Driver(model, toy.ToyPolicy()).run([Task("p", agent)])
    assert isinstance(result.result, SearchResult)
    found = judged_programs(recording)
    committed = {(s, a) for s, a in model.advanced if a.startswith("code")}
    assert {(State("p", p.state.steps[:-1]), p.state.code) for p in found} == committed
    assert codes(found) == list(dict.fromkeys(p.state.code for p in found))
    assert result.result.code in codes(found)


def test_an_unknown_selector_lists_the_known() -> None:
    told = r"unknown selector 'best'; did you mean 'tests'\? Known: codet, codet-sqrt, majority"
    with pytest.raises(UnknownNameError, match=told):
        load_agent("best_of_n:select=best")


@pytest.mark.parametrize("rollouts", [5, 60])
@pytest.mark.parametrize("spec", ["prm_last", "prm_min", "prm_mean&select=codet"])
def test_a_scoring_selector_looks_at_what_is_new_alone(
    toy: ModuleType, monkeypatch: pytest.MonkeyPatch, rollouts: int, spec: str
) -> None:
    def all_again(recording: Recording) -> list[State]:
        raise AssertionError("every turn would look at all programs so far")

    monkeypatch.setattr(Recording, "programs", all_again)
    scorer = toy.ToyScorer()
    driver = Driver(toy.ToyModel(), toy.ToyPolicy(), scorer, seed=5)
    (result,) = driver.run([Task("p", load_agent(f"best_of_n?n={rollouts}&select={spec}"))])
    assert result.error is None
    assert 0 < sum(scorer.batches) <= 5 * rollouts  # each step of each program at most


def once(problem: Problem, root: State, /) -> Any:
    """Yields turns that can be read a single time, as the driver takes them from an agent alone."""
    ((drawn,),) = yield (query for query in [Propose(root)])
    (end,) = yield iter([Advance(root, drawn.text)])
    return SearchResult(end.state)


@pytest.mark.parametrize(
    "agent",
    [
        choosing(once, by_public_tests),
        choosing_by_scorer(once, AGGREGATES["last"]),
        against(once, ADVERSARIES["mutation"]),
    ],
)
def test_an_agent_may_yield_what_the_driver_reads(toy: ModuleType, agent: Any) -> None:
    driver = Driver(toy.ToyModel(), toy.FixedPolicy("code 3"), toy.ToyScorer())
    (found,) = driver.run([Task("p", agent)])
    assert found.error is None
    assert found.result is not None
    assert found.result.code == "code 3"
