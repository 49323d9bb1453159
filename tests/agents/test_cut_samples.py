"""What the budget cut is paid for and shown, and counts nowhere; what an agent wrote is not the policy's."""

from functools import partial
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import Driver, Task, Tree, best_of_n, greedy, load_agent, mcts
from o1coder_gym.agents.driver.recordings import Recorder, Recording
from o1coder_gym.agents.driver.sweep import answer_within
from o1coder_gym.agents.driver.tree_records import tree_record
from o1coder_gym.agents.search.expansion import expand
from o1coder_gym.agents.search.leaf_values import rollout
from o1coder_gym.agents.search.priors import no_prior
from o1coder_gym.agents.search.tree import Flight
from o1coder_gym.errors import BudgetExhausted, PolicyError
from o1coder_gym.process_data.harvest import harvest
from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import Problem, Proposal, Sampling, SearchResult, State, Transition, Usage
from o1coder_gym.types.queries import Advance, Propose, Search, propose

AGENTS = ("best_of_n", "mcts", "puct", "ab_mcts", "beam", "diverse_beam", "self_repair", "mcts:parallel=4")


class Program:
    """Writes a plan of 10 tokens, then a program of `tokens`; cut, it is one that passes nothing."""

    def __init__(self, toy: ModuleType, tokens: int = 40, plan: bool = True) -> None:
        self.toy, self.tokens, self.plan = toy, tokens, plan

    def propose(self, requests: Any, /) -> list[tuple[Proposal, ...]]:
        return [(self._write(request.state, request.sampling),) * request.n for request in requests]

    def _write(self, state: State, sampling: Sampling) -> Proposal:
        if self.plan and state.depth == 0:
            return Proposal("think 1", min(10, sampling.max_tokens), -1.0)
        if self.tokens <= sampling.max_tokens:
            return Proposal("code 3", self.tokens, -1.0)
        return Proposal("code 0", sampling.max_tokens, -1.0, finish="length")


def run(
    toy: ModuleType, agent: Any, policy: Any, budget: Budget, **options: Any
) -> tuple[Any, Any, Recording]:
    """Returns the result, the model and what the observer was told."""
    recorder, model = Recorder(), toy.ToyModel()
    task = Task("p", agent, budget)
    (result,) = Driver(model, policy, toy.ToyScorer(), observer=recorder, **options).run([task])
    assert result.error is None
    return result, model, recorder.recordings.get(task.key, Recording())


def test_a_cut_program_is_paid_for_and_not_judged(toy: ModuleType) -> None:
    # 50 tokens a rollout: two of them, then a plan of 10 and 20 tokens of a program of 40
    result, model, recording = run(toy, partial(best_of_n, n=9), Program(toy), Budget(tokens=130))
    assert (result.usage.tokens, result.usage.calls, result.usage.executions) == (130, 6, 2)
    assert [action for _, action in model.advanced] == ["think 1", "code 3"] * 2 + ["think 1"]
    assert result.result.value == 0.75
    ((state, cut),) = recording.cut
    assert (state.depth, cut) == (1, Proposal("code 0", 20, -1.0, finish="budget"))


def test_the_samplings_own_limit_is_the_policys_failure(toy: ModuleType) -> None:
    seen: list[Transition] = []

    def watch(task: Any, query: Any, answer: Any, usage: Usage) -> None:
        seen.extend([answer] if isinstance(answer, Transition) else [])

    agent = partial(best_of_n, n=1, sampling=Sampling(max_tokens=30))
    (result,) = Driver(toy.ToyModel(), Program(toy), observer=watch).run(
        [Task("p", agent, Budget(tokens=500))]
    )
    assert result.usage.executions == 1
    assert [(step.author, step.finish) for step in seen] == [("policy", "stop"), ("policy", "length")]
    assert result.result is not None
    assert (result.result.value, result.result.state is not None) == (0.0, True)


def test_an_agent_that_can_be_given_nothing_else_is_told_that_the_budget_is_spent(toy: ModuleType) -> None:
    def first_idea(problem: Problem, root: State, /) -> Search:
        try:
            ((proposal,),) = yield from propose([Propose(root)])
        except BudgetExhausted:
            return SearchResult(None, 0.25)
        return SearchResult(None, len(proposal.text))

    result, _, recording = run(toy, first_idea, Program(toy, plan=False), Budget(tokens=30))
    assert (result.result, result.exhausted, result.usage.tokens) == (SearchResult(None, 0.25), True, 30)
    assert len(recording.cut) == 1


