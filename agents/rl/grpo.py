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
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from o1coder_gym.agents.rl.advantages import step_advantages
from o1coder_gym.agents.rl.credit import Scored, score_episodes, worth_of_success
from o1coder_gym.agents.rl.data_order import slots
from o1coder_gym.agents.rl.monitor import Monitor, OnUpdate, Validate, is_of_a_batch
from o1coder_gym.agents.rl.sampling.actors import Start
from o1coder_gym.agents.rl.sampling.making import make_actor
from o1coder_gym.agents.rl.sampling.mismatch import KL, importance_weights, mismatch
from o1coder_gym.agents.rl.sampling.sampler import Round, Sampler
from o1coder_gym.agents.rl.settings import RLSettings, common_arguments
from o1coder_gym.agents.rl.token_rows import parent_table
from o1coder_gym.errors import MissingExtraError, UsageError
from o1coder_gym.models.batches.projection import project_completions_only
from o1coder_gym.models.batches.shared_prefixes import share_prefixes
from o1coder_gym.models.checkpoints import load_weights, quiet, weight_type
from o1coder_gym.models.lookup import model_path
from o1coder_gym.models.training.arguments import lora
from o1coder_gym.models.training.assembly import Assembly, train
from o1coder_gym.models.training.settings import passes
from o1coder_gym.models.training.starting import provenance, trained_type
from o1coder_gym.problems.likeness.trained_on import keys_of
from o1coder_gym.runs import ranks
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.steps.formats import StepFormat
from o1coder_gym.types.protocols import Model

try:
    import torch
    from accelerate.utils import gather_object
    from trl import GRPOConfig, GRPOTrainer
    from trl.trainer import grpo_trainer
except ImportError as error:
    raise MissingExtraError("trl", "train", error) from error

_OF_TOKENS = ("clipped_ratio", "mean_terminated_length", "min_terminated_length", "max_terminated_length")
"""TRL's figures about the last token of a completion; steps end at a boundary, not at a token."""


