"""Trainers of the tests, over an untrained tiny model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from o1coder_gym.agents.rl.episodes import Episode, token_row
from o1coder_gym.agents.rl.sampling.sampler import Round
from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.steps.formats import PSEUDOCODE, StepFormat


def trainer_for(
    weights: Path, process: Any, settings: RLSettings, out: Path, step_format: StepFormat = PSEUDOCODE
) -> Any:
    """Returns the trainer of GRPO over a process; nothing is trained yet."""
    from trl import GRPOConfig

    from o1coder_gym.agents.rl import grpo
    from o1coder_gym.agents.rl.sampling.hf import HFActor
    from o1coder_gym.models.checkpoints import load_weights

    model, tokenizer = load_weights(weights, "float32")
    actor = HFActor(model, tokenizer, step_format)
    return grpo.StepGRPOTrainer(
        settings,
        grpo.Sampler(settings, process, process.task_ids, actor),
        grpo.Monitor(settings),
        model=model,
        args=GRPOConfig(**grpo._arguments(out, settings)),
        train_dataset=grpo.slots(settings),
        processing_class=tokenizer,
    )


def give(trainer: Any, episodes: Sequence[Episode]) -> None:
    """Has a trainer find these episodes sampled."""
    rows = [token_row(trainer._sampler.policy, episode) for episode in episodes]
    trainer._sampler.sample = lambda *_: Round(episodes, rows)


def log_probabilities(model: Any, row: Any) -> list[float]:
    """Returns the log-probability of each token of a completion, each by a pass over what it follows."""
    import torch

    found = []
    for place, token in enumerate(row.completion_ids):
        path = []
        before = row.parents[place]
        while before >= 0:
            path.append(row.completion_ids[before])
            before = row.parents[before]
        with torch.no_grad():
            logits = model(torch.tensor([[*row.prompt_ids, *path[::-1]]])).logits[0, -1]
        found.append(logits.log_softmax(-1)[token].item())
    return found
