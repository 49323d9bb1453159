"""One object that wires this project's problems into a TRL trainer, in the manner of TRL's own specs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.envs.settings import Settings, SharedJudge
from o1coder_gym.envs.trl.chains import Completion, read_texts
from o1coder_gym.envs.trl.columns import rows
from o1coder_gym.envs.trl.episodes import play
from o1coder_gym.envs.trl.tools import ReasoningTools, RewardingTools
from o1coder_gym.errors import MissingExtraError
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import Tests


class O1CoderSpec:
    """Data set, environment and reward for a trainer, over one problem set.

    The trainer sees public and given tests, never hidden ones.
    """

    def __init__(
        self,
        problems: str,
        *,
        split: str | None = None,
        format: str = "pseudocode",
        max_steps: int = 8,
        reward: str = "phi",
        alpha: float = 0.5,
        gamma: float = 0.9,
        scorer: str | None = None,
        tests: Mapping[str, Tests] | None = None,
        limit: int | None = None,
    ) -> None:
        """Reads the problems.

        Args:
            problems: Name or path of a problem set.
            split: Split of the set.
            format: Step format.
            max_steps: Steps per episode.
            reward: Mode, as of the environments: outcome, process, phi or phi_dense.
            alpha: α of φ.
            gamma: γ of φ.
            scorer: Step scorer, as of the environments.
            tests: Further tests by task id, e.g. generated ones.
            limit: First N problems only.

        Raises:
            UnknownNameError: When there is no such problem set, split, format or reward.
        """
        from o1coder_gym.prm import load_scorer
        from o1coder_gym.problems.loading import load_problems

        settings = Settings(
            problems, split, format, max_steps, reward, alpha=alpha, gamma=gamma, scorer=scorer
        )
        self._problems = load_problems(problems, split=split)[:limit]
        self._format = format
        self._tests = tests
        self._model = ReasoningModel(
            self._problems,
            SharedJudge(),
            format=load_format(format),
            max_steps=max_steps,
            reward=settings.reward_function(),
            scorer=load_scorer(scorer) if scorer else None,
            tests=tests,
        )

    @cached_property
    def train_dataset(self) -> Any:
        """A `datasets.Dataset` with a row per problem, see `envs.trl.rows`.

        Raises:
            MissingExtraError: When datasets is not installed.
        """
        try:
            from datasets import Dataset
        except ImportError as error:
            raise MissingExtraError("datasets", "train", error) from error
        steps = self._model.max_steps
        return Dataset.from_list(
            rows(self._problems, format=self._format, tests=self._tests, max_steps=steps)
        )

    @property
    def environment_factory(self) -> Callable[[], ReasoningTools]:
        """Makes an environment for one episode at a time."""
        return partial(ReasoningTools, self._model)

    @property
    def rewarding_environment_factory(self) -> Callable[[], ReasoningTools]:
        """Makes environments that own their reward, for AsyncGRPO: it hands none to reward functions.

        Give it with ``reward_funcs=[]``. It pickles, as AsyncGRPO's workers need it.
        """
        return partial(RewardingTools, self._model)

    @property
    def reward_funcs(self) -> list[Callable[..., list[float | None]]]:
        """One function, `episode_reward`."""
        return [self.episode_reward]

    def episode_reward(
        self, completions: Sequence[Completion], environments: Sequence[Any] | None = None, **columns: Any
    ) -> list[float | None]:
        """Returns the reward of each episode, played in an environment or written as one completion."""
        if environments is not None:
            return [environment.reward for environment in environments]
        texts = [read_texts(completion, self._model.format) for completion in completions]
        return [episode.reward for episode in play(self._model, columns["task_id"], texts)]
