"""One object that wires this project's problems into a TRL trainer, in the manner of TRL's own specs.

    spec = O1CoderSpec("mbpp", split="train")
    GRPOTrainer(
        model,
        reward_funcs=spec.reward_funcs,
        train_dataset=spec.train_dataset,
        environment_factory=spec.environment_factory,
    )

With the environment the model takes its steps as tool calls and is told after each what came of it; its chat
template must know tools. Without ``environment_factory`` the completion is read as a whole chain of steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.envs.settings import Settings, SharedJudge
from o1coder_gym.errors import MissingExtraError
from o1coder_gym.rewards import trl
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import Outcome, State, Tests


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
        """A `datasets.Dataset` with a row per problem, see `rewards.trl.rows`.

        Raises:
            MissingExtraError: When datasets is not installed.
        """
        try:
            from datasets import Dataset
        except ImportError as error:
            raise MissingExtraError("datasets", "train") from error
        return Dataset.from_list(trl.rows(self._problems, format=self._format, tests=self._tests))

    @property
    def environment_factory(self) -> Callable[[], ReasoningTools]:
        """Makes an environment for one episode at a time."""
        return lambda: ReasoningTools(self._model)

    @property
    def reward_funcs(self) -> list[Callable[..., list[float | None]]]:
        """One function, `episode_reward`."""
        return [self.episode_reward]

    def episode_reward(
        self, completions: Sequence[trl.Completion], environments: Sequence[Any] | None = None, **columns: Any
    ) -> list[float | None]:
        """Returns the reward of each episode, whether it was played in an environment or written down."""
        if environments is not None:
            return [environment.reward for environment in environments]
        played = [ReasoningTools(self._model) for _ in completions]
        for tools, task_id, completion in zip(played, columns["task_id"], completions, strict=True):
            tools.reset(task_id=task_id)
            for step in trl.read_texts(completion, self._model.format):
                tools.step(step)
        return [tools.reward for tools in played]


class ReasoningTools:
    """The process as a tool for a language model: one episode, moved on by `step`."""

    def __init__(self, model: ReasoningModel) -> None:
        """Args: the process, shared by all environments of a spec."""
        self._model = model
        self._state = State("")
        self._rewards: list[float] = []
        self._untested = False
        self._over = True

    def reset(self, task_id: str, **columns: Any) -> None:
        """Begins an episode; the question is in the prompt already."""
        self._state = self._model.initial(task_id)
        self._rewards = []
        self._untested = False
        self._over = False

    def step(self, action: str) -> str:
        """Take one reasoning step: define, refine, or write the final code.

        Args:
            action: The step with its header, such as "### Step 1 (define)" and its text.

        Returns:
            What came of it.
        """
        if self._over:
            return "The episode is over."
        (transition,) = self._model.advance([(self._state, action)])
        self._state = transition.state
        self._rewards.append(transition.reward)
        self._untested = transition.verdict is not None and transition.verdict.outcome is Outcome.NO_TESTS
        self._over = transition.done
        return transition.feedback or "Go on."

    @property
    def reward(self) -> float | None:
        """The sum of the rewards so far; None where the judge failed or had no tests, which TRL masks."""
        total = math.fsum(self._rewards) if self._rewards else 0.0
        return None if self._untested or math.isnan(total) else total
