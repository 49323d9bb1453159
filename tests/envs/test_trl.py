"""Rewards for other trainers: by hand, and in a trainer of TRL."""

import json
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.envs import O1CoderSpec, trl
from o1coder_gym.problems.loading import load_problems
from o1coder_gym.rewards import RewardConstants
from o1coder_gym.steps.formats import PSEUDOCODE, VANILLA
from o1coder_gym.types import ActionType, CallTest, Problem

RIGHT = "### Step 1 (define)\nadd one\n\n### Step 2 (code)\n```python\ndef f(x):\n    return x + 1\n```\n"
HALF = RIGHT.replace("x + 1", "2")
SILENT = "### Step 1 (define)\nadd one\n"
MALFORMED = "Sure!\n\n### Step 1 (code)\n```python\ndef f(x:\n```\n"
PROBLEM = Problem(
    "p", "def f(x):\n    return the next number", "f", (CallTest("[1]", "2"), CallTest("[2]", "3"))
)


def columns(count: int) -> dict[str, list[Any]]:
    (row,) = trl.rows([PROBLEM])
    return {name: [value] * count for name, value in row.items() if name != "prompt"}


def test_rewards_by_hand() -> None:
    texts = [RIGHT, HALF, SILENT, MALFORMED, ""]
    given = columns(len(texts))
    assert trl.outcome(completions=texts, **given) == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert trl.pass_ratio(completions=texts, **given) == [1.0, 0.5, 0.0, 0.0, 0.0]
    assert trl.compiles(completions=texts, **given) == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert trl.well_formed(completions=texts, **given) == [1.0, 1.0, 0.0, 0.0, 0.0]
    talk = [[{"role": "assistant", "content": RIGHT}]]
    assert trl.outcome(completions=talk, **columns(1)) == [1.0]


def test_without_tests_there_is_no_reward() -> None:
    (row,) = trl.rows([Problem("bare", "def f(x): ...", "f")])
    given = {name: [value] * 3 for name, value in row.items() if name != "prompt"}
    texts = [RIGHT, SILENT, MALFORMED]
    assert trl.outcome(completions=texts, **given) == [None, 0.0, 0.0]
    assert trl.pass_ratio(completions=texts, **given) == [None, 0.0, 0.0]
    assert trl.phi(completions=texts, **given)[0] is None
    assert trl.compiles(completions=texts, **given) == [1.0, 0.0, 0.0]
    assert trl.well_formed(completions=texts, **given)[0] == 1.0


def test_a_played_episode_without_tests_has_no_reward(tmp_path: Path) -> None:
    row = {"task_id": "bare", "prompt": "def f(x): ...", "entry_point": "f", "tests": []}
    (tmp_path / "bare.jsonl").write_text(json.dumps(row))
    spec = O1CoderSpec(str(tmp_path / "bare.jsonl"), reward="outcome")
    assert spec.episode_reward([RIGHT, SILENT], task_id=["bare", "bare"]) == [None, 0.0]


def test_phi_by_hand() -> None:
    class Halves:
        def score(self, items: Any, /) -> list[float]:
            return [0.5 if state.depth == 1 else 1.0 for _, state in items]

    reward = trl.Phi(Halves(), RewardConstants(alpha=0.4, gamma=0.9))
    # 0.4·1 + 0.6·(0.9·0.5 + 0.81·1)/2 = 0.778;  0.4·0 + 0.6·0.45/1 = 0.27
    assert reward(completions=[RIGHT, SILENT], **columns(2)) == pytest.approx([0.778, 0.27])
    assert all(value is not None and 0 <= value <= 1 for value in trl.phi(completions=[RIGHT], **columns(1)))


def test_chains_are_read_step_by_step_and_end_with_the_program() -> None:
    steps = trl.read_chain(RIGHT + "\n### Step 3 (define)\nmore\n", PSEUDOCODE)
    assert [step.type for step in steps] == [ActionType.DEFINE, ActionType.CODE]
    assert trl.read_chain("```python\nx = 1\n```\n", VANILLA)[0].text == "x = 1"


