"""AB-MCTS: tree search that decides at each node, by Thompson sampling, whether to go wider or deeper.

After AB-MCTS-A (Inoue et al. 2025, arXiv 2503.04412, section 3): a node has two arms, GEN (a new child)
and CONT (on to one of its children). Each arm, and each child under CONT, has a Beta posterior over the
value that it leads to, starting from Jeffreys' prior; one number is drawn from each and the largest wins.

Here a node is a reasoning state and not a whole answer: the value of a new child is found by following
the policy to a program, and every step on the way stays in the tree.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng

from o1coder_gym.agents.search.arguments import SIMULATIONS, Simulations
from o1coder_gym.agents.search.expansion import expand
from o1coder_gym.agents.search.priors import no_prior
from o1coder_gym.agents.search.simulation import fewest_samples
from o1coder_gym.agents.search.tree import Node, Tree
from o1coder_gym.errors import BudgetExhausted
from o1coder_gym.runs.context import ALONE, SearchContext
from o1coder_gym.specs.parameters import AtLeastOne, Share
from o1coder_gym.types import Problem, Sampling, State
from o1coder_gym.types.queries import Part, Search

JEFFREYS = 0.5
"""Both parameters of the Beta prior of an arm."""


@dataclass(slots=True)
class Arm:
    """Statistics of one arm. Mutable.

    Attributes:
        total: Sum of the values in [0, 1] that it led to.
        count: Number of these values.
    """

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """Counts one value in [0, 1]."""
        self.total += value
        self.count += 1


@dataclass(slots=True)
class Arms:
    """The two arms of a node: GEN and CONT. Mutable."""

    wider: Arm = field(default_factory=Arm)
    deeper: Arm = field(default_factory=Arm)


def ab_mcts(
    problem: Problem,
    root: State,
    *,
    simulations: Simulations = None,
    width: AtLeastOne = 32,
    early_stop: bool = False,
    alpha_compile: Share = 0.0,
    seed: int = 0,
    sampling: Sampling = Sampling(),
    context: SearchContext = ALONE,
) -> Search:
    """Searches with adaptive branching.

    Args:
        problem: The question.
        root: Where to start.
        simulations: Maximum number of simulations, ≥ 1; each ends with a program or with nothing new. By
            default until the budget ends, or 32 without a budget.
        width: Samples per node, ≥ 1; more only where a path has nothing else left.
        early_stop: Stop at the first program that passes all tests of the search.
        alpha_compile: α_c of the terminal value, in [0, 1].
        seed: Fixes the draws from the posteriors, together with the run's seed and the problem.
        sampling: How steps are drawn.
        context: Of the task.

    Returns:
        The end of highest value, ties by mean log-probability; with the tree.
    """
    tree = Tree(root, width=width, alpha_compile=alpha_compile)
    # Derived from run seed, problem and `seed`: equal draws whatever else runs in the same driver.
    generator = default_rng(context.generator(seed).getrandbits(64))
    last = context.cap(simulations, SIMULATIONS)
    arms: dict[Node, Arms] = {}
    with suppress(BudgetExhausted):
        while tree.simulations < last and not (early_stop and tree.solution):
            path = descend(tree, arms, generator)
            if not path:
                break
            tree.simulations += 1
            made, value = yield from generate(tree, path[-1], sampling)
            if value is not None:
                learn(arms, path[:-1], made, value)
    return tree.result()


def descend(tree: Tree, arms: dict[Node, Arms], generator: Generator) -> list[Node]:
    """Returns the path from the root to the node where the GEN arm won.

    Where no child is open, GEN wins at the node with the fewest samples on the path. Empty if the root is
    closed, so that no sample can be drawn anywhere.
    """
    path = [tree.root]
    while not tree.root.closed:
        node = path[-1]
        children = [child for child in node.children if not child.closed]
        if not children:
            return path[: fewest_samples(path) + 1] if node.asked else path
        # Unseen arms draw from the prior alone, so a fresh node goes wider with probability ½.
        if node.asked < tree.width and _go_wider(arms.get(node, Arms()), generator):
            return path
        # [K] each: one posterior per child, one draw each, the largest wins (Thompson sampling).
        totals = np.array([child.total for child in children])
        visits = np.array([child.visits for child in children])
        path.append(children[int(_draw(totals, visits, generator).argmax())])
    return []


def generate(tree: Tree, node: Node, sampling: Sampling) -> Part[tuple[list[Node], float | None]]:
    """Samples one step at `node` and rolls out from it; all steps stay in the tree.

    Returns:
        The nodes at which a step was sampled, and the value of the end: 0 if a step was a duplicate, because
        going wider gained nothing; None where the judge failed.
    """
    path = [node]
    while True:
        fresh = yield from expand(tree, path[-1], 1, sampling=sampling, prior=no_prior)
        if not fresh:
            return path, 0.0
        if fresh[0].ended:
            return path, fresh[0].value
        path.append(fresh[0])


def learn(arms: dict[Node, Arms], passed: Iterable[Node], made: Iterable[Node], value: float) -> None:
    """Adds a value to the CONT arm of the nodes passed and to the GEN arm where steps were sampled."""
    for node in passed:
        arms.setdefault(node, Arms()).deeper.add(value)
    for node in made:
        arms.setdefault(node, Arms()).wider.add(value)


def _go_wider(arms: Arms, generator: Generator) -> bool:
    wider = _draw(arms.wider.total, arms.wider.count, generator)
    return wider >= _draw(arms.deeper.total, arms.deeper.count, generator)


def _draw(total: Any, count: Any, generator: Generator) -> Any:
    """Draws from the posteriors Beta(½ + Σ v, ½ + Σ (1 − v)); numbers, or arrays of one per arm."""
    return generator.beta(JEFFREYS + total, JEFFREYS + count - total)
