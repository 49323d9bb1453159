"""A training that the tests run with one rank and with two."""

from dataclasses import replace
from pathlib import Path

from o1coder_gym.agents.rl.grpo import train_policy
from o1coder_gym.runs import ranks
from o1coder_gym.steps.formats import PSEUDOCODE
from tests.agents.rl.conftest import SETTINGS, LetterModel


def train(weights: str, out: Path, lora_rank: int) -> None:
    """Trains as one of the ranks, and writes down what it was told of updates."""
    told = []
    train_policy(
        weights,
        LetterModel(),
        LetterModel.task_ids,
        out,
        replace(SETTINGS, rows_at_once=4, lora_rank=lora_rank),
        step_format=PSEUDOCODE,
        on_update=lambda t, metrics: told.append((t, metrics["episodes/process"])),
    )
    (out / f"told-{ranks.rank()}.txt").write_text(repr(told))
