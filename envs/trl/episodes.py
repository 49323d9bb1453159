"""Plays whole chains of steps; they earn what an environment pays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.rewards import Reward
from o1coder_gym.types import Outcome, State, Transition


@dataclass(slots=True)
class Episode:
    """An episode that is played. Mutable.

    Attributes:
        state: Where it is.
        transitions: So far.
        stop: Reward of the last step if nothing follows; None once the episode has ended.
    """

    state: State
    transitions: list[Transition] = field(default_factory=list)
    stop: Reward | None = None

    @property
    def over(self) -> bool:
        """Whether no step can follow."""
        return bool(self.transitions) and self.transitions[-1].done

    @property
    def terms(self) -> Mapping[str, float]:
        """The reward terms of its end."""
        return self.stop.terms if self.stop is not None else self.transitions[-1].reward_terms

    @property
    def reward(self) -> float | None:
        """The sum of its rewards; None where the judge failed or had no tests, which trainers mask."""
        rewards = [transition.reward for transition in self.transitions]
        if self.stop is not None:
            # In place of the last reward, which was paid when the episode could still continue.
            rewards[-1:] = [self.stop.value]
        total = math.fsum(rewards)
        verdict = self.transitions[-1].verdict if self.transitions else None
        untested = verdict is not None and verdict.outcome is Outcome.NO_TESTS
        return None if untested or math.isnan(total) else total


def play(model: ReasoningModel, task_ids: Sequence[str], texts: Sequence[Sequence[str]]) -> list[Episode]:
    """Plays whole chains, all at once.

    Args:
        model: The process.
        task_ids: A problem of each chain, [B].
        texts: Its steps; those behind the end of the episode are not played, [B].

    Returns:
        B episodes; one whose steps do not come to an end is stopped.
    """
    episodes = [Episode(model.initial(task_id)) for task_id in task_ids]
    waiting = [list(reversed(steps)) for steps in texts]
    while active := [
        (episode, steps)
        for episode, steps in zip(episodes, waiting, strict=True)
        if steps and not episode.over
    ]:
        transitions = model.advance([(episode.state, steps.pop()) for episode, steps in active])
        for (episode, _), transition in zip(active, transitions, strict=True):
            episode.state = transition.state
            episode.transitions.append(transition)
    stopped = [episode for episode in episodes if not episode.over]
    for episode, reward in zip(stopped, model.stopped([one.state for one in stopped]), strict=True):
        episode.stop = reward
    return episodes
