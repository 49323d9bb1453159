"""Golden trees: seeded searches stored as JSON, replayed. Run this file as a script to write them anew."""

import json
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import Driver, Task, Tree, ab_mcts, beam, diverse_beam, mcts, puct
from o1coder_gym.agents.beam import by_scorer
from o1coder_gym.agents.search.leaf_values import mixed, scored
from o1coder_gym.agents.search.priors import by_score
from o1coder_gym.runs.budget import Budget

FOLDER = Path(__file__).parents[1] / "golden"

SEARCHES: dict[str, Any] = {
    "mcts": partial(mcts, simulations=12, width=4),
    "mcts_parallel": partial(mcts, simulations=12, width=4, parallel=4),
    "mcts_scored": partial(mcts, simulations=12, width=4, evaluate=scored),
    "mcts_mixed": partial(mcts, simulations=12, width=4, evaluate=mixed),
    "mcts_growing": partial(mcts, simulations=16),
    "puct": partial(puct, simulations=12, width=8),
    "puct_scored": partial(puct, simulations=12, width=8, evaluate=scored, prior=by_score),
    "puct_growing": partial(puct, simulations=16, parallel=4),
    "beam": partial(beam, rank=by_scorer, beams=1),
    "ab_mcts": partial(ab_mcts, simulations=12),
    "diverse_beam": partial(diverse_beam, groups=2, branch=3, beams=1),
}


def tree(toy: ModuleType, name: str) -> Tree:
    driver = Driver(toy.ToyModel(), toy.ToyPolicy(), toy.ToyScorer(), seed=11)
    (result,) = driver.run([Task("golden", SEARCHES[name], Budget(tokens=1600))])
    assert result.result is not None
    return result.result.tree


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_grows_the_stored_tree(toy: ModuleType, name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text()
    assert rounded(json.dumps(tree(toy, name).to_row())) == rounded(text)
    stored = json.loads(text)
    assert Tree.from_row(stored).to_row() == stored


def rounded(text: str) -> Any:
    """Reads JSON; floats to 9 digits, since `exp` may differ in the last one between machines."""
    return json.loads(text, parse_float=lambda number: round(float(number), 9))


def main() -> None:
    import toy

    for name in SEARCHES:
        (FOLDER / f"{name}.json").write_text(json.dumps(tree(toy, name).to_row(), indent=1) + "\n")


if __name__ == "__main__":
    main()
