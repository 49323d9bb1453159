"""A task that a process reward model can learn."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.process_data import PairRule, PathRow, PrefixRow, ProcessData, write_data
from o1coder_gym.process_data.dataset import assembled
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.types import ActionType, Problem, State, Step


def synthetic(problems: int, *, validation: float = 0.25) -> ProcessData:
    """Chains of letters; what has an x in it can only be worth little, whatever follows.

    v = 0.9 without an x, else 0.1. Each problem has a good and a bad step at each of its states.
    """
    rows, paths, asked = [], [], []
    for number in range(problems):
        generator = random.Random(number)
        problem = Problem(f"p{number}", generator.choice("abc"))
        asked.append(problem)
        for _ in range(2):
            state = State(problem.task_id)
            for _ in range(generator.randint(1, 3)):
                letters = (generator.choice("klmno"), "x")
                rows += [_row(state.then(Step(ActionType.DEFINE, letter))) for letter in letters]
                state = state.then(Step(ActionType.DEFINE, generator.choice(letters)))
        code = State(problem.task_id, (Step(ActionType.DEFINE, "k"), Step(ActionType.CODE, "print(1)")))
        paths.append(PathRow(code, 1, 9, None, "", ("synthetic",)))
    unique = {row.state: row for row in rows}
    data = assembled(
        "pseudocode",
        asked,
        unique.values(),
        paths,
        pair_rule=PairRule(0.5),
        validation=validation,
        sources={"synthetic": {"problems": problems}},
    )
    # Splits follow the question, and there are but three: here they follow the name.
    kinds = ("prefixes", "paths", "pairs")
    return replace(
        data, **{kind: tuple(_drawn(row, validation) for row in getattr(data, kind)) for kind in kinds}
    )


def _drawn(row: Any, validation: float) -> Any:
    place = int(content_hash(row.state.problem_id)[:16], 16) / 2**64
    return replace(row, split="validation" if place < validation else "train")


def _row(state: State) -> PrefixRow:
    spoiled = any(step.text == "x" for step in state.steps)
    value, passing = (0.1, 0) if spoiled else (0.9, 9)
    return PrefixRow(state, value, 10, 10, passing, False, 0, 0, 10, -1.0, "", ("synthetic",))


@pytest.fixture(scope="session")
def process_data() -> ProcessData:
    """The task."""
    return synthetic(160)


@pytest.fixture(scope="session")
def data(process_data: ProcessData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The task as a folder."""
    folder = tmp_path_factory.mktemp("data")
    write_data(folder, process_data)
    return folder


@pytest.fixture(scope="session")
def few() -> ProcessData:
    """So little of the task that any model is through with it at once."""
    return synthetic(8)