def test_a_cut_sample_is_not_among_those_of_a_turn_that_is_paid_in_part(toy: ModuleType) -> None:
    drawn: list[int] = []

    def two(problem: Problem, root: State, /) -> Search:
        answers = yield [Propose(root, 2, Sampling(max_tokens=50)), Propose(root, 2, Sampling(max_tokens=50))]
        drawn.extend(len(answer) for answer in answers if isinstance(answer, tuple))
        return SearchResult(None)

    # worst cases of 50: two samples are granted; 40 each leave 30 for a third one that is cut
    result, _, recording = run(toy, two, Program(toy, plan=False), Budget(tokens=110))
    assert drawn == [2, 0]
    assert (result.usage.tokens, result.usage.calls, len(recording.cut)) == (110, 3, 1)


def test_a_policy_knows_no_budget(toy: ModuleType) -> None:
    class Knowing(Program):
        def _write(self, state: State, sampling: Sampling) -> Proposal:
            return Proposal("code 3", 1, -1.0, finish="budget")

    (result,) = Driver(toy.ToyModel(), Knowing(toy)).run([Task("p", greedy)])
    assert isinstance(result.error, PolicyError)


@pytest.mark.parametrize("spec", AGENTS)
@pytest.mark.parametrize("seed", range(4))
def test_no_search_counts_what_was_cut(toy: ModuleType, spec: str, seed: int) -> None:
    for tokens in range(100, 700, 50):
        agent = load_agent(f"{spec},max_tokens=90" if ":" in spec else f"{spec}:max_tokens=90")
        result, model, recording = run(toy, agent, toy.WordyPolicy(), Budget(tokens=tokens), seed=seed)
        assert len(recording.cut) <= 1  # nothing is left after it
        for state, cut in recording.cut:
            others = recording.samples[state, Sampling(max_tokens=90)]
            assert any(one.finish == "stop" and one.text == cut.text for one in others) or (
                (state, cut.text) not in model.advanced
            )
        if recording.cut:
            assert result.usage.tokens == tokens
        if isinstance(tree := result.result.tree, Tree):
            assert all(node.finish == "stop" for node in tree.nodes)


def kept(toy: ModuleType, agent: Any, policy: Any, budget: Budget) -> tuple[SearchTree, Recording]:
    result, model, recording = run(toy, agent, policy, budget)
    return tree_record(result, model.problem("p"), recording, seed=0, format="pseudocode"), recording


@pytest.mark.parametrize("agent", [partial(best_of_n, n=9), partial(mcts, width=2)])
def test_trees_show_it_as_a_leaf_of_no_value(toy: ModuleType, agent: Any) -> None:
    tree, _ = kept(toy, agent, Program(toy), Budget(tokens=80))
    # the plan twice and its program, 60 tokens; 20 are left for another program
    root, plan, right, cut = tree.nodes
    assert (root.visits, plan.visits, right.end) == (1, 1, 0.75)
    assert (cut.finish, cut.visits, cut.value, cut.end, cut.outcome) == ("budget", 0, None, None, None)
    assert (plan.count, cut.parent, cut.tokens) == (2, 1, 20)
    assert SearchTree.from_row(tree.to_row()) == tree
    old = {name: column for name, column in tree.to_row().items() if name not in ("finish", "author")}
    assert {node.finish for node in SearchTree.from_row(old).nodes} == {"stop"}


def test_rows_of_trees_without_accidents_are_as_before(toy: ModuleType) -> None:
    tree, _ = kept(toy, partial(best_of_n, n=2), Program(toy), Budget())
    assert not {"finish", "author"} & tree.to_row().keys()


def test_what_was_cut_is_no_data(toy: ModuleType) -> None:
    tree, _ = kept(toy, partial(best_of_n, n=9), Program(toy), Budget(tokens=80))

    class NoJudge:
        def evaluate(self, submissions: Any, /) -> list[Any]:
            raise AssertionError("nothing passes here")

    data = harvest([tree], NoJudge(), source={})
    assert [(row.state.steps[-1].text, row.value) for row in data.prefixes] == [
        ("think 1", 0.75),
        ("code 3", 0.75),
    ]
    assert not data.pairs
    assert data.drops["prefix: cut by the budget"] == 1


class Told:
    """A toy process that says what is wrong, so that self-repair has something to tell."""

    def __new__(cls, toy: ModuleType) -> Any:
        class Model(toy.ToyModel):
            def _one(self, state: State, action: str) -> Transition:
                transition = super()._one(state, action)
                object.__setattr__(transition, "feedback", "wrong")
                return transition

        return Model()


def repaired(toy: ModuleType, budget: Budget) -> SearchTree:
    """A program of 40 tokens that passes 2 of 4 tests, then one of 40 that passes all of them."""

    class Learner(Program):
        def _write(self, state: State, sampling: Sampling) -> Proposal:
            said = super()._write(state, sampling)
            return said if said.text == "code 0" else Proposal(f"code {4 if state.depth else 2}", 40, -1.0)

    recorder, model = Recorder(), Told(toy)
    task = Task("p", load_agent("self_repair"), budget)
    (result,) = Driver(model, Learner(toy, plan=False), observer=recorder).run([task])
    recording = recorder.recordings[task.key]
    return tree_record(result, model.problem("p"), recording, seed=0, format="pseudocode")


