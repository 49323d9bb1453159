"""What the demo measures with the tiny model: greedy decoding, one search, five agents at equal budgets.

The problems are the test split of the micro-problems, which the model's training held out by text and by
behaviour.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from o1coder_gym.agents.driver.driver import Observer
from o1coder_gym.agents.mcts import mcts
from o1coder_gym.agents.search.tree import Tree
from o1coder_gym.experiments.solving import Solved, Solver, solve
from o1coder_gym.experiments.tools import Plan
from o1coder_gym.models.lookup import BUNDLED_MODELS
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.reporting.comparison import compare_rows, corrected, group
from o1coder_gym.reporting.results import ResultRow
from o1coder_gym.runs.budget import Budget
from o1coder_gym.specs import name_of
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import Sampling, State

PROBLEMS = "micro"
POLICY = "hf:tiny?dtype=float32"
"""In float32 draws are exact: the same problem, tree and table for the same seed on the same machine."""

LEARNED = "hf:tiny-selfplay?dtype=float32"
"""The same model after two turns of self-play."""

TOKENS, TREE_TOKENS = 256, 512
"""Budget per problem: of each agent, three or four programs; of the search that is drawn."""

NAMES = {
    "greedy": "greedy",
    "best_of_n_random": "random choice",
    "best_of_n": "best of n",
    "mcts": "MCTS",
    "puct": "PUCT",
}
"""What people call the agents."""

_SPLIT, _SELF_PLAY = "test", "selfplay.json"
_MAX_STEPS, _SIMULATIONS = 5, 1000
"""Steps of an episode; simulations of a search, more than any budget here pays for."""

_SAMPLING = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_tokens=96)
_DRAWN = "temperature=1.0,top_p=1.0,top_k=0,max_tokens=96"
_AGENTS = (
    "greedy:max_tokens=96",
    f"best_of_n_random:n=100,{_DRAWN}",
    f"best_of_n:n=100,{_DRAWN}",
    f"mcts:simulations={_SIMULATIONS},width=4,{_DRAWN}",
    f"puct:simulations={_SIMULATIONS},width=8,{_DRAWN}",
)
"""Greedy has one program to spend on; the others draw until the budget ends, none has another limit."""

_COMPARED = (
    ("best_of_n", "greedy"),
    ("best_of_n", "best_of_n_random"),
    ("mcts", "best_of_n"),
    ("puct", "best_of_n"),
)


def demo_rows(limit: int | None = None) -> Sequence[ProblemRow]:
    """Returns the first held-out problems; None takes all 128."""
    return load_rows(PROBLEMS, split=_SPLIT)[:limit]


def demo_plan(rows: Sequence[ProblemRow], seed: int) -> Plan:
    """Returns the comparison of the five agents."""
    return Plan(
        problems=PROBLEMS,
        split=_SPLIT,
        task_ids=tuple(row.problem.task_id for row in rows),
        agents=_AGENTS,
        policy=POLICY,
        format=PSEUDOCODE.name,
        budget=Budget(tokens=TOKENS),
        seeds=(seed,),
        max_steps=_MAX_STEPS,
        share_samples=True,  # the random choice draws what best of n draws: the same programs, drawn once
    )


def greedy_answers(rows: Sequence[ProblemRow], policy: str, seed: int) -> list[Solved]:
    """Returns what greedy decoding answers to each problem."""
    return solve(rows, Solver(_AGENTS[0], policy, max_steps=_MAX_STEPS, seed=seed))


class TreeSearch:
    """MCTS on one problem, whose tree can be looked at while it grows."""

    def __init__(self, row: ProblemRow, seed: int) -> None:
        """Plants the tree."""
        self._row = row
        self._seed = seed
        self._tree = Tree(State(row.problem.task_id))

    def look(self) -> SearchTree:
        """Returns the tree as far as it has grown."""
        return self._tree.look(self._row.problem)

    def run(self, on_query: Observer) -> Solved:
        """Searches within `TREE_TOKENS`; errors as of `solve`, and what went wrong in the search."""
        search = partial(mcts, simulations=_SIMULATIONS, sampling=_SAMPLING, tree=self._tree)
        budget = Budget(tokens=TREE_TOKENS)
        solver = Solver("mcts", POLICY, search=search, budget=budget, max_steps=_MAX_STEPS, seed=self._seed)
        (answer,) = solve([self._row], solver, on_query=on_query)
        if answer.result.error is not None:
            raise answer.result.error
        return answer


def agent_sentences(rows: Sequence[ResultRow]) -> list[str]:
    """Says what the comparison shows, whatever came out."""
    groups = {name_of(setting.agent): found for setting, found in group(rows).items()}
    compared = [
        compare_rows(groups[a], groups[b], (NAMES[a], NAMES[b]))
        for a, b in _COMPARED
        if a in groups and b in groups
    ]
    return [one.sentence() for one in corrected(compared)]


def solved_by(agent: str, rows: Sequence[ResultRow]) -> int:
    """Counts the problems that an agent solved, by its name alone."""
    return sum(row.solved for row in rows if name_of(row.agent) == agent)


def recorded_self_play() -> dict[str, Any]:
    """Returns the figures of the self-play that made `LEARNED`, which lie beside the tiny model."""
    return json.loads((BUNDLED_MODELS["tiny"].folder / _SELF_PLAY).read_text())
