"""The conformance kit passes what is right and names the clause that each broken specimen breaks."""

import itertools
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit

from o1coder_gym.agents import AGENTS
from o1coder_gym.envs import ReasoningEnv, TextInteraction, conformance
from o1coder_gym.errors import BudgetExhausted, ConformanceError
from o1coder_gym.types import ActionType, SearchResult, Step
from o1coder_gym.types.queries import Advance, Propose, Score

SECRET = "assert solve(977) == 978"


def breaks(clause: str):
    return pytest.raises(
        ConformanceError, match=f"^{clause}: {conformance.CLAUSES[clause]}".replace("[", r"\[")
    )


# environments


def test_our_environments_conform(toy) -> None:
    conformance.check_environment(toy.text, hidden=[SECRET])
    conformance.check_environment(toy.choice, hidden=[SECRET])
    conformance.check_environment(lambda: RecordEpisodeStatistics(TimeLimit(toy.text(), 2)))


class Crooked(ReasoningEnv):
    """A base for specimens: right until one of its methods is bent."""


def crooked(toy, **methods):
    """Returns a maker of environments with bent methods; each gets the env and the right answer."""

    class Specimen(Crooked):
        pass

    for name, bend in methods.items():

        def method(self, *args, _name=name, _bend=bend, **kwargs):
            return _bend(self, getattr(Crooked, _name)(self, *args, **kwargs))

        setattr(Specimen, name, method)
    return lambda: Specimen(TextInteraction(toy.shared))


def with_info(**values):
    return lambda self, answer: (*answer[:-1], {**answer[-1], **values})


CLOCK = itertools.count()
SHARED: dict = {}


def without_key(self, answer):
    answer[-1].pop("prm")
    return answer


def huge_reward(self, answer):
    return answer[0], 100.0, *answer[2:]


def nan_reward(self, answer):
    return answer[0], float("nan"), *answer[2:]


def both_ends(self, answer):
    return answer[0], answer[1], True, True, answer[4]


def quiet_end(self, answer):
    return answer[0], answer[1], True, False, {**answer[4], "outcome": ""}


def wrong_space(self, answer):
    return {**answer[0], "depth": -1}, *answer[1:]


def a_set(self, answer):
    return *answer[:-1], {**answer[-1], "seen": {1, 2}}


def own_dice(self, answer):
    return *answer[:-1], {**answer[-1], "luck": random.SystemRandom().random()}


def used_up(self, answer):
    self.count = getattr(self, "count", 0) + 1
    return *answer[:-1], {**answer[-1], "count": self.count}


def shared_dict(self, answer):
    SHARED.update(answer[-1])
    return *answer[:-1], SHARED


def forgets_the_dice(self, state):
    return replace(state, rng=np.random.default_rng(0).bit_generator.state)


def is_the_original(self, _):
    return self


@pytest.mark.parametrize(
    ("clause", "methods"),
    [
        ("env.space", {"step": wrong_space}),
        ("env.info", {"step": without_key}),
        ("env.info", {"reset": without_key}),
        ("env.json", {"step": a_set}),
        ("env.end", {"step": both_ends}),
        ("env.end", {"step": quiet_end}),
        ("env.reward", {"step": huge_reward}),
        ("env.reward", {"step": nan_reward}),
        ("env.success", {"step": with_info(is_success=True)}),
        ("env.seed", {"step": own_dice}),
        ("env.seed", {"reset": used_up}),
        ("env.fresh", {"step": shared_dict}),
        ("env.clone", {"get_state": forgets_the_dice}),
        ("env.parent", {"__deepcopy__": is_the_original}),
    ],
)
def test_broken_environments_are_named(toy, clause: str, methods: dict) -> None:
    with breaks(clause):
        conformance.check_environment(crooked(toy, **methods))


def test_an_environment_without_states_is_named() -> None:
    class Foreign(gymnasium.Wrapper):
        @property
        def unwrapped(self):
            return gymnasium.make("CartPole-v1").unwrapped

    class Plain(gymnasium.Env):
        observation_space = action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return 0, self._info()

        def step(self, action):
            return 0, 0.0, False, False, self._info()

        def _info(self):
            numbers = dict.fromkeys(("passed", "total", "pass_ratio", "prm", "tokens"), 0)
            texts = dict.fromkeys(("task_id", "outcome", "feedback"), "")
            return {**numbers, **texts, "is_success": False, "tests": [], "reward_terms": {}}

    with breaks("env.clone"):
        conformance.check_environment(Plain)