_MEANS_OF_TOKENS = ("kl", "entropy", *(f"clip_ratio/{name}_mean" for name in ("low", "high", "region")))
"""TRL's figures that are means over the tokens of a forward pass."""
_EXTREMES = {"clip_ratio/low_min": min, "clip_ratio/high_max": max}
"""TRL's figures that are extremes over the episodes of a forward pass."""


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
        """Wires the trainer; nothing is trained yet.

        Args:
            settings: How to train.
            sampler: Samples episodes.
            monitor: Logs each batch, and stops a training without programs.
            **arguments: Of `trl.GRPOTrainer`.

        Raises:
            UsageError: When the model's layers do not attend by a mask.
        """
        if not share_prefixes(arguments["model"]):
            raise UsageError(
                f"{arguments['model'].name_or_path} cannot be trained step by step: a step may end "
                "differently from how the text continues, and its layers take no attention mask for that"
            )
        self.scored: list[Scored] = []
        self._settings = settings
        self._sampler = sampler
        self._monitor = monitor
        # Filled by `sample` and read by `reward` and `advantages`: TRL calls the three one after the other,
        # and passes only text and tensors between them.
        self._round = Round((), ())
        self._likely = torch.empty(0, 0)
        self._parents = torch.empty(0, 0, dtype=torch.long)
        # Custom rollouts are experimental in TRL, which says so at each start.
        os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
        # φ is computed in Python of the episodes; TRL sees one reward function and our rollouts.
        with quiet():  # it loads the model that training starts from once more
            super().__init__(rollout_func=self.sample, reward_funcs=[self.reward], **arguments)
        if self.ref_model is not None:
            # A model that shares no prefixes would take a branch for what comes before.
            share_prefixes(self.accelerator.unwrap_model(self.ref_model))

    def train(self, *arguments: Any, **named: Any) -> Any:
        """Trains; its metrics are those of the last batch. Then the sampler is closed."""
        try:
            outcome = super().train(*arguments, **named)
        finally:
            # Also when the training fails or is interrupted: servers and threads would live on.
            self._sampler.close()
        return outcome._replace(metrics=_last(self.state.log_history))

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Makes a batch for the loss: TRL calls `sample`, then `reward`, and we put in our `advantages`."""
        batch = super()._generate_and_score_completions(inputs)
        # TRL reads them off an end token, which steps need not have: the figures would be wrong.
        for name in _OF_TOKENS:
            self._metrics["train"].pop(f"completions/{name}", None)
        # Travels with the batch, so that TRL cuts it into forward passes like every other tensor.
        batch["parents"] = self._parents
        self._leave_out_unjudged(batch)
        if self._settings.credit != "outcome":
            batch["advantages"] = self.advantages(batch["completion_ids"])
        # Last, on whatever advantages there are: the weight of a token multiplies its advantage, see
        # `importance_weights`.
        if self._settings.importance_cap:
            weights = self.importance(batch)
            advantages = batch["advantages"]
            # [B, T]; TRL's own advantages are one per episode, [B].
            batch["advantages"] = weights * (advantages if advantages.dim() == 2 else advantages[:, None])
        return batch

    def _leave_out_unjudged(self, batch: dict[str, Any]) -> None:
        """Masks episodes without a reward: they are in no mean of the loss, and have no KL term."""
        # [B, 1], so that it multiplies the mask [B, T].
        judged = [[int(one.judged)] for one in self.scored]
        mask = batch["tool_mask"]
        batch["tool_mask"] = mask * torch.tensor(judged, device=mask.device)
        # The loss is divided by the tokens that are learned from, of all ranks: TRL counted those of masked
        # episodes too.
        learned: Any = self.accelerator.gather((batch["completion_mask"] * batch["tool_mask"]).sum())
        batch["num_items_in_batch"] = learned.sum()

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """Leaves the episodes of a problem side by side, so that a forward pass computes their prompt once.

        TRL shuffles a batch before it cuts it into forward passes, which make one optimizer step together.
        """
        with patch.object(grpo_trainer, "shuffle_sequence_dict", lambda batch: batch):
            return super()._prepare_inputs(generation_batch)

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Computes TRL's loss of a part of the batch."""
        # A forward pass has a part of the batch, and its rows' parents came with it.
        self._parents = inputs["parents"]
        loss = super()._compute_loss(model, inputs)
        self._join_passes(inputs)
        # Later ones of the `iterations` steps on a batch see a policy that has learned from it. Samplers tell
        # log-probabilities at a temperature of 1, TRL computes those at the one of sampling.
        first = self.state.global_step % self._settings.iterations == 0
        if first and self._settings.temperature == 1.0:
            self._note_mismatch(self._likely, inputs)
        return loss

    def _get_per_token_logps_and_entropies(self, model: Any, *arguments: Any, **named: Any) -> Any:
        """Computes likelihoods as TRL does, of each token after those that it was sampled after."""
        parents = self._parents
        # [T]; where no row has a branch, the ordinary causal mask says the same.
        plain = torch.arange(-1, parents.shape[1] - 1, device=parents.device)
        if not torch.equal(parents, plain.expand_as(parents)):
            model = PathModel(model, parents)
        found = super()._get_per_token_logps_and_entropies(model, *arguments, **named)
        self._likely = found[0].detach()
        return found

    def sample(self, prompts: Sequence[str], trainer: Any = None) -> dict[str, Any]:
        """Samples an episode for each prompt, which is the number of a slot (TRL's ``rollout_func``)."""
        if not self.scored:
            # First batch of this process: a resumed run reads the log of its checkpoint first.
            for watcher in (self._sampler, self._monitor):
                watcher.recall(self.state.log_history)
        learner = self.accelerator.unwrap_model(self.model)
        # A prompt of TRL is one text, an episode has one per step: so its "prompt" only says whose episode it
        # is.
        slots = [int(slot) for slot in prompts]
        self._round = self._sampler.sample(
            slots, self.state.global_step, learner, self.accelerator.process_index
        )
        rows = self._round.rows
        # T of this batch; TRL pads the completions to the same width.
        width = max(len(row.completion_ids) for row in rows)
        self._parents = parent_table(rows, width).to(self.accelerator.device)
        return {
            "prompt_ids": [list(row.prompt_ids) for row in rows],
            "completion_ids": [list(row.completion_ids) for row in rows],
            "logprobs": [list(row.logprobs) for row in rows],
            # 0 for text that the format put in: no loss, for the policy did not choose it.
            "env_mask": [[int(step >= 0) for step in row.step_of] for row in rows],
        }

    def reward(self, completions: Sequence[str], log_metric: Any, **columns: Any) -> list[float | None]:
        """Returns φ or R of each episode, None where the judge failed (a reward function of TRL)."""
        t = self.state.global_step
        self.scored = score_episodes(self._round.episodes, self._round.rows, self._settings, t)
        whole = gather_object(self.scored)  # what is logged is of the batch, whichever process sampled it
        newest = partial(self._sampler.newest, t, self.accelerator.unwrap_model(self.model))
        watched = self._monitor.watch(whole, t, newest, self._sampler.figures)
        for name, value in watched.items():
            if not math.isnan(value):
                log_metric(name, value)
        return [one.reward if one.judged else None for one in self.scored]

    def advantages(self, completion_ids: torch.Tensor) -> torch.Tensor:
        """Returns the advantage of each token's step, ``[B, T]``; 0 for text that was not sampled."""
        own = self.scored
        # A group may be spread over processes, so its means need the returns of all of them.
        returns = gather_object([scored.returns for scored in own])
        settings = self._settings
        gap = worth_of_success(settings, self.state.global_step)
        if settings.credit == "step" and settings.reward is None:
            found = step_advantages(returns, settings.episodes, gap)
        else:  # one number an episode, however many steps it has
            whole = step_advantages([steps[:1] for steps in returns], settings.episodes, gap)
            found = [one * len(steps) for one, steps in zip(whole, returns, strict=True)]
        # This process has rows [first, first + B) of what was gathered.
        first = self.accelerator.process_index * len(own)
        # [B, T]; a token has the advantage of the step that it was sampled in.
        table = torch.zeros(completion_ids.shape, device=completion_ids.device)
        for row, (scored, advantages) in enumerate(zip(own, found[first : first + len(own)], strict=True)):
            for place, step in enumerate(scored.row.step_of):
                if step >= 0:
                    table[row, place] = advantages[step]
        return table

    def importance(self, batch: dict[str, Any]) -> torch.Tensor:
        """Returns the weights of `importance_weights`, [B, T].

        Engine and trainer round differently, most of all in bfloat16 or on other hardware, and a sampler that
        is ahead has older weights, so that the samples are not quite of the policy in training.
        """
        if "old_per_token_logps" not in batch:
            # π_θold: the policy as it is before the first step on this batch, so no gradient.
            with torch.no_grad():
                batch["old_per_token_logps"] = self._likelihoods(batch)
        # [B, T] each: log π_trainer, log π_sampler, and 1 where a token was sampled.
        likely, sampled, mask = self._sides(batch["old_per_token_logps"], batch)
        return importance_weights(likely, sampled, mask, self._settings.importance_cap)

    def _join_passes(self, batch: dict[str, Any]) -> None:
        """Makes what TRL has just logged of a forward pass a part of the figures of the whole batch.

        TRL averages the figures of the passes, means and extremes alike, so that a token counted more in a
        pass with fewer, and the curve depended on the rows at once and on the number of processes.
        """
        weight = cast(torch.Tensor, self.accelerator.gather(self._share_of_tokens(batch))).sum().item()
        logged = self._metrics["train"]
        for name in _MEANS_OF_TOKENS:
            if name in logged:
                logged[name][-1] *= weight
        for name, extreme in _EXTREMES.items():
            # NaN of a pass without a judged episode.
            if known := [value for value in logged.get(name, ()) if not math.isnan(value)]:
                logged[name][:] = [extreme(known)]

    def _share_of_tokens(self, batch: dict[str, Any]) -> torch.Tensor:
        """Returns the learned tokens of a rank's pass, in units of the mean over the passes of a step."""
        tokens = (batch["completion_mask"] * batch["tool_mask"]).sum()
        # As TRL's own loss: outside of a training a batch is not cut into passes.
        assert self.model is not None, "TRL makes it"
        passes = self.current_gradient_accumulation_steps if self.model.training else 1
        # Of all ranks; 0 where no episode could be judged.
        return tokens * passes / batch["num_items_in_batch"].clamp(min=1)

    def _note_mismatch(self, likely: torch.Tensor, batch: dict[str, Any]) -> None:
        """Logs how far the sampler of a batch is from the policy in training."""
        for name, value in mismatch(*self._sides(likely, batch)).items():
            logged = self._metrics["train"][name]
            # TRL logs the mean of what is here, once an optimizer step: see `_join_passes`.
            part = value * self._share_of_tokens(batch) if name == KL else value
            parts = cast(torch.Tensor, self.accelerator.gather(part))  # [ranks]
            logged[:] = [*logged, parts.sum().item()] if name == KL else [max([*logged, parts.max().item()])]

    def _sides(self, likely: torch.Tensor, batch: dict[str, Any]) -> tuple[torch.Tensor, ...]:
        """Returns log-probabilities of trainer and sampler, and which tokens were sampled, [B, T] each."""
        mask = batch["completion_mask"] * batch["tool_mask"]
        return likely, batch["sampling_per_token_logps"], mask

    def _likelihoods(self, batch: dict[str, Any]) -> torch.Tensor:
        """Returns the log-probability of each token under the policy in training, [B, T]."""
        ids, mask = (
            torch.cat([batch[f"prompt_{name}"], batch[f"completion_{name}"]], dim=1)
            for name in ("ids", "mask")
        )
        width, rows = batch["completion_ids"].shape[1], self._settings.rows_at_once
        return self._get_per_token_logps_and_entropies(self.model, ids, mask, width, rows)[0]


