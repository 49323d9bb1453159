"""The process as a tool that a language model calls, in the manner of TRL's environments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.envs.trl.episodes import Episode


class ReasoningTools:
    """The process as a tool for a language model: one episode, moved on by `step`."""

    def __init__(self, model: ReasoningModel) -> None:
        """Args: the process, shared by all environments of a spec."""
        self._model = model
        self._episode: Episode | None = None

    def reset(self, task_id: str, **columns: Any) -> None:
        """Begins an episode; the question is in the prompt already."""
        self._episode = Episode(self._model.initial(task_id))

    def step(self, action: str) -> str:
        """Take one reasoning step: define, refine, or write the final code.

        Args:
            action: The step with its header, such as "### Step 1 (define)" and its text.

        Returns:
            What came of it.
        """
        episode = self._episode
        if episode is None or episode.over:
            return "The episode is over."
        (transition,) = self._model.advance([(episode.state, action)])
        episode.state = transition.state
        episode.transitions.append(transition)
        return transition.feedback or "Go on."

    @property
    def reward(self) -> float | None:
        """The sum of the rewards, if the episode ends here; None where the judge failed or had no tests."""
        episode = self._episode
        if episode is None:
            return 0.0
        stop = None if episode.over else self._model.stopped([episode.state])[0]
        return replace(episode, stop=stop).reward


class RewardingTools(ReasoningTools):
    """An episode that pays its own reward."""

    def get_reward(self) -> float | None:
        """Returns `reward`; the trainer calls it when the episode has ended."""
        return self.reward
