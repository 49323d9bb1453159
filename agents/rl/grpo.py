"""RL on the policy's weights (Algorithm 1, step 5): GRPO and PPO-clip with credit for each reasoning step.

TRL's GRPOTrainer does the optimisation; its `_compute_loss` takes advantages per token, `[B, T]`, and
``iterations > 1`` gives PPO's ratio and clip. What is ours: episodes are sampled through the driver, as in
search and evaluation, and `_generate_and_score_completions` gives each token the advantage of its step.

A run folder holds ``checkpoints/`` (with TensorBoard logs) and, when it is done, ``model/``.

Shapes: B episodes of a batch, T tokens of a completion, m steps of an episode.
"""

from __future__ import annotations

import math
import os
import random
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o1coder_gym.agents.rl.actor import Actor
from o1coder_gym.agents.rl.advantages import divergence, step_advantages, step_returns
from o1coder_gym.agents.rl.episodes import Episode, TokenRow, metrics, sample_episodes, token_row
from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import MissingExtraError, O1CoderError, UsageError
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
from o1coder_gym.protocols import Model, Policy
from o1coder_gym.rewards import load_schedule, phi, process_return
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.steps.formats import StepFormat

try:
    import torch
    from accelerate.utils import gather_object
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import GRPOConfig, GRPOTrainer
except ImportError as error:
    raise MissingExtraError("trl", "train") from error
from o1coder_gym.agents.rl.settings import common_arguments
from o1coder_gym.models.trainers import lora

PATIENCE = 3
"""Batches in a row without a single program, after which training ends."""
HACKING = 0.05
"""Divergence of process reward and pass rate that is warned of."""

OnUpdate = Callable[[int, dict[str, float]], None]
"""Told of each batch of episodes: optimizer steps so far, and its metrics."""
Validate = Callable[[Policy], dict[str, float]]
"""Measures a policy on held-out problems, e.g. ``{"pass_rate": 0.4}``."""


@dataclass(frozen=True, slots=True)
class Scored:
    """An episode with its tokens and rewards.

    Attributes:
        episode: As it was sampled.
        row: Its tokens.
        reward: φ or R, by the setting `credit`; NaN where the judge failed.
        returns: G_1 … G_m; equal to the reward in every step unless credit is given by step.
    """

    episode: Episode
    row: TokenRow
    reward: float
    returns: tuple[float, ...]


