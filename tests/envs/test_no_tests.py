"""A problem without public tests: never a success, nothing paid, and no number that spoils a training."""

import json
import math
import os
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from o1coder_gym.envs import ReasoningEnv, ReasoningModel, TextInteraction
from o1coder_gym.envs.conformance import check_environment
from o1coder_gym.problems.loading import load_problems
from o1coder_gym.sandbox import default_judge
from o1coder_gym.types import Problem

LAZY = "### Step 1 (code)\n```python\ndef {}(*values):\n    return None\n```\n"
BROKEN = "### Step 1 (code)\n```python\ndef {}(\n```\n"
BARE = {"task_id": "bare", "prompt": "def f(x):\n    ...", "entry_point": "f", "tests": []}


@pytest.fixture
def bare(tmp_path: Path) -> str:
    path = tmp_path / "bare.jsonl"
    path.write_text(json.dumps(BARE))
    return str(path)


def no_success(info: dict[str, Any]) -> bool:
    return (
        info["is_success"] is False
        and info["outcome"] == "no_tests"
        and (info["passed"], info["total"], info["pass_ratio"]) == (0, 0, 0.0)
        and math.isnan(info["reward_terms"]["outcome"])
    )


@pytest.mark.parametrize("reward", ["outcome", "process", "phi", "phi_dense"])
def test_a_program_that_does_nothing_earns_nothing(bare: str, reward: str) -> None:
    env = gymnasium.make("O1Coder/Code-v0", problems=bare, reward=reward)
    env.reset(seed=0)
    observation, paid, terminated, _, info = env.step(LAZY.format("f"))
    assert (paid, terminated) == (0.0, True)
    assert no_success(info)
    assert observation["feedback"] == "The program loads; there are no tests that it could pass."


def test_a_program_that_does_not_load_fails_as_ever(bare: str) -> None:
    env = gymnasium.make("O1Coder/Code-v0", problems=bare)
    env.reset(seed=0)
    _, paid, _, _, info = env.step(BROKEN.format("f"))
    assert (paid, info["outcome"], info["is_success"]) == (0.0, "compile_error", False)


def test_the_vector_environment_pays_the_same(bare: str) -> None:
    envs = gymnasium.make_vec("O1Coder/Code-v0", num_envs=2, problems=bare)
    envs.reset(seed=0)
    _, paid, terminated, _, info = envs.step([LAZY.format("f"), BROKEN.format("f")])
    assert paid.tolist() == [0.0, 0.0]
    assert terminated.all()
    assert not info["is_success"].any()
    assert info["outcome"].tolist() == ["no_tests", "compile_error"]


def test_the_environment_keeps_its_contract_without_tests() -> None:
    model = ReasoningModel([Problem("bare", "?", "solve")], default_judge(), max_steps=3)
    check_environment(lambda: ReasoningEnv(TextInteraction(model)))


def test_choices_see_a_number(toy: Any) -> None:
    model = ReasoningModel([Problem("bare", "?", "solve")], default_judge(), max_steps=3)
    env = toy.choice(model)
    for seed in range(5):
        observation, _ = env.reset(seed=seed)
        assert np.isfinite(observation["proposals"]).all()
        assert observation in env.observation_space


@pytest.mark.skipif("O1CODER_DATA" not in os.environ, reason="needs O1CODER_DATA")
def test_humaneval_without_examples_pays_nothing() -> None:
    bare = [problem for problem in load_problems("humaneval") if not problem.public_tests]
    assert len(bare) == 14
    model = ReasoningModel(bare, default_judge())
    ends = model.advance([(model.initial(one.task_id), LAZY.format(one.entry_point)) for one in bare])
    assert [end.reward for end in ends] == [0.0] * len(bare)
    assert {end.verdict.outcome.value for end in ends if end.verdict} == {"no_tests"}
