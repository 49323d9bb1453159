"""GRPO on the policy's weights (Algorithm 1, step 5), with credit for each reasoning step.

One update is sample → reward → advantage → loss, and `StepGRPOTrainer` has them in that order. Episodes are
sampled through the driver, as in search and evaluation; TRL's GRPOTrainer calls the four and optimises.

A run folder holds ``checkpoints/`` (with TensorBoard logs) and, when it is done, ``model/``.

Shapes: B episodes of a batch, T tokens of a completion, m steps of an episode.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from o1coder_gym.agents.rl.actor import Actor
from o1coder_gym.agents.rl.advantages import step_advantages
from o1coder_gym.agents.rl.credit import Scored, score_episodes
from o1coder_gym.agents.rl.data_order import slots
from o1coder_gym.agents.rl.episodes import Episode, TokenRow
from o1coder_gym.agents.rl.monitor import Monitor, OnUpdate, Validate
from o1coder_gym.agents.rl.sampler import Sampler
from o1coder_gym.agents.rl.settings import RLSettings, common_arguments
from o1coder_gym.errors import MissingExtraError, UsageError
from o1coder_gym.models.checkpoints import (
    CHECKPOINTS,
    MODEL,
    last_checkpoint,
    load_weights,
    quiet,
    save_merged,
)
from o1coder_gym.models.lookup import model_path
from o1coder_gym.models.progress import project_completions_only
from o1coder_gym.models.trainers import lora
from o1coder_gym.protocols import Model
from o1coder_gym.steps.formats import StepFormat

try:
    import torch
    from accelerate.utils import gather_object
    from transformers import PrinterCallback
    from trl import GRPOConfig, GRPOTrainer
except ImportError as error:
    raise MissingExtraError("trl", "train") from error

_OF_TOKENS = ("clipped_ratio", "mean_terminated_length", "min_terminated_length", "max_terminated_length")
"""TRL's figures about the last token of a completion; steps end at a boundary, not at a token."""


