"""Interactions: the observations, actions and infos through which an agent uses the reasoning model.

An interaction is a value without a position. An environment is an interaction and a cursor; a vector
environment is an interaction and N cursors. So both are the same process by construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import numpy as np
from gymnasium import Space

from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.envs.settings import Settings, shared_model
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.steps.choices import Offer
from o1coder_gym.types import Outcome, Proposal, State, Transition

NO_PROGRAM = "no_program"
"""``info["outcome"]`` of an episode that the step limit ended."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in an episode; everything that an environment returns is a function of it.

    Attributes:
        state: s_t.
        transition: The step that led here; None at the beginning.
        seed: Of the episode, in [0, 2^31); fixes what a policy in the environment proposes.
        tokens: Generated in this episode by a policy in the environment.
        offers: The possible choices, in environments with a policy; empty at the end.
        history: The proposals that were chosen, in environments with a policy.
    """

    state: State
    transition: Transition | None = None
    seed: int = 0
    tokens: int = 0
    offers: tuple[Offer, ...] = ()
    history: tuple[Proposal, ...] = ()

    @property
    def done(self) -> bool:
        """Whether the episode has ended."""
        return self.transition is not None and self.transition.done


class Interaction(Protocol):
    """A way to act in the reasoning model. Frozen; handles B cursors at a time."""

    @property
    def source(self) -> Settings | ReasoningModel:
        """The model, or the settings that name it."""
        ...

    def action_space(self) -> Space[Any]:
        """Returns a new action space of one environment."""
        ...

    def observation_space(self) -> Space[Any]:
        """Returns a new observation space of one environment."""
        ...

    def begin(self, starts: Sequence[tuple[str, int]]) -> list[Cursor]:
        """Returns cursors at the beginning of episodes, given (task id, episode seed) of each."""
        ...

    def advance(self, moves: Sequence[tuple[Cursor, Any]]) -> list[Cursor]:
        """Takes one action at each cursor.

        Raises:
            UsageError: When an action is not one.
        """
        ...

    def observe(self, cursor: Cursor) -> Any:
        """Returns a new observation."""
        ...

    def info(self, cursor: Cursor) -> dict[str, Any]:
        """Returns a new info dict."""
        ...


def model_of(interaction: Interaction) -> ReasoningModel:
    """Returns the interaction's model; opens it on first use."""
    source = interaction.source
    return source if isinstance(source, ReasoningModel) else shared_model(source)


def max_steps_of(interaction: Interaction) -> int:
    """Returns the step limit without opening the model."""
    return interaction.source.max_steps


def with_alpha(interaction: Interaction, alpha: float) -> Interaction:
    """Returns the interaction under another α(t).

    Raises:
        UsageError: When it was built around a model; give that one another reward instead.
    """
    if isinstance(interaction.source, ReasoningModel):
        raise UsageError("alpha belongs to the given model; use its with_reward")
    return replace(cast(Any, interaction), source=replace(interaction.source, alpha=alpha))


def check_options(options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuses unknown options of `reset`: a misspelt one would start a random problem.

    Raises:
        UnknownNameError: With the names that are known.
    """
    for name in options:
        if name not in known:
            raise UnknownNameError("option of reset", str(name), known)


def draw_start(model: ReasoningModel, rng: np.random.Generator, task_id: Any = None) -> tuple[str, int]:
    """Draws the task and the seed of an episode.

    Args:
        model: Has the problems.
        rng: Draws both, so that the seed does not depend on whether a task was asked for.
        task_id: The task asked for, or None.

    Raises:
        UnknownNameError: When the task asked for is not one of the model.
    """
    # Both are drawn always, so that a named task leaves the generator where a drawn one would.
    drawn = model.task_ids[int(rng.integers(len(model.task_ids)))]
    seed = int(rng.integers(1 << 31))
    asked = drawn if task_id is None else task_id
    if not isinstance(asked, str) or asked not in model.task_ids:
        raise UnknownNameError("task", str(asked), model.task_ids[:10])
    return asked, seed


class FirstTerms(Protocol):
    """Anything that knows the reward terms before the first step, such as a `ReasoningModel`."""

    def first_reward_terms(self) -> Mapping[str, float]:
        """Returns the reward terms before the first step."""
        ...


def base_info(model: FirstTerms, cursor: Cursor) -> dict[str, Any]:
    """Returns the info keys that all environments have; no clock, path or process id among them.

    Keys: ``task_id``; ``is_success`` (all tests known here passed); ``outcome`` (of the program; `NO_PROGRAM`
    when the step limit ended the episode; "" before the end);
    ``passed``, ``total``, ``pass_ratio``; ``tests`` (outcome names); ``feedback``; ``prm`` (r_t);
    ``reward_terms``; ``tokens`` (generated in this episode by the environment's own policy).
    """
    transition = cursor.transition
    verdict = transition.verdict if transition else None
    terms = dict(transition.reward_terms) if transition else model.first_reward_terms()
    return {
        "task_id": cursor.state.problem_id,
        "is_success": verdict is not None and verdict.outcome is Outcome.PASS,
        "outcome": verdict.outcome.value if verdict else NO_PROGRAM if cursor.done else "",
        "passed": verdict.passed if verdict else 0,
        "total": verdict.total if verdict else 0,
        "pass_ratio": verdict.pass_ratio if verdict else 0.0,
        "tests": [test.outcome.value for test in verdict.tests] if verdict else [],
        "feedback": transition.feedback if transition else "",
        "prm": terms.get("process", 0.0),
        "reward_terms": terms,
        "tokens": cursor.tokens,
    }
