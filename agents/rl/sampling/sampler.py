"""The sampler: draws the episodes of a batch with the policy in training, now or ahead of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from o1coder_gym.agents.rl.data_order import batch_problems
from o1coder_gym.agents.rl.episodes import Episode, TokenRow, sample_episodes, token_row
from o1coder_gym.agents.rl.sampling.actors import Actor
from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import PolicyError
from o1coder_gym.policies import LanguageModelPolicy
from o1coder_gym.policies.vllm import OwnThread
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.types.protocols import Model

_LATE = "sampling/late_episodes"
"""Logged: episodes so far that were dropped, since the weights that sampled them were too old."""


@dataclass(frozen=True, slots=True)
class Round:
    """A sampled batch of episodes.

    Attributes:
        episodes: B of them.
        rows: Their tokens.
    """

    episodes: Sequence[Episode]
    rows: Sequence[TokenRow]


class Sampler:
    """Samples episodes. They depend on the weights, the seed and the clock t alone.

    Synchronous: batch b comes from weights that have learned from b batches. With a `staleness` of K, up to K
    batches are sampled in a thread while the trainer learns. When it takes the last of them, the weights of
    then sample the next K. So batch b comes from weights of version b − K … b − 1, in the same order on
    every machine and in all processes, and no weights change while they sample.
    """

    def __init__(self, settings: RLSettings, model: Model, task_ids: Sequence[str], actor: Actor) -> None:
        """Prepares to sample.

        Args:
            settings: How to train.
            model: The process, with the scorer and the tests of the training.
            task_ids: Its training problems.
            actor: Samples with the policy's weights.
        """
        self._settings = settings
        self._model = model
        self._task_ids = task_ids
        self._actor = actor
        self._ahead: dict[int, Future[Round]] = {}
        self._thread = OwnThread("sampler")
        self._held: int | None = None  # version of the actor's weights
        self._lag = 0.0
        self._late = 0

    @property
    def policy(self) -> LanguageModelPolicy:
        """The policy as of the last refresh; with `staleness` its weights may be old, see `newest`."""
        return self._actor.policy

    @property
    def figures(self) -> dict[str, float]:
        """Figures to log: how many batches old the last episodes' weights are, and late episodes so far."""
        return {"sampling/versions_behind": self._lag, _LATE: float(self._late)}

    def recall(self, history: Sequence[Mapping[str, float]]) -> None:
        """Continues the count of late episodes from the log of an earlier part of the run.

        Args:
            history: The rows of the trainer's log, in order; those without the count are passed over.
        """
        self._late = next((int(row[_LATE]) for row in reversed(history) if _LATE in row), 0)

    def sample(self, slots: Sequence[int], t: int, learner: Any, process: int) -> Round:
        """Samples one episode for each slot of a batch.

        Args:
            slots: B numbers of problems in the batch; a group has G equal ones. Those of all batches are
                equal.
            t: Optimizer steps so far.
            learner: The model in training, plain or wrapped by PEFT.
            process: Rank of this process, which samples the part of a batch that comes so many parts later.
                Episodes do not depend on how many processes there are.

        Raises:
            PolicyError: When its actor keeps to other weights than it was given.
        """
        # t counts optimizer steps, `iterations` of them on each batch.
        batch = t // self._settings.iterations
        # Sampled ahead by an earlier call, or None: then the batch is sampled now.
        waiting = self._ahead.pop(batch, None)
        fresh = partial(self._fresh, batch, slots, learner, process)
        found = waiting.result() if waiting is not None else fresh()
        if self._count_late(found, batch):
            begun = self._give_up_ahead()
            self._thread.call(lambda: None)  # what has begun samples to its end, with the weights of now
            for later, given_up in begun.items():
                if given_up.exception() is None:
                    self._count_late(given_up.result(), later)
            found = fresh()
            if self._count_late(found, batch):
                raise PolicyError(
                    f"batch {batch} was sampled twice, both times with weights that are not the policy's; "
                    "does another training use the sampler?"
                )
        self._lag = sum(batch - one.version for one in found.episodes) / len(found.episodes)
        # The last batch that was ahead is taken, so nothing samples with the actor's weights any more: they
        # may change.
        if not self._ahead:
            self._sample_ahead(batch, slots, learner, process)
        return found

    def newest(self, t: int, learner: Any) -> LanguageModelPolicy:
        """Returns the policy with the weights of now, to be measured; all ranks call it.

        Batches that are being sampled ahead are finished first, for they share the weights.

        Args:
            t: Optimizer steps so far.
            learner: The model in training.
        """
        batch = t // self._settings.iterations
        if self._held != batch:
            for waiting in self._ahead.values():
                waiting.exception()  # which is raised where the batch is needed
            self._refresh(learner, batch)
        return self.policy

    def close(self) -> None:
        """Drops batches sampled ahead, and closes the actor."""
        self._give_up_ahead()
        self._actor.close()

    def _give_up_ahead(self) -> dict[int, Future[Round]]:
        """Cancels the batches that are to be sampled ahead; returns those that have begun, by number."""
        begun = {batch: waiting for batch, waiting in self._ahead.items() if not waiting.cancel()}
        self._ahead.clear()
        return begun

    def _fresh(self, batch: int, slots: Sequence[int], learner: Any, process: int) -> Round:
        """Samples a batch with the current weights."""
        self._refresh(learner, batch)
        return self._draw(batch, slots, process)

    def _refresh(self, learner: Any, version: int) -> None:
        self._actor.refresh(learner, version)
        self._held = version

    def _sample_ahead(self, batch: int, slots: Sequence[int], learner: Any, process: int) -> None:
        """Begins the batches after one, with the current weights."""
        # No batch beyond the last update: nobody would learn from it.
        last = min(batch + self._settings.staleness, self._settings.updates - 1)
        if last > batch and self._held != batch:
            self._refresh(learner, batch)
        for later in range(batch + 1, last + 1):
            # One thread, so the batches come in order, each with the same weights.
            self._ahead[later] = self._thread.submit(partial(self._draw, later, slots, process))

    def _draw(self, batch: int, slots: Sequence[int], process: int) -> Round:
        """Samples a batch with the weights that the actor has."""
        settings = self._settings
        problems = batch_problems(self._task_ids, settings.problems, batch, settings.seed)
        # A run that was resumed lacks the earlier scores, so one that was not must not lean on them.
        forget = getattr(self._model, "forget_scores", None)
        if forget is not None:
            forget()
        # of all ranks
        seed = derive_stream(settings.seed, "batch", str(batch * settings.iterations), "0")

        def draw(policy: LanguageModelPolicy) -> list[Episode]:
            return sample_episodes(
                self._model,
                policy,
                [problems[slot] for slot in slots],
                sampling=settings.sampling,
                seed=seed,
                first=process * len(slots),
            )

        episodes = self._actor.sample(draw)
        return Round(episodes, [token_row(self.policy, episode) for episode in episodes])

    def _count_late(self, found: Round, batch: int) -> int:
        """Counts the episodes whose weights are too old; one of them spoils the batch, which is dropped."""
        late = sum(batch - one.version > self._settings.staleness for one in found.episodes)
        self._late += late
        return late