def test_an_environment_that_cannot_close_twice_is_named(toy) -> None:
    class Hinge(Crooked):
        def close(self) -> None:
            del self.interaction

    with breaks("env.close"):
        conformance.check_environment(lambda: Hinge(TextInteraction(toy.shared)))


def test_an_environment_that_holds_hidden_tests_is_named(toy) -> None:
    class Leaky(Crooked):
        def __init__(self, interaction) -> None:
            super().__init__(interaction)
            self._cache = {"deep": [lambda text=SECRET: text]}

    with breaks("hidden"):
        conformance.check_environment(lambda: Leaky(TextInteraction(toy.shared)), hidden=[SECRET[3:]])


# policies and scorers


def bent_policy(toy, bend):
    class Bent:
        calls = 0

        def propose(self, requests, /):
            self.calls += 1
            return bend(self, requests, toy.policy.propose(requests))

    return Bent()


def each(change):
    return lambda self, requests, answers: [tuple(change(one) for one in proposals) for proposals in answers]


@pytest.mark.parametrize(
    ("clause", "bend"),
    [
        ("policy.count", lambda self, requests, answers: answers[1:]),
        ("policy.count", lambda self, requests, answers: [proposals[:1] for proposals in answers]),
        ("policy.text", each(lambda one: one.text)),
        ("policy.text", each(lambda one: replace(one, text=None))),
        ("policy.tokens", each(lambda one: replace(one, tokens=10_000))),
        ("policy.tokens", each(lambda one: replace(one, tokens=-1))),
        ("policy.logprob", each(lambda one: replace(one, logprob=0.5))),
        ("policy.logprob", each(lambda one: replace(one, logprob=float("nan")))),
        ("policy.seed", lambda self, requests, answers: [
            tuple(replace(one, text=f"{one.text}{self.calls}") for one in proposals) for proposals in answers
        ]),
        ("policy.batch", lambda self, requests, answers: [
            tuple(replace(one, tokens=len(requests)) for one in proposals) for proposals in answers
        ]),
        ("policy.batch", lambda self, requests, answers: [
            tuple(replace(one, text=f"{one.text}{place}") for one in proposals)
            for place, proposals in enumerate(answers)
        ]),
        ("hidden", each(lambda one: replace(one, text=one.text + SECRET))),
    ],
)  # fmt: skip
def test_broken_policies_are_named(toy, clause: str, bend) -> None:
    with breaks(clause):
        conformance.check_policy(bent_policy(toy, bend), toy.problems, hidden=[SECRET])


def test_policies_that_conform_pass(toy) -> None:
    conformance.check_policy(toy.policy, toy.problems, hidden=[SECRET])
    noisy = bent_policy(toy, lambda self, requests, answers: [
        tuple(replace(one, text=f"{one.text}{self.calls}") for one in proposals) for proposals in answers
    ])  # fmt: skip
    conformance.check_policy(noisy, toy.problems, exact=False)


class Scores:
    """Scores by a function of the place in the batch, the number of the call, and the depth."""

    def __init__(self, value) -> None:
        self.value = value
        self.calls = 0

    def score(self, items, /):
        self.calls += 1
        return [self.value(place, self.calls, state.depth) for place, (_, state) in enumerate(items)]


@pytest.mark.parametrize(
    ("clause", "scorer"),
    [
        ("scorer.range", Scores(lambda place, call, depth: 1.5)),
        ("scorer.range", Scores(lambda place, call, depth: float("nan"))),
        ("scorer.range", Scores(lambda place, call, depth: "0.5")),
        ("scorer.pure", Scores(lambda place, call, depth: 1 / (1 + call))),
        ("scorer.pure", Scores(lambda place, call, depth: 1 / (1 + place))),
    ],
)
def test_broken_scorers_are_named(toy, clause: str, scorer: Scores) -> None:
    with breaks(clause):
        conformance.check_scorer(scorer, toy.problems)


def test_a_scorer_that_forgets_items_is_named(toy) -> None:
    class Short(Scores):
        def score(self, items, /):
            return super().score(items)[1:]

    with breaks("scorer.count"):
        conformance.check_scorer(Short(lambda place, call, depth: 0.5), toy.problems)


def test_scorers_that_conform_pass(toy) -> None:
    conformance.check_scorer(Scores(lambda place, call, depth: 1 / (1 + depth)), toy.problems)


# agents


