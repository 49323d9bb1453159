"""Arguments that tree searches have in common: type, range and meaning of each, said once.

An agent annotates its keyword with one of these; `parameters` reads range and meaning from there, for the
checks of a spec and for ``o1coder list agents``.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from o1coder_gym.agents.search.expansion import Widening
from o1coder_gym.agents.search.leaf_values import Evaluate
from o1coder_gym.agents.search.priors import Prior
from o1coder_gym.agents.search.selection import Select
from o1coder_gym.agents.search.tree import Tree
from o1coder_gym.specs.parameters import AtLeastOne, Meaning, NonNegative, Share
from o1coder_gym.types import Sampling

Simulations: TypeAlias = Annotated[
    AtLeastOne | None,
    Meaning("Maximum number of simulations, ≥ 1; null: until the budget ends, or 32 without a budget."),
]
Width: TypeAlias = Annotated[
    AtLeastOne | None,
    Meaning(
        "Samples per node, ≥ 1; more only where a path has nothing else left. null: as many as the node's "
        "visits ask for."
    ),
]
Exploration: TypeAlias = Annotated[NonNegative, Meaning("Exploration constant of selection, ≥ 0.")]
Parallel: TypeAlias = Annotated[AtLeastOne, Meaning("W, simulations at the same time, ≥ 1.")]
EarlyStop: TypeAlias = Annotated[
    bool, Meaning("Stop at the first program that passes all tests of the search.")
]
AlphaCompile: TypeAlias = Annotated[Share, Meaning("α_c of the terminal value, in [0, 1].")]
NodePrior: TypeAlias = Annotated[
    Prior, Meaning("P(step | state): `by_logprob`, `by_count`, or `by_score` of the step scorer.")
]
ChildSelection: TypeAlias = Annotated[
    Select | None, Meaning("Replaces the agent's selection formula; `c` is then not read.")
]
LeafValue: TypeAlias = Annotated[
    Evaluate,
    Meaning("Value of a leaf: `rollout` by the policy, `scored` by the step scorer, or `mixed`, both."),
]
NodeWidening: TypeAlias = Annotated[
    Widening | None,
    Meaning(
        "How many samples a node may have at so many visits: `all_at_once` draws all siblings in one call "
        "(the paper's), `progressive` one after the other up to the width, `growing` more and more, without "
        "an end. null: `growing` without a width; with one `all_at_once` (mcts) or `progressive` (puct)."
    ),
]
SIMULATIONS = 32
"""Simulations where neither the user nor a budget says how many."""

StepSampling: TypeAlias = Annotated[Sampling, Meaning("How steps are drawn.")]
EarlierTree: TypeAlias = Annotated[
    Tree | None,
    Meaning("A tree to go on with, e.g. `Tree.subtree` of an earlier one; its settings stay."),
]