class StepGRPOTrainer(GRPOTrainer):
    """GRPO (arXiv 2402.03300, section 4.1) whose advantages are those of reasoning steps.

    One update, in order:

    1. `sample`: G episodes for each problem of the batch, by the policy in training.
    2. `reward`: φ(R, r^{1:m}), or R alone, of each episode.
    3. `advantages`: what each step is better than its peers in the group, ``[B, T]``.
    4. The loss is TRL's ``_compute_loss``: the mean over sampled tokens of
       −min(ρ·A, clip(ρ, 1 − ε, 1 + ε)·A) + β·KL, with ρ = π_θ / π_θold of a token.

    ``iterations`` > 1 takes more than one optimizer step on a batch, which makes it PPO-clip.

    Attributes:
        scored: The last batch of episodes, with their rewards.
    """

    def __init__(self, settings: RLSettings, sampler: Sampler, monitor: Monitor, **arguments: Any) -> None:
        """Args: how to train, what samples, what watches, the arguments of GRPOTrainer."""
        self.scored: list[Scored] = []
        self._settings = settings
        self._sampler = sampler
        self._monitor = monitor
        self._episodes: list[Episode] = []
        self._rows: list[TokenRow] = []
        os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
        super().__init__(rollout_func=self.sample, reward_funcs=[self.reward], **arguments)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Makes a batch for the loss: TRL calls `sample`, then `reward`, and we put in our `advantages`."""
        batch = super()._generate_and_score_completions(inputs)
        for name in _OF_TOKENS:
            self._metrics["train"].pop(f"completions/{name}", None)
        if self._settings.credit == "step":
            batch["advantages"] = self.advantages(batch["completion_ids"])
        return batch

    def sample(self, prompts: Sequence[str], trainer: Any = None) -> dict[str, Any]:
        """Samples an episode for each prompt, which is the number of a slot (TRL's ``rollout_func``)."""
        learner = self.accelerator.unwrap_model(self.model)
        slots = [int(slot) for slot in prompts]
        self._episodes = self._sampler.sample(
            slots, self.state.global_step, learner, self.accelerator.process_index
        )
        self._rows = self._sampler.rows(self._episodes)
        return {
            "prompt_ids": [list(row.prompt_ids) for row in self._rows],
            "completion_ids": [list(row.completion_ids) for row in self._rows],
            "logprobs": None,  # TRL computes those of π_θold itself, where it needs them
            "env_mask": [[int(step >= 0) for step in row.step_of] for row in self._rows],
        }

    def reward(self, completions: Sequence[str], log_metric: Any, **columns: Any) -> list[float | None]:
        """Returns φ or R of each episode, None where the judge failed (a reward function of TRL)."""
        t = self.state.global_step
        self.scored = score_episodes(self._episodes, self._rows, self._settings, t)
        for name, value in self._monitor.watch(self.scored, t, self._sampler.policy).items():
            if not math.isnan(value):
                log_metric(name, value)
        return [one.reward if one.judged else None for one in self.scored]

    def advantages(self, completion_ids: torch.Tensor) -> torch.Tensor:
        """Returns the advantage of the step that each token was sampled in, ``[B, T]``; 0 for other text."""
        own = self.scored
        # A group may be spread over processes, so its means need the returns of all of them.
        returns = gather_object([scored.returns for scored in own])
        found = step_advantages(returns, self._settings.episodes)
        first = self.accelerator.process_index * len(own)
        table = torch.zeros(completion_ids.shape, device=completion_ids.device)
        for row, (scored, advantages) in enumerate(zip(own, found[first : first + len(own)], strict=True)):
            for place, step in enumerate(scored.row.step_of):
                if step >= 0:
                    table[row, place] = advantages[step]
        return table


def train_policy(
    weights: str,
    model: Model,
    task_ids: Sequence[str],
    out: Path,
    settings: RLSettings,
    *,
    step_format: StepFormat,
    resume: bool = False,
    validate: Validate | None = None,
    on_update: OnUpdate | None = None,
) -> Path:
    """Trains a policy on φ by GRPO (Algorithm 1, step 5) and saves it.

    Args:
        weights: Known name, Hub id or folder of the model to start from; the reference of the KL term too.
        model: The process over the training problems, with the step scorer and generated tests.
        task_ids: Problems to train on.
        out: Run folder.
        settings: See `RLSettings`.
        step_format: How steps are written.
        resume: Go on from the last checkpoint, if there is one.
        validate: Measures the policy every `validate_every` batches.
        on_update: Told of each batch.

    Returns:
        The folder of the trained model.

    Raises:
        UsageError: When there are fewer problems than a batch needs.
        O1CoderError: When `out` holds checkpoints and `resume` is false; when policy, scorer or judge fail;
            when the policy never writes a program. Checkpoints stay.
        WeightsError: When the model cannot be found.
    """
    if len(task_ids) < settings.problems:
        raise UsageError(f"a batch needs {settings.problems} problems, there are {len(task_ids)}")
    checkpoint = last_checkpoint(out / CHECKPOINTS, resume)
    loaded, tokenizer = load_weights(model_path(weights), settings.dtype)
    actor = Actor(loaded, tokenizer, step_format, settings.batch)
    project_completions_only()
    trainer = StepGRPOTrainer(
        settings,
        Sampler(settings, model, task_ids, actor),
        Monitor(settings, validate=validate, on_update=on_update),
        model=loaded,
        args=GRPOConfig(**_arguments(out, settings)),
        train_dataset=slots(settings),
        processing_class=tokenizer,
        peft_config=lora(settings.lora_rank),
    )
    trainer.remove_callback(PrinterCallback)
    with quiet():
        trainer.train(resume_from_checkpoint=checkpoint)
    save_merged(trainer.model, tokenizer, out / MODEL)
    return out / MODEL


def _arguments(out: Path, settings: RLSettings) -> dict[str, Any]:
    return {
        **common_arguments(out, settings),
        "max_steps": settings.updates * settings.iterations,
        "num_generations": settings.episodes,
        "scale_rewards": "group" if settings.credit == "outcome" else "batch",  # see `step_advantages`
        "shuffle_dataset": False,
        "gradient_accumulation_steps": settings.batch // settings.rows_at_once,
        "steps_per_generation": settings.batch // settings.rows_at_once,
        "num_iterations": settings.iterations,
        "epsilon": settings.clip,
        "temperature": settings.temperature,
        "save_steps": settings.save_every * settings.iterations,
    }
