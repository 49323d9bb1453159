"""The vector environment: an interaction with N cursors; N programs are judged in one batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate
from numpy.typing import NDArray

from o1coder_gym.envs import render
from o1coder_gym.envs.env import METADATA, RENDER_MODES
from o1coder_gym.envs.interactions.choice import ChoiceInteraction, choice_interaction
from o1coder_gym.envs.interactions.interaction import (
    Cursor,
    Interaction,
    check_options,
    draw_start,
    model_of,
    with_alpha,
)
from o1coder_gym.envs.interactions.text import text_interaction
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import UnknownNameError, UsageError

Step = tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class VectorState:
    """N saved positions, random numbers included.

    Attributes:
        cursors: Where each episode is; None before its first reset.
        rngs: State of each random number generator.
        finished: Which episodes have ended and were not reset yet, [N].
    """

    cursors: tuple[Cursor | None, ...]
    rngs: tuple[Mapping[str, Any], ...]
    finished: tuple[bool, ...]


class ReasoningVectorEnv(VectorEnv[Any, Any, NDArray[Any]]):
    """N environments in one; equal, transition by transition, to N `ReasoningEnv` in a `SyncVectorEnv`.

    What a step costs, the runs of the committed programs, is one batch of the judge; with a policy in the
    environment its proposals are one batch too. Observations, infos and the three autoreset modes are those
    of `gymnasium.vector.SyncVectorEnv`.
    """

    metadata = METADATA

    def __init__(
        self,
        interaction: Interaction,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
    ) -> None:
        """Opens nothing yet.

        Args:
            interaction: How to act in which model.
            num_envs: N, ≥ 1.
            autoreset_mode: A mode or its value, e.g. "SameStep".
            render_mode: One of `RENDER_MODES`, or None.
            max_episode_steps: Steps after which an episode is `truncated` from outside, ≥ 1, as
                gymnasium's `TimeLimit` does around one environment; None for no such limit.

        Raises:
            UsageError: When a number or a mode is out of range.
        """
        if num_envs < 1:
            raise UsageError(f"num_envs must be at least 1, got {num_envs}")
        if max_episode_steps is not None and max_episode_steps < 1:
            raise UsageError(f"max_episode_steps must be at least 1, got {max_episode_steps}")
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise UnknownNameError("render mode", render_mode, RENDER_MODES)
        self.interaction = interaction
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.max_episode_steps = max_episode_steps
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**METADATA, "autoreset_mode": self.autoreset_mode}
        self.single_action_space = interaction.action_space()
        self.single_observation_space = interaction.observation_space()
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._cursors: list[Cursor | None] = [None] * num_envs
        self._rngs = [seeding.np_random()[0] for _ in range(num_envs)]
        self._finished = np.zeros(num_envs, dtype=np.bool_)

    @property
    def model(self) -> ReasoningModel:
        """The reasoning model, opened on first use."""
        return model_of(self.interaction)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Starts all episodes, or those of ``options["reset_mask"]``.

        Args:
            seed: s for environments s, s + 1, …; or one per environment.
            options: ``task_id``, one for all environments or a sequence of N, where None draws one;
                ``reset_mask``, a bool array [N].

        Raises:
            UnknownNameError: When there is no such problem, or an option is not known.
            UsageError: When a sequence does not have N entries.
        """
        options = options or {}
        check_options(options, ("task_id", "reset_mask"))
        mask = self._reset_mask(options.get("reset_mask"))
        tasks = self._tasks(options.get("task_id"))
        for index, one in enumerate(self._seeds(seed)):
            if one is not None and mask[index]:
                self._rngs[index] = seeding.np_random(one)[0]
        indices = np.flatnonzero(mask).tolist()
        self._begin(indices, [tasks[index] for index in indices])
        self._finished[mask] = False
        infos: dict[str, Any] = {}
        for index in indices:
            infos = self._add_info(infos, self.interaction.info(self._at(index)), index)
        self._show()
        return self._observe(), infos

    def step(self, actions: Any) -> Step:
        """Takes one action in each environment; finished ones are reset as the autoreset mode says.

        A step that fails, be it in the reset of one episode, changes nothing: it may be taken again.

        Raises:
            gymnasium.error.ResetNeeded: With autoreset disabled, when an episode has ended.
        """
        before = list(self._cursors), self._finished
        try:
            return self._step(actions)
        except BaseException:
            self._cursors, self._finished = before
            raise

    def _step(self, actions: Any) -> Step:
        stale = np.flatnonzero(self._finished).tolist()
        if stale and self.autoreset_mode is AutoresetMode.DISABLED:
            raise ResetNeeded(f"episodes {stale} are over; reset them with options={{'reset_mask': ...}}")
        # NEXT_STEP: the step after an end ignores the action and resets, with reward 0 (SyncVectorEnv).
        fresh = stale if self.autoreset_mode is AutoresetMode.NEXT_STEP else []
        # All programs committed in this step are judged in one batch: what makes N environments one.
        self._advance([index for index in range(self.num_envs) if index not in set(fresh)], actions)
        self._begin(fresh)
        rewards = np.array([self._reward(index) for index in range(self.num_envs)], dtype=np.float64)
        terminations, truncations = self._ends()
        self._finished = terminations | truncations
        infos: dict[str, Any] = {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            infos = self._restart_finished()
        for index in range(self.num_envs):
            infos = self._add_info(infos, self.interaction.info(self._at(index)), index)
        self._show()
        return self._observe(), rewards, terminations, truncations, infos

    def render(self) -> tuple[Any, ...] | None:
        """Returns a text or picture of each environment, or prints them (human)."""
        model = self.model
        scenes = [
            (model.problem(cursor.state.problem_id), model.format, cursor)
            for cursor in map(self._at, range(self.num_envs))
        ]
        if self.render_mode == "human":
            for scene in scenes:
                render.show(*scene)
            return None
        draw = render.rgb_array if self.render_mode == "rgb_array" else render.ansi
        return tuple(draw(*scene) for scene in scenes)

    def get_state(self) -> VectorState:
        """Returns all positions as a value."""
        rngs = tuple(copy.deepcopy(rng.bit_generator.state) for rng in self._rngs)
        return VectorState(tuple(self._cursors), rngs, tuple(self._finished.tolist()))

    def set_state(self, state: VectorState) -> None:
        """Goes to the positions that `get_state` of an equal environment returned.

        Raises:
            UsageError: When the number of environments differs.
        """
        if len(state.cursors) != self.num_envs:
            raise UsageError(f"a state of {len(state.cursors)} environments does not fit {self.num_envs}")
        self._cursors = list(state.cursors)
        self._finished = np.array(state.finished, dtype=np.bool_)
        for rng, saved in zip(self._rngs, state.rngs, strict=True):
            rng.bit_generator.state = copy.deepcopy(saved)

    def fork(self) -> ReasoningVectorEnv:
        """Returns an independent copy at the same positions; model and policy are shared."""
        return copy.deepcopy(self)

    def set_alpha(self, alpha: float) -> None:
        """Sets α(t) of the reward from the next step on, as `ReasoningEnv.set_alpha`."""
        self.interaction = with_alpha(self.interaction, alpha)

    def action_masks(self) -> NDArray[np.bool_]:
        """Returns which choices make sense, [N, K]; Choice only.

        Raises:
            UsageError: When actions are not choices.
        """
        interaction = self.interaction
        if not isinstance(interaction, ChoiceInteraction):
            raise UsageError("only choices have action masks")
        return np.stack([interaction.action_mask(self._at(index)) for index in range(self.num_envs)])

    def __deepcopy__(self, memo: dict[int, Any]) -> ReasoningVectorEnv:
        clone = object.__new__(type(self))
        memo[id(self)] = clone
        for name, value in vars(self).items():
            shared = name in ("interaction", "_cursors")
            clone.__dict__[name] = value if shared else copy.deepcopy(value, memo)
        # The list is copied, its cursors are frozen values.
        clone._cursors = list(self._cursors)
        return clone

    def _at(self, index: int) -> Cursor:
        cursor = self._cursors[index]
        if cursor is None:
            raise ResetNeeded("call reset before anything else")
        return cursor

    def _begin(self, indices: Sequence[int], tasks: Sequence[str | None] = ()) -> None:
        asked = tasks or [None] * len(indices)
        drawn = [
            (self._rngs[index].bit_generator, self._rngs[index].bit_generator.state) for index in indices
        ]
        try:
            starts = [
                draw_start(self.model, self._rngs[index], task)
                for index, task in zip(indices, asked, strict=True)
            ]
            for index, cursor in zip(indices, self.interaction.begin(starts), strict=True):
                self._cursors[index] = cursor
        except BaseException:
            # A draw whose episode could not begin did not happen: the next reset draws the same task.
            for generator, state in drawn:
                generator.state = state
            raise

    def _advance(self, indices: Sequence[int], actions: Any) -> None:
        chosen = list(iterate(self.action_space, actions))
        if len(chosen) != self.num_envs:
            raise UsageError(f"expected {self.num_envs} actions, got {len(chosen)}")
        cursors = self.interaction.advance([(self._at(index), chosen[index]) for index in indices])
        for index, cursor in zip(indices, cursors, strict=True):
            self._cursors[index] = cursor

    def _restart_finished(self) -> dict[str, Any]:
        """Resets finished episodes; returns infos with their final observations and infos."""
        infos: dict[str, Any] = {}
        # SAME_STEP: the end is in final_obs and final_info, the observation is already the next episode's.
        indices = np.flatnonzero(self._finished).tolist()
        for index in indices:
            cursor = self._at(index)
            final = {
                "final_obs": self.interaction.observe(cursor),
                "final_info": self.interaction.info(cursor),
            }
            infos = self._add_info(infos, final, index)
        self._begin(indices)
        self._finished[:] = False
        return infos

    def _show(self) -> None:
        if self.render_mode == "human":
            self.render()

    def _reward(self, index: int) -> float:
        transition = self._at(index).transition
        return transition.reward if transition else 0.0

    def _ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Returns which episodes the process ended, [N], and which a limit from outside cut, [N]."""
        cursors = [self._at(index) for index in range(self.num_envs)]
        ends = [cursor.transition for cursor in cursors]
        terminated = np.array([end is not None and end.terminated for end in ends], dtype=np.bool_)
        truncated = np.array([end is not None and end.truncated for end in ends], dtype=np.bool_)
        if self.max_episode_steps is not None:  # each step makes the chain one longer
            truncated |= np.array([cursor.state.depth >= self.max_episode_steps for cursor in cursors])
        return terminated, truncated

    def _observe(self) -> Any:
        empty = create_empty_array(self.single_observation_space, n=self.num_envs)
        each = [self.interaction.observe(self._at(index)) for index in range(self.num_envs)]
        return concatenate(self.single_observation_space, each, empty)

    def _seeds(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            # As SyncVectorEnv seeds its environments, so that both give the same episodes.
            return [int(seed) + index for index in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise UsageError(f"expected {self.num_envs} seeds, got {len(seed)}")
        return seed

    def _tasks(self, asked: Any) -> Sequence[Any]:
        if asked is None or isinstance(asked, str):
            return [asked] * self.num_envs
        tasks = list(asked)
        if len(tasks) != self.num_envs:
            raise UsageError(f"expected one task_id or {self.num_envs}, got {len(tasks)}")
        return tasks

    def _reset_mask(self, mask: Any) -> NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise UsageError(f"reset_mask must be a bool array [{self.num_envs}] with at least one True")
        return mask


def text_vector(
    num_envs: int = 1,
    *,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    render_mode: str | None = None,
    max_episode_steps: int | None = None,
    **arguments: Any,
) -> ReasoningVectorEnv:
    """Builds N `TextEnv` in one; `gymnasium.make_vec` calls it."""
    return ReasoningVectorEnv(
        text_interaction(**arguments),
        num_envs,
        autoreset_mode=autoreset_mode,
        render_mode=render_mode,
        max_episode_steps=max_episode_steps,
    )


def choice_vector(
    num_envs: int = 1,
    *,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    render_mode: str | None = None,
    max_episode_steps: int | None = None,
    **arguments: Any,
) -> ReasoningVectorEnv:
    """Builds N `ChoiceEnv` in one; `gymnasium.make_vec` calls it."""
    return ReasoningVectorEnv(
        choice_interaction(**arguments),
        num_envs,
        autoreset_mode=autoreset_mode,
        render_mode=render_mode,
        max_episode_steps=max_episode_steps,
    )
