"""One process of a training, started by ``torchrun``: WEIGHTS OUT LORA_RANK."""

import sys
from dataclasses import replace
from pathlib import Path

from o1coder_gym.agents.rl.grpo import train_policy
from o1coder_gym.runs import ranks
from o1coder_gym.steps.formats import PSEUDOCODE
from tests.agents.rl.conftest import SETTINGS, LetterModel

weights, out, rank = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
told = []
train_policy(
    weights,
    LetterModel(),
    LetterModel.task_ids,
    out,
    replace(SETTINGS, rows_at_once=4, lora_rank=rank),
    step_format=PSEUDOCODE,
    on_update=lambda t, metrics: told.append((t, metrics["episodes/process"])),
)
(out / f"told-{ranks.rank()}.txt").write_text(repr(told))
