"""The decision process as an OpenEnv environment: takes a step as text, returns its result; many sessions.

    O1CODER_PROBLEMS=mbpp O1CODER_SPLIT=train uvicorn o1coder_gym.adapters.openenv:app --factory

A masked step has no reward (null) and says so in its metadata. Needs openenv 0.10.
"""

from __future__ import annotations

import os
import random
from typing import Any

from openenv.core.env_server import (  # pyright: ignore[reportMissingImports]
    Action,
    Environment,
    Observation,
    State,
    create_app,
)
from pydantic import Field

from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.problems.loading import load_problems
from o1coder_gym.rewards import end_value
from o1coder_gym.sandbox import shared_judge
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import State as Chain
from o1coder_gym.types import Transition


class StepAction(Action):
    """One reasoning step, with its header; a program with format vanilla."""

    text: str = Field(..., description='e.g. "### Step 1 (define)\\n…"')


class StepObservation(Observation):
    """What an agent is shown."""

    question: str = ""
    steps: list[str] = Field(default_factory=list, description="the chain so far")
    feedback: str = Field("", description="on the last step")


class ChainState(State):
    """Where an episode is."""

    task_id: str = ""
    outcome: str | None = Field(None, description="of the committed program")


class O1CoderEnvironment(Environment[StepAction, StepObservation, ChainState]):
    """An episode over one problem; all sessions of a process share the judge's workers."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, model: ReasoningModel) -> None:
        """Args: the process; a handle, so that sessions share it."""
        super().__init__()
        self._model = model
        self._chain: Chain | None = None
        self._state = ChainState()
        self._over = True

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        task_id: str | None = None,
        **kwargs: Any,
    ) -> StepObservation:
        """Starts an episode on the problem `task_id`, or on one drawn with the seed.

        Raises:
            UnknownNameError: When there is no such problem, or an argument is not known.
            UsageError: When one is of the wrong type.
        """
        if kwargs:
            raise UnknownNameError("argument of reset", next(iter(kwargs)), ("seed", "episode_id", "task_id"))
        for name, value, kind in (("seed", seed, int), ("task_id", task_id, str)):
            if value is not None and not isinstance(value, kind):  # the server checks neither
                raise UsageError(f"field {name!r}: expected {kind.__name__}, got {value!r:.60}")
        self._chain = self._model.initial(task_id or random.Random(seed).choice(self._model.task_ids))
        self._state = ChainState(episode_id=episode_id, task_id=self._chain.problem_id)
        self._over = False
        return self._observe()

    def step(self, action: StepAction, timeout_s: float | None = None, **kwargs: Any) -> StepObservation:
        """Takes one step; the limits of the judge hold, whatever `timeout_s` says.

        Raises:
            UsageError: When no episode is running.
        """
        if self._chain is None or self._over:
            raise UsageError("the episode is over; reset first")
        (transition,) = self._model.advance([(self._chain, action.text)])
        self._chain, self._over = transition.state, transition.done
        self._state.step_count += 1
        self._state.outcome = transition.verdict.outcome.value if transition.verdict else None
        return self._observe(transition)

    @property
    def state(self) -> ChainState:
        """Where the episode is."""
        return self._state

    def _observe(self, transition: Transition | None = None) -> StepObservation:
        assert self._chain is not None
        write = self._model.format.render
        observation = StepObservation(
            question=self._model.problem(self._chain.problem_id).prompt,
            steps=[write(step, number) for number, step in enumerate(self._chain.steps, start=1)],
        )
        if transition is not None:
            masked = end_value(transition) is None
            observation.done = transition.done
            observation.reward = None if masked else transition.reward
            observation.feedback = transition.feedback
            observation.metadata = {"masked": masked, "truncated": transition.truncated}
        return observation


def app() -> Any:
    """Returns the server of the problems that ``O1CODER_PROBLEMS``, ``_SPLIT`` and ``_FORMAT`` name."""
    format = os.environ.get("O1CODER_FORMAT", "pseudocode")
    problems = load_problems(
        os.environ.get("O1CODER_PROBLEMS", "starter"), split=os.environ.get("O1CODER_SPLIT")
    )
    model = ReasoningModel(problems, shared_judge(), format=load_format(format))
    return create_app(
        lambda: O1CoderEnvironment(model),
        StepAction,
        StepObservation,
        env_name="o1coder",
        max_concurrent_envs=1000,
        state_cls=ChainState,
    )
