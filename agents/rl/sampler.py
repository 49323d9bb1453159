"""The sampler: draws the episodes of a batch with the policy in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from o1coder_gym.agents.rl.actor import Actor
from o1coder_gym.agents.rl.data_order import batch_problems
from o1coder_gym.agents.rl.episodes import Episode, TokenRow, sample_episodes, token_row
from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.policies import LanguageModelPolicy
from o1coder_gym.protocols import Model
from o1coder_gym.runs.seeds import derive_stream


class Sampler:
    """Samples episodes. They depend on the weights, the seed and the clock t alone."""

    def __init__(self, settings: RLSettings, model: Model, task_ids: Sequence[str], actor: Actor) -> None:
        """Prepares to sample.

        Args:
            settings: How to train.
            model: The process, with the scorer and the tests of the training.
            task_ids: Its training problems.
            actor: Samples with a copy of the policy.
        """
        self._settings = settings
        self._model = model
        self._task_ids = task_ids
        self._actor = actor

    @property
    def policy(self) -> LanguageModelPolicy:
        """The policy as it was when it last sampled."""
        return self._actor.policy

    def sample(self, slots: Sequence[int], t: int, learner: Any, process: int) -> list[Episode]:
        """Samples one episode for each slot of a batch, with the weights of now.

        Args:
            slots: B numbers of problems in the batch; a group has G equal ones.
            t: Optimizer steps so far.
            learner: The model in training, plain or wrapped by PEFT.
            process: Rank of this process, which samples the part of a batch that comes so many parts later.
                Episodes do not depend on how many processes there are.
        """
        settings = self._settings
        # t counts optimizer steps, `iterations` of them on each batch.
        batch = batch_problems(self._task_ids, settings.problems, t // settings.iterations, settings.seed)
        self._actor.refresh(learner)
        # A run that was resumed lacks the earlier scores, so one that was not must not lean on them.
        forget = getattr(self._model, "forget_scores", None)
        if forget is not None:
            forget()
        seed = derive_stream(settings.seed, "batch", str(t), "0")  # of all ranks
        return sample_episodes(
            self._model,
            self.policy,
            [batch[slot] for slot in slots],
            sampling=settings.sampling,
            seed=seed,
            first=process * len(slots),
        )

    def rows(self, episodes: Sequence[Episode]) -> list[TokenRow]:
        """Returns the tokens of episodes that were sampled just now."""
        return [token_row(self.policy, episode) for episode in episodes]
