from types import ModuleType

import pytest

from o1coder_gym.agents import AGENTS, load_agent
from o1coder_gym.envs.conformance import check_agent


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_passes_the_conformance_kit(toy: ModuleType, name: str) -> None:
    check_agent(load_agent(name), toy.ToyModel(), toy.ToyPolicy(), toy.ToyScorer(), task_ids=["p0", "p1"])


@pytest.mark.parametrize(
    "spec",
    [
        "mcts:parallel=4,evaluate=scored",
        "mcts:parallel=4,evaluate=mixed",
        "mcts:select=uct_virtual_loss,parallel=3",
        "puct:parallel=4,prior=by_score,evaluate=scored",
        "beam:rank=by_scorer,width=3,branch=3",
        "diverse_beam:groups=3,rank=by_scorer",
        "best_of_n:width=4",
    ],
)
def test_variants_pass_the_conformance_kit(toy: ModuleType, spec: str) -> None:
    check_agent(load_agent(spec), toy.ToyModel(), toy.ToyPolicy(), toy.ToyScorer(), task_ids=["p0"])