@pytest.mark.parametrize("name", AGENTS)
def test_our_agents_conform(toy, name: str) -> None:
    conformance.check_agent(
        AGENTS[name], toy.shared, toy.policy, toy.scorer, task_ids=["toy/0", "toy/2"], hidden=[SECRET]
    )


def no_generator(problem, root):
    return SearchResult(None)


def wrong_query(problem, root):
    yield [root]


def text_query(problem, root):
    yield "propose"


def single_query(problem, root):
    yield Propose(root)


def no_query(problem, root):
    yield []


def made_up_state(problem, root):
    note = Step(ActionType.REFINE, "of my own")
    yield [Propose(root.then(note).then(note))]


def acts_after_the_end(problem, root):
    (end,) = yield [Advance(root, "### Step 1 (code)\n```python\ngood\n```\n")]
    yield [Propose(end.state)]


def never_stops(problem, root):
    while True:
        try:
            yield [Propose(root)]
        except BudgetExhausted:
            continue


def cries(problem, root):
    yield [Propose(root)]
    raise KeyError("lost")


def overdraws(problem, root):
    yield [Propose(root)]
    yield [Propose(root)]
    return SearchResult(None)


def trusts_the_budget(problem, root):
    try:
        proposals, more = yield [Propose(root, 2), Propose(root, 2)]
        yield [Advance(root, proposals[1].text), Advance(root, more[1].text)]
    except BudgetExhausted:
        pass
    return SearchResult(None)


def made_up_program(problem, root):
    yield [Score(root)]
    return SearchResult(root.then(Step(3, "x = 1")))  # pyright: ignore[reportArgumentType]


def overrated(problem, root):
    yield [Score(root)]
    return SearchResult(None, value=7.0)


def no_result(problem, root):
    yield [Score(root)]


def own_luck(problem, root):
    yield (
        [Propose(root, random.SystemRandom().randrange(1, 10**6))]
        if False
        else [Advance(root, str(random.SystemRandom().random()))]
    )
    return SearchResult(None)


@pytest.mark.parametrize(
    ("clause", "agent"),
    [
        ("agent.generator", no_generator),
        ("agent.query", wrong_query),
        ("agent.query", text_query),
        ("agent.query", single_query),
        ("agent.query", no_query),
        ("agent.state", made_up_state),
        ("agent.state", acts_after_the_end),
        ("agent.budget", never_stops),
        ("agent.budget", overdraws),
        ("agent.error", cries),
        ("agent.error", trusts_the_budget),
        ("agent.result", made_up_program),
        ("agent.result", overrated),
        ("agent.result", no_result),
        ("agent.seed", own_luck),
    ],
)
def test_broken_agents_are_named(toy, clause: str, agent) -> None:
    with breaks(clause):
        conformance.check_agent(agent, toy.shared, toy.policy, task_ids=["toy/0"])


def test_a_query_without_a_list_is_told_what_to_do(toy) -> None:
    agent: Any = single_query
    with pytest.raises(ConformanceError, match=r"lists of Propose, Ask, .*; wrap a single query in a list$"):
        conformance.check_agent(agent, toy.shared, toy.policy, task_ids=["toy/0"])


def test_an_agent_that_knows_hidden_tests_is_named(toy) -> None:
    def knowing(problem, root, known=(SECRET,)):
        return SearchResult(None)
        yield [Score(root)]

    with breaks("hidden"):
        conformance.check_agent(knowing, toy.shared, toy.policy, task_ids=["toy/0"], hidden=[SECRET])


def test_an_agent_is_given_the_context_that_it_asks_for(toy) -> None:
    def informed(problem, root, *, context):
        return (yield from AGENTS["best_of_n"](problem, root, n=1, context=context))

    agent: Any = informed  # a keyword without a default is more than an `Agent` may have
    assert conformance.check_agent(agent, toy.shared, toy.policy, task_ids=["toy/0"]).searches == 14


def test_every_clause_has_a_specimen() -> None:
    source = Path(__file__).read_text()
    assert [clause for clause in conformance.CLAUSES if f'"{clause}"' not in source] == []


def test_an_agent_that_breaks_nothing_gets_a_report(toy) -> None:
    report = conformance.check_agent(AGENTS["greedy"], toy.shared, toy.policy, task_ids=["toy/0"])
    assert (report.problems, report.searches) == (
        1,
        2 + 2 * 6,
    )  # twice whole, and at each of six cuts two ways
    assert set(report.queries) == {"Propose", "Advance"}
    assert str(report).startswith("no clause broken in 14 searches of 1 problems: asked ")