def test_chatty_answers_are_read_and_prose_is_none() -> None:
    right, draft = "def f(x):\n    return x + 1", "def f(x):\n    return x"
    blocks = [f"```python\n{code}\n```\n" for code in (draft, right, "print(f(1))")]
    texts = [
        "A draft:\n" + "So:\n".join(blocks),
        f"<think>{blocks[0]}</think>\n\n{right}\n```",
        "I would add one to x.",
        f"<think>Let me see.\n{blocks[1]}",
    ]
    (row,) = trl.rows([PROBLEM], format="vanilla")
    given = {name: [value] * len(texts) for name, value in row.items() if name != "prompt"}
    assert trl.outcome(completions=texts, **given) == [1.0, 1.0, 0.0, 0.0]
    assert trl.well_formed(completions=texts, **given) == [1.0, 1.0, 0.0, 0.0]
    parts = [[{"role": "assistant", "content": [{"type": "text", "text": texts[0]}]}]]
    assert trl.outcome(completions=parts, **{name: value[:1] for name, value in given.items()}) == [1.0]


def test_the_environment_knows_what_a_program_is_to_define() -> None:
    from o1coder_gym.envs import ReasoningModel
    from o1coder_gym.sandbox import default_judge
    from o1coder_gym.steps.formats import load_format

    model = ReasoningModel([PROBLEM], default_judge(), format=load_format("vanilla"))
    helper = "```python\ndef helper(x):\n    return x\n```\n"
    action = f"```python\ndef f(x):\n    return x + 1\n```\nAnd:\n{helper}"
    (transition,) = model.advance([(model.initial("p"), action)])
    assert transition.verdict is not None
    assert transition.verdict.passed == 2


def test_rows_carry_no_hidden_tests() -> None:
    rows = trl.rows(load_problems("starter")[:3])
    for row, problem in zip(rows, load_problems("starter"), strict=False):
        assert len(json.loads(row["tests"])) == len(problem.public_tests)
        assert row["prompt"][-1]["role"] == "user"


def test_an_environment_is_played_by_tool_calls() -> None:
    spec = O1CoderSpec("starter", limit=1, reward="outcome")
    assert spec.train_dataset.column_names == [
        "prompt",
        "task_id",
        "question",
        "entry_point",
        "tests",
        "format",
    ]
    (row,) = spec.train_dataset
    tools = spec.environment_factory()
    assert tools.reset(**row) is None
    assert tools.step("### Step 1 (define)\ncount words") == "Go on."
    assert "must start with a header" in tools.step("hm")
    code = PSEUDOCODE.render(load_reference(), 3)
    assert "2 of 2 public tests passed" in tools.step(code)
    assert tools.step(code) == "The episode is over."
    assert tools.reward == 1.0
    (reward,) = spec.reward_funcs
    assert reward(completions=[""], environments=[tools]) == [1.0]
    chain = "### Step 1 (define)\ncount\n\n" + PSEUDOCODE.render(load_reference(), 2)
    assert reward(completions=[chain, ""], task_id=[row["task_id"]] * 2) == [1.0, 0.0]


def load_reference() -> Any:
    from o1coder_gym.types import Step

    code = "def count_vowel_words(text):\n    return sum(w[0].lower() in 'aeiou' for w in text.split())"
    return Step(ActionType.CODE, code)


def test_trl_trains_with_them(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from trl import GRPOConfig, GRPOTrainer

    from o1coder_gym.experiments.micro.tiny_model import TinySettings, train_tiny_model

    size = TinySettings(layers=1, width=16, heads=2, vocabulary=300, traces=8, steps=1, batch_size=2)
    folder = train_tiny_model(tmp_path / "model", size)
    spec = O1CoderSpec("starter", limit=2)
    trainer = GRPOTrainer(
        str(folder),
        reward_funcs=[*spec.reward_funcs, trl.well_formed, trl.phi],
        args=GRPOConfig(
            output_dir=str(tmp_path),
            max_steps=1,
            num_generations=2,
            per_device_train_batch_size=2,
            max_completion_length=8,
            use_cpu=True,
            bf16=False,
            report_to="none",
            save_strategy="no",
        ),
        train_dataset=spec.train_dataset,
    )
    trainer.train()
    logged = trainer.state.log_history[0]
    assert {"rewards/episode_reward/mean", "rewards/well_formed/mean", "rewards/phi/mean"} <= logged.keys()
    assert logged["rewards/well_formed/mean"] == 0.0
