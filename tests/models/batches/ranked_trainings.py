"""Small trainings of all kinds, run by the tests with one rank and with two."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from o1coder_gym.agents.rl.dpo import train_dpo
from o1coder_gym.agents.rl.settings import DPOSettings
from o1coder_gym.models.training.finetuning import finetune
from o1coder_gym.models.training.settings import TrainingSettings
from o1coder_gym.prm.training.trainer import train_prm
from o1coder_gym.process_data import LabelRule, PairRow, PairRule, ProcessData
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import ActionType, Problem, State, Step

SETTINGS = TrainingSettings(
    learning_rate=1e-2, batch_size=4, rows_at_once=2, epochs=2, save_steps=50, max_length=200
)
DPO = DPOSettings(learning_rate=1e-2, batch_size=4, rows_at_once=2, epochs=2, save_steps=50)
GOLDEN = Path(__file__).parents[2] / "golden" / "curves.json"
"""Curves of trainings by name."""
TRAININGS = ("sft", "sft-grouped", "dpo", "rl-dpo", "prm-soft", "prm-pairwise")


def message(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


def conversations(count: int) -> list[dict[str, Any]]:
    """Rows of both stages, unlike in length."""
    return [
        {
            "prompt": message("user", f"double {n}"),
            "completion": message("assistant", f"assert f({n}) == {2 * n}{'!' * n}\n"),
            "chosen": message("assistant", f"assert f({n}) == {2 * n}\n"),
            "rejected": message("assistant", f"assert f({n}) == {3 * n + 1}{'!' * n}\n"),
        }
        for n in range(count)
    ]


def pairs(count: int) -> ProcessData:
    """Sibling steps of one problem."""
    rows = tuple(
        PairRow(
            State("p"),
            Step(ActionType.DEFINE, "double" + "!" * n),
            Step(ActionType.DEFINE, f"square {n}"),
            *(0.9, 0.1, 1, "train", ("run",)),
        )
        for n in range(count)
    )
    problem = Problem("p", "double it", "f")
    return ProcessData("pseudocode", (problem,), (), (), rows, LabelRule(), PairRule(), 0.0, {}, {})


def train(name: str, model: str, data: Path, out: Path) -> None:
    """Runs a training into a folder of its name. Five rows: the last round of two ranks has an idle pass."""
    folder = out / name
    if name == "rl-dpo":
        train_dpo(model, pairs(5), folder, DPO, step_format=PSEUDOCODE)
    elif name.startswith("prm"):
        settings = replace(SETTINGS, learning_rate=1e-3, lora_rank=0, epochs=1, max_length=256)
        train_prm(model, data, folder, name.partition("-")[2], settings)
    else:
        rank = 0 if name == "sft" else 2
        settings = replace(SETTINGS, group_prefixes=name == "sft-grouped", lora_rank=rank)
        stage = "dpo" if name == "dpo" else "sft"
        finetune(stage, model, conversations(5), conversations(3), folder, settings)


NOT_COMPARED = ("runtime", "per_second", "step_time", "total_flos", "peak_memory", "epoch")
"""Parts of the names of figures that are not of what was learned, but of the machine or of its passes."""


def curve(folder: Path) -> list[dict[str, float]]:
    """Returns what a training logged at each step and in the end, of what may not depend on the ranks."""
    states = (folder / "checkpoints").glob("*/trainer_state.json")
    last = max(states, key=lambda path: int(path.parent.name.rpartition("-")[2]))
    rows = json.loads(last.read_text())["log_history"]
    rows.append(json.loads((folder / "training.json").read_text())["metrics"])
    return [
        {key: value for key, value in row.items() if not any(part in key for part in NOT_COMPARED)}
        for row in rows
    ]


def train_all(model: str, data: Path, out: Path) -> None:
    """Runs all of them."""
    for name in TRAININGS:
        train(name, model, data, out)