class PathModel:
    """A model that shows each token only those that it was sampled after. Called once per row of a batch."""

    def __init__(self, model: Any, parents: torch.Tensor) -> None:
        """Wraps a model.

        Args:
            model: A model that shares prefixes.
            parents: Parents of the rows of all later calls, in order, [B, T].
        """
        self._model = model
        self._parents = parents
        self._done = 0

    def __call__(self, *, attention_mask: torch.Tensor, **inputs: Any) -> Any:
        """Calls the model on the next rows."""
        rows = self._parents[self._done : self._done + len(attention_mask)]
        # TRL cuts the rows into several calls, in order; each call takes the parents of its own.
        self._done += len(rows)
        return self._model(attention_mask=attention_mask, parents=rows, **inputs)


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

    Ranks, the processes of ``torchrun`` or ``accelerate launch``, share each batch of episodes; episodes,
    advantages and curve are those of one process.

    Args:
        weights: Known name, Hub id or folder of the model to start from; the reference of the KL term too.
        model: The process over the training problems, with the step scorer and generated tests.
        task_ids: Problems to train on.
        out: Run folder.
        settings: See `RLSettings`.
        step_format: How steps are written.
        resume: Go on from the last checkpoint, if there is one.
        validate: Measures the policy every `validate_every` batches.
        on_update: Called with each batch, in the first rank.

    Returns:
        The folder of the trained model, which is there when the first rank has returned.

    Raises:
        UsageError: When there are fewer problems than a batch needs, a batch cannot be shared by the ranks,
            or they were given different things.
        O1CoderError: When `out` holds checkpoints and `resume` is false, or those of a training of another
            model, on other problems or with other settings; when policy, scorer or judge fail; when the
            policy never writes a program. Checkpoints stay.
        WeightsError: When the model cannot be found.
    """
    settings.check_problems(len(task_ids))
    if ranks.are_sharded():
        raise UsageError(
            "rl policy samples with all weights on each device, and FSDP spreads them; launch it by "
            "torchrun, or with zero2.yaml"
        )
    made = provenance("rl policy", weights, content_hash(list(task_ids)), settings.to_row())
    monitor = Monitor(settings, validate=validate, on_update=on_update if ranks.is_first() else None)
    training = Assembly(
        made=made,
        out=out,
        resume=resume,
        assemble=partial(_assembled, weights, model, task_ids, out, settings, step_format, monitor),
        keys=keys_of(map(model.problem, task_ids)),
    )
    return train(training).model


def _assembled(
    weights: str,
    model: Model,
    task_ids: Sequence[str],
    out: Path,
    settings: RLSettings,
    step_format: StepFormat,
    monitor: Monitor,
    checkpoint: str | None,
) -> tuple[StepGRPOTrainer, dict[str, Any]]:
    """Makes the trainer over a policy in training and its actor."""
    loaded, tokenizer = load_weights(model_path(weights), trained_type(settings), settings.template_arguments)
    start = Start(
        folder=str(model_path(weights)),
        model=loaded,
        tokenizer=tokenizer,
        step_format=step_format,
        dtype=weight_type(settings.dtype),
        lora_rank=settings.lora_rank,
        rows=settings.batch,
        template_arguments=settings.template_arguments,
    )
    actor = make_actor(settings.sampler, start, sleeps=not settings.staleness)
    sampler = Sampler(settings, model, task_ids, actor)
    project_completions_only()
    trainer = StepGRPOTrainer(
        settings,
        sampler,
        monitor,
        model=loaded,
        args=GRPOConfig(**_arguments(out, settings)),
        train_dataset=slots(settings),
        processing_class=tokenizer,
        peft_config=lora(settings.lora_rank, checkpoint),
    )
    return trainer, {}


def _last(history: Sequence[dict[str, float]]) -> dict[str, float]:
    """Returns the logged figures of the last batch."""
    return next((row for row in reversed(history) if is_of_a_batch(row)), {})


def _arguments(out: Path, settings: RLSettings) -> dict[str, Any]:
    parts = passes(settings.batch, settings.rows_at_once, "episodes")
    return {
        **common_arguments(out, settings),
        # `iterations` optimizer steps on each of `updates` batches.
        "max_steps": settings.updates * settings.iterations,
        "num_generations": settings.episodes,
        "scale_rewards": "group" if settings.credit == "outcome" else "batch",  # see `step_advantages`
        "shuffle_dataset": False,
        # Likelihoods are those of the policy that sampled, which has none; TRL does so in DPO by itself.
        "disable_dropout": True,
        # One optimizer step per batch, whatever fits into a forward pass; so results do not depend on
        # rows_at_once.
        "gradient_accumulation_steps": parts,
        "steps_per_generation": parts,
        "num_iterations": settings.iterations,
        "epsilon": settings.clip,
        "temperature": settings.temperature,
        "save_steps": settings.save_every * settings.iterations,
    }