class StepGRPOTrainer(GRPOTrainer):
    """GRPOTrainer whose advantages are those of reasoning steps."""

    def __init__(self, sampler: Sampler, **arguments: Any) -> None:
        """Args: what samples and scores episodes, the arguments of GRPOTrainer."""
        self._sampler = sampler
        os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
        super().__init__(rollout_func=sampler.rollout, reward_funcs=[sampler.reward], **arguments)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Replaces one advantage per episode, ``[B]``, by one per token, ``[B, T]``."""
        output = super()._generate_and_score_completions(inputs)
        for name in (
            "clipped_ratio",
            "mean_terminated_length",
            "min_terminated_length",
            "max_terminated_length",
        ):
            self._metrics["train"].pop(f"completions/{name}", None)  # steps end at a boundary, not at a token
        if self._sampler.settings.credit == "step":
            output["advantages"] = self._token_advantages(output["completion_ids"])
        return output

    def _token_advantages(self, completion_ids: torch.Tensor) -> torch.Tensor:
        """Returns advantages like `completion_ids`; groups may be spread over processes."""
        own = self._sampler.scored
        returns = gather_object([scored.returns for scored in own])
        found = step_advantages(returns, self._sampler.settings.episodes)
        first = self.accelerator.process_index * len(own)
        table = torch.zeros(completion_ids.shape, device=completion_ids.device)
        for row, (scored, advantages) in enumerate(zip(own, found[first : first + len(own)], strict=True)):
            for place, step in enumerate(scored.row.step_of):
                if step >= 0:
                    table[row, place] = advantages[step]
        return table


class Sampler:
    """Samples and scores the episodes of each batch. Mutable: holds the last batch, and counts."""

    def __init__(
        self,
        settings: RLSettings,
        model: Model,
        task_ids: Sequence[str],
        actor: Actor,
        *,
        validate: Validate | None = None,
        on_update: OnUpdate | None = None,
    ) -> None:
        """Args: how to train, the process with scorer and tests, its training problems, who samples."""
        self.settings = settings
        self.scored: list[Scored] = []
        self._model = model
        self._task_ids = task_ids
        self._actor = actor
        self._validate = validate
        self._on_update = on_update
        self._alpha = load_schedule(settings.alpha)
        self._without_code = 0
        self._history: dict[str, list[float]] = defaultdict(list)
        self._log: dict[str, float] = {}

    def rollout(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        """Samples an episode for each prompt, which is the number of a slot (TRL's ``rollout_func``).

        Which problem a slot stands for depends on the seed and the batch alone, whatever order TRL's data
        loader has after a resume.
        """
        t = trainer.state.global_step
        settings = self.settings
        batch = batch_problems(self._task_ids, settings.problems, t // settings.iterations, settings.seed)
        task_ids = [batch[int(slot)] for slot in prompts]
        self._actor.refresh(trainer.accelerator.unwrap_model(trainer.model))
        # A run that was resumed lacks the earlier scores, so one that was not must not lean on them.
        forget = getattr(self._model, "forget_scores", None)
        if forget is not None:
            forget()
        seed = derive_stream(settings.seed, "batch", str(t), str(trainer.accelerator.process_index))
        policy = self._actor.policy
        episodes = sample_episodes(self._model, policy, task_ids, sampling=settings.sampling, seed=seed)
        self.scored = [self._score(episode, token_row(policy, episode), t) for episode in episodes]
        self._log = self._measure(t)
        if self._on_update is not None:
            self._on_update(t, self._log)
        rows = [scored.row for scored in self.scored]
        return {
            "prompt_ids": [list(row.prompt_ids) for row in rows],
            "completion_ids": [list(row.completion_ids) for row in rows],
            "logprobs": None,
            "env_mask": [[int(step >= 0) for step in row.step_of] for row in rows],
        }

    def reward(self, completions: Sequence[str], log_metric: Any, **columns: Any) -> list[float | None]:
        """Returns φ or R of the last batch, None where the judge failed (a reward function of TRL)."""
        for name, value in self._log.items():
            if not math.isnan(value):
                log_metric(name, value)
        return [None if math.isnan(scored.reward) else scored.reward for scored in self.scored]

    def _score(self, episode: Episode, row: TokenRow, t: int) -> Scored:
        settings, process = self.settings, episode.process
        outcome = episode.outcome(settings.tau_pass, settings.tau_fail, fractional=settings.fractional)
        alpha = 1.0 if settings.credit == "outcome" else self._alpha(t)
        reward = phi(outcome, process, alpha, settings.gamma)
        if settings.credit == "step":
            returns = step_returns(outcome, process, alpha, settings.gamma)
        else:
            returns = (reward,) * len(process)
        return Scored(episode, row, reward, returns)

    def _measure(self, t: int) -> dict[str, float]:
        """Returns what is logged of the last batch; ends a training that cannot learn anything."""
        episodes = [scored.episode for scored in self.scored]
        found = metrics(episodes)
        self._without_code = 0 if any(episode.committed for episode in episodes) else self._without_code + 1
        if self._without_code == PATIENCE:
            raise O1CoderError(
                f"the policy wrote no program in {PATIENCE} batches of {len(episodes)} episodes; "
                "train it on whole paths first (o1coder sft), or allow more steps or tokens"
            )
        log = {f"episodes/{name}": value for name, value in found.items()}
        log |= self._reward_terms(t)
        self._history["process"].append(found["process"])
        self._history["pass_rate"].append(found["pass_rate"])
        apart = divergence(self._history["process"], self._history["pass_rate"])
        log["monitor/divergence"] = apart
        if apart > HACKING:
            warnings.warn(
                f"update {t}: the process reward rises while the pass rate falls, by {apart:.2f}: "
                "the policy may be exploiting the PRM; train the PRM anew or raise α",
                stacklevel=2,
            )
        every = self.settings.validate_every * self.settings.iterations
        if self._validate is not None and every and t % every == 0:
            measured = self._validate(self._actor.policy)
            log |= {f"validation/{name}": value for name, value in measured.items()}
        return log

    def _reward_terms(self, t: int) -> dict[str, float]:
        settings = self.settings
        judged = [scored for scored in self.scored if not math.isnan(scored.reward)]
        outcomes = [
            one.episode.outcome(settings.tau_pass, settings.tau_fail, fractional=settings.fractional)
            for one in judged
        ]
        gains = [process_return(one.episode.process, settings.gamma) for one in judged]
        return {
            "reward_terms/alpha": 1.0 if settings.credit == "outcome" else self._alpha(t),
            "reward_terms/outcome": _mean(outcomes),
            "reward_terms/process_return": _mean(gains),
            "reward_terms/reward": _mean([one.reward for one in judged]),
        }


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
    """Trains a policy on φ and saves it.

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
    sampler = Sampler(
        settings,
        model,
        task_ids,
        Actor(loaded, tokenizer, step_format, settings.batch),
        validate=validate,
        on_update=on_update,
    )
    project_completions_only()
    trainer = StepGRPOTrainer(
        sampler,
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


def slots(settings: RLSettings) -> Dataset:
    """Returns TRL's data set: one prompt per problem of a batch, which the sampler fills."""
    return Dataset.from_list([{"prompt": str(slot)} for slot in range(settings.problems)])


def batch_problems(task_ids: Sequence[str], size: int, batch: int, seed: int) -> list[str]:
    """Returns the problems of a batch: all of them in one random order after the other, cut into batches."""
    chosen = []
    for place in range(batch * size, (batch + 1) * size):
        epoch, index = divmod(place, len(task_ids))
        order = random.Random(derive_stream(seed, "epoch", str(epoch))).sample(task_ids, len(task_ids))
        chosen.append(order[index])
    return chosen


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


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
