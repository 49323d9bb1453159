# pyright: strict
"""Programs as users write them, by public names alone; `make type` checks this file strictly.

Each name that it meets has to have a known type, so a public name that lost its types fails there.
"""

import random
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import gymnasium as gym

from o1coder_gym import envs
from o1coder_gym.agents import AGENTS, Driver, Task, best_of_n, load_agent
from o1coder_gym.envs import ReasoningModel
from o1coder_gym.envs.conformance import check_agent, check_policy, check_scorer
from o1coder_gym.errors import BudgetExhausted, O1CoderError
from o1coder_gym.metrics import pass_at_k
from o1coder_gym.metrics.estimates import estimate_share
from o1coder_gym.policies import load_policy
from o1coder_gym.problems import load_problems
from o1coder_gym.protocols import Policy, StepScorer
from o1coder_gym.queries import Advance as Take
from o1coder_gym.queries import Propose as Ask
from o1coder_gym.queries import Search, advance, propose
from o1coder_gym.rewards import linear
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.sandbox import default_judge
from o1coder_gym.types import (
    CallTest,
    Limits,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    SearchResult,
    State,
    Submission,
)

PROBLEMS = load_problems("starter")[:2]
PROGRAM = "### Step 1 (code)\n```python\nx = 1\n```\n"


class OneProgram:
    """A policy: it always commits the same program."""

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        return [(Proposal(PROGRAM, 5, -0.5),) * request.n for request in requests]


class Depth:
    """A scorer: deeper is better."""

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        return [min(1.0, state.depth / 8) for _, state in items]


def first_program(problem: Problem, root: State, /) -> Search:
    """An agent: it follows the first proposal."""
    state, found = root, None
    with suppress(BudgetExhausted):
        while found is None:
            ((proposal, *_),) = yield from propose([Ask(state)])
            (transition,) = yield from advance([Take(state, proposal.text)])
            state = transition.state
            if transition.done:
                found = transition
    return SearchResult(state if found else None, found.reward if found else 0.0)


def model() -> ReasoningModel:
    return ReasoningModel(PROBLEMS, default_judge(), max_steps=3)


def test_parts_of_ones_own_keep_the_contract() -> None:
    policy: Policy = OneProgram()
    scorer: StepScorer = Depth()
    names = [problem.task_id for problem in PROBLEMS]
    check_policy(policy, PROBLEMS)
    check_scorer(scorer, PROBLEMS)
    check_agent(first_program, model(), policy, task_ids=names)


def test_agents_run_within_budgets_and_are_recorded(tmp_path: Path) -> None:
    budget = Budget(tokens=40)
    tasks = [
        Task(problem.task_id, agent, budget, name=name)
        for problem in PROBLEMS
        for name, agent in {"own": first_program, "many": best_of_n, "named": load_agent("greedy")}.items()
    ]
    with RunFolder.open(tmp_path, {"seed": 0}) as journal:
        results = Driver(model(), OneProgram(), Depth(), journal=journal).run(tasks)
    errors: list[O1CoderError] = [one.error for one in results if one.error is not None]
    assert errors == []
    assert max(one.usage.tokens for one in results) <= 40
    solved = [float(one.result is not None and one.result.value == 1.0) for one in results]
    assert estimate_share(solved).low >= 0.0
    assert "greedy" in AGENTS


def test_environments_are_made_by_name_or_from_objects() -> None:
    env = gym.make("O1Coder/Starter-v0", observation_format="text")
    text, info = env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(PROGRAM)
    assert text
    assert (terminated, truncated) == (True, False)
    assert 0.0 <= float(reward) <= 1.0
    assert not info["is_success"]
    own = envs.TextEnv(problems="starter", max_steps=3)
    own.reset(seed=1)
    fork = envs.fork(own)
    assert fork.step(PROGRAM)[1] == own.step(PROGRAM)[1]


def test_programs_are_judged() -> None:
    tests = (CallTest("[2]", "4"),)
    right, wrong = (Submission(f"def f(x): return x * {n}", "f", tests, Limits(cpu_s=1.0)) for n in (2, 3))
    verdicts = default_judge().evaluate([right, wrong])
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASS, Outcome.WRONG_ANSWER]


def test_numbers_are_plain() -> None:
    assert pass_at_k(n=4, c=2, k=1) == 0.5
    assert linear(5, start=1.0, end=0.0, horizon=10) == 0.5
    policy: Policy = load_policy("fake:depth=2&step_s=0")
    request = PolicyRequest(PROBLEMS[0], State(PROBLEMS[0].task_id), 2, seed=random.Random(0).randrange(9))
    assert len(policy.propose([request])[0]) == 2