class PassingJudge:
    """Passes everything that it is shown."""

    def __init__(self, toy: ModuleType) -> None:
        self.toy = toy

    def evaluate(self, submissions: Any, /) -> list[Any]:
        return [self.toy.verdict(4) for _ in submissions]


def test_notes_of_an_agent_are_context_and_no_data(toy: ModuleType) -> None:
    tree = repaired(toy, Budget())
    _, wrong, note, right = tree.nodes
    assert [node.author for node in (wrong, note, right)] == ["policy", "agent", "policy"]
    assert (note.tokens, note.value) == (0, 1.0)
    assert SearchTree.from_row(tree.to_row()) == tree
    data = harvest([tree], PassingJudge(toy), source={})
    # the note is worth 1.0 and cost nothing, and yet no row says that the policy wrote it
    assert [(row.state.depth, row.value, row.tokens) for row in data.prefixes] == [(1, 0.5, 40), (2, 1.0, 40)]
    assert data.paths == ()
    assert data.pairs == ()
    assert (data.drops["prefix: a note of the agent"], data.drops["path: holds a note of the agent"]) == (
        1,
        1,
    )


def test_a_note_under_which_only_a_cut_sample_lies_is_shown(toy: ModuleType) -> None:
    tree = repaired(toy, Budget(tokens=70))  # 40 for the first program, 30 for the second
    _, wrong, note, cut = tree.nodes
    assert [(node.parent, node.author, node.finish) for node in (wrong, note, cut)] == [
        (0, "policy", "stop"),
        (0, "agent", "stop"),
        (2, "policy", "budget"),
    ]


def test_a_text_that_was_not_sampled_is_the_agents(toy: ModuleType) -> None:
    seen: list[Transition] = []

    def own(problem: Problem, root: State, /) -> Search:
        ((proposal,),) = yield from propose([Propose(root)])
        answers = yield [Advance(root, proposal.text), Advance(root, "code 4")]
        seen.extend(answer for answer in answers if isinstance(answer, Transition))
        return SearchResult(None)

    run(toy, own, Program(toy), Budget())
    assert [step.author for step in seen] == ["policy", "agent"]


def test_a_smaller_budget_cuts_as_a_run_of_its_own_does(toy: ModuleType) -> None:
    agent = partial(best_of_n, n=20, sampling=Sampling(max_tokens=90))  # no sample is longer than 89 tokens
    whole, model, recording = run(toy, agent, toy.WordyPolicy(), Budget(tokens=1000))
    for tokens in range(0, 1001, 7):
        budget = Budget(tokens=tokens)
        expected, _, own = run(toy, agent, toy.WordyPolicy(), budget)
        found = answer_within(whole.task, model.problem("p"), model.initial("p"), recording, budget)
        assert found.result == expected.result
        spent = expected.usage
        assert found.usage == Usage(tokens=spent.tokens, calls=spent.calls, executions=spent.executions)
        assert found.cut == bool(own.cut)
        assert found.programs == own.programs()


def test_a_resumed_run_finds_the_cut_again(toy: ModuleType, tmp_path: Any) -> None:
    agent = partial(best_of_n, n=9)
    with RunFolder.open(tmp_path, {}) as folder:
        first, _, seen = run(toy, agent, Program(toy), Budget(tokens=130), journal=folder)
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        again, model, told = run(toy, agent, Program(toy), Budget(tokens=130), journal=folder)
    assert model.advanced == []
    assert (again.result, again.usage.tokens, told.cut) == (first.result, first.usage.tokens, seen.cut)


@pytest.mark.parametrize(("drawn", "value"), [((), None), ((Proposal("code 3", 5),), 0.75)])
def test_a_rollout_backs_up_what_is_known_only_if_it_drew_a_sample(
    toy: ModuleType, drawn: tuple[Proposal, ...], value: float | None
) -> None:
    tree = Tree(State("p"))
    (plan,) = toy.ToyModel().advance([(State("p"), "think 1")])
    node = tree.add(tree.root, Proposal("think 1", 5), plan)
    assert node is not None
    (end,) = toy.ToyModel().advance([(node.state, "code 3")])
    tree.add(node, Proposal("code 3", 5), end)
    search = rollout(tree, Flight([tree.root, node]), partial(expand, sampling=Sampling(), prior=no_prior))
    assert played(search, [[drawn], [end]]) == value


def played(search: Any, answers: list[Any]) -> Any:
    """Answers a part of a search; returns what it ends with."""
    next(search)
    try:
        for answer in answers:
            search.send(answer)
    except StopIteration as end:
        return end.value
    raise AssertionError("it asks on")
