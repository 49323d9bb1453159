"""A small training of a policy, alone in its process, which prints its peak of memory: WEIGHTS OUT RANK."""

import sys
from dataclasses import replace
from pathlib import Path

from o1coder_gym.agents.rl.grpo import train_policy
from o1coder_gym.steps.formats import PSEUDOCODE
from tests.agents.rl.conftest import SETTINGS, LetterModel

weights, out, rank = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
settings = replace(SETTINGS, updates=1, lora_rank=rank)
folder = train_policy(weights, LetterModel(), LetterModel.task_ids, out, settings, step_format=PSEUDOCODE)
(line,) = (one for one in (folder / "README.md").read_text().splitlines() if "peak_memory_gib" in one)
print(line.split("|")[2])
