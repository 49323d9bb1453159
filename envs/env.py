"""The Gymnasium environments: an interaction with a cursor."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from numpy.typing import NDArray

from o1coder_gym.envs import render
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
from o1coder_gym.errors import UnknownNameError
from o1coder_gym.steps.choices import Features
from o1coder_gym.types import Sampling

RENDER_MODES = ("ansi", "human", "rgb_array")
_PICTURES = importlib.util.find_spec("PIL") is not None
METADATA: dict[str, Any] = {  # checkers try all modes that are named
    "render_modes": [mode for mode in RENDER_MODES if _PICTURES or mode != "rgb_array"],
    "render_fps": 4,
}


@dataclass(frozen=True, slots=True)
class EnvState:
    """A saved position with the state of the random generator; picklable, and restorable any number of times.

    Attributes:
        cursor: Where the episode is; None before the first reset.
        rng: State of the environment's random number generator.
    """

    cursor: Cursor | None
    rng: Mapping[str, Any]


class ReasoningEnv(gymnasium.Env[Any, Any]):
    """A reasoning model as a Gymnasium environment.

    ## Description
    Code reasoning as a Markov decision process after O1-CODER: the agent writes reasoning steps, then a
    program, which is run against the problem's public tests. Hidden tests are not in the environment.
    `TextEnv` takes text, `ChoiceEnv` a number; this class takes any `Interaction`.

    ## Episode end
    `terminated` when a program was committed, or when the step limit is reached without one: the depth is
    observed and the end is paid for, so it is the process that ends. `truncated` is for limits from outside,
    such as gymnasium's `TimeLimit`.

    ## Reward
    Modes ``outcome``, ``process``, ``phi``, ``phi_dense``; see `rewards`. NaN, with
    ``info["outcome"] == "infrastructure"``, when the judge itself failed: mask such a step. A problem
    without public tests pays nothing for its program, ``info["outcome"] == "no_tests"``, and is no success.

    ## State
    `get_state`, `set_state` and `fork`; through wrappers use the functions of the same names in
    `o1coder_gym.envs`. After a clone the same actions give the same trajectory, resets included.

    ## Info keys
    See `interaction.base_info`; Text adds ``messages``, Choice ``proposals`` and ``action_mask``.
    """

    metadata = METADATA

    def __init__(
        self, interaction: Interaction, render_mode: str | None = None, *, seed: int | None = None
    ) -> None:
        """Wraps an interaction; nothing is opened yet.

        Args:
            interaction: How to act in which model.
            render_mode: One of `RENDER_MODES`, or None.
            seed: Of the first reset that has none.

        Raises:
            UnknownNameError: When there is no such render mode.
        """
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise UnknownNameError("render mode", render_mode, RENDER_MODES)
        self.interaction = interaction
        self.render_mode = render_mode
        self.action_space = interaction.action_space()
        self.observation_space = interaction.observation_space()
        self._cursor: Cursor | None = None
        if seed is not None:
            # The first reset without a seed then starts from this one, as GEM passes it.
            self._np_random, self._np_random_seed = seeding.np_random(seed)

    @property
    def model(self) -> ReasoningModel:
        """The reasoning model, opened on first use."""
        return model_of(self.interaction)

    @property
    def cursor(self) -> Cursor:
        """The position in the episode.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset.
        """
        if self._cursor is None:
            raise ResetNeeded("call reset before anything else")
        return self._cursor

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode on a problem drawn with the seed, or on ``options={"task_id": ...}``.

        Raises:
            UnknownNameError: When there is no such problem, or an option is not known.
        """
        super().reset(seed=seed)
        options = options or {}
        check_options(options, ("task_id",))
        # Task and episode seed, from this environment's generator alone.
        start = draw_start(self.model, self.np_random, options.get("task_id"))
        (self._cursor,) = self.interaction.begin([start])
        if self.render_mode == "human":
            self.render()
        return self.interaction.observe(self._cursor), self.interaction.info(self._cursor)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Takes an action.

        Raises:
            UsageError: When it is not one.
            gymnasium.error.ResetNeeded: When no episode is running.
        """
        if self.cursor.done:
            raise ResetNeeded("the episode is over; call reset")
        (cursor,) = self.interaction.advance([(self.cursor, action)])
        self._cursor = cursor
        if self.render_mode == "human":
            self.render()
        transition = cursor.transition
        assert transition is not None
        return (
            self.interaction.observe(cursor),
            transition.reward,
            transition.terminated,
            transition.truncated,
            self.interaction.info(cursor),
        )

    def render(self) -> Any:
        """Returns text (ansi) or a picture (rgb_array), or prints (human)."""
        model = self.model
        problem = model.problem(self.cursor.state.problem_id)
        match self.render_mode:
            case "ansi":
                return render.ansi(problem, model.format, self.cursor)
            case "rgb_array":
                return render.rgb_array(problem, model.format, self.cursor)
            case "human":
                render.show(problem, model.format, self.cursor)
        return None

    def get_state(self) -> EnvState:
        """Returns the position as a value."""
        return EnvState(self._cursor, copy.deepcopy(self.np_random.bit_generator.state))

    def set_state(self, state: EnvState) -> None:
        """Restores a position that `get_state` of an equal environment returned.

        Raises:
            UnknownNameError: When its problem is not one of this environment.
        """
        if state.cursor is not None:
            self.model.problem(state.cursor.state.problem_id)
        self._cursor = state.cursor
        self.np_random.bit_generator.state = copy.deepcopy(state.rng)

    def fork(self) -> ReasoningEnv:
        """Returns an independent copy at the same position; model and policy are shared."""
        return copy.deepcopy(self)

    def set_alpha(self, alpha: float) -> None:
        """Sets α(t) of the reward from the next step on; a trainer calls it as its clock advances.

        Raises:
            UsageError: When the environment was built around a model and not from settings.
        """
        self.interaction = with_alpha(self.interaction, alpha)

    def __deepcopy__(self, memo: dict[int, Any]) -> ReasoningEnv:
        # Values and handles: cursors are frozen, the interaction holds judge and policy, which no fork may
        # copy.
        shared = {"interaction", "_cursor"}
        rng = self.np_random
        clone = object.__new__(type(self))
        memo[id(self)] = clone
        for name, value in vars(self).items():
            clone.__dict__[name] = value if name in shared else copy.deepcopy(value, memo)
        clone.np_random.bit_generator.state = copy.deepcopy(rng.bit_generator.state)
        return clone


class TextEnv(ReasoningEnv):
    r"""Free text in, text out.

    ## Action
    The text of one step, e.g. ``"### Step 1 (define)\n…"``, see `formats`; a program with format vanilla.
    Malformed or over-long text is a step too: it stays in the chain and is answered by feedback.

    ## Observation
    A Dict of ``question``, ``steps`` (the chain as text), ``feedback`` (on the last action) and ``depth``;
    one text with ``observation_format="text"``.

    ## Arguments
    Strings and numbers. ``problems`` (name of a set or path), ``split``, ``format`` (pseudocode,
    functions, vanilla), ``tests`` (public, generated), ``generator`` (what writes generated tests),
    ``max_steps``, ``reward`` (mode, ``FILE.py:NAME``), ``alpha``, ``gamma``, ``alpha_compile``, ``tau_pass``,
    ``tau_fail`` (see `RewardConstants`), ``scorer`` (``heuristic``, ``prm:FOLDER``, ``FILE.py:NAME``,
    ``package.module:NAME``, or an object that scores), ``observation_format`` (dict, text), ``render_mode``
    (ansi, human, rgb_array), ``seed`` (of the first reset that has none, as GEM gives it).

    ## References
    O1-CODER, arXiv 2412.00154.
    """

    def __init__(self, *, render_mode: str | None = None, seed: int | None = None, **arguments: Any) -> None:
        """Builds the environment and opens nothing; the class docstring lists `arguments`."""
        super().__init__(text_interaction(**arguments), render_mode, seed=seed)


class ChoiceEnv(ReasoningEnv):
    """Choose one of K proposals of a policy: numbers in, a number out, for stable-baselines3 and the like.

    ## Action
    Discrete(K): the number of the proposal to take. `action_masks` tells which ones make sense.

    ## Observation
    A Dict of flat boxes: ``state`` (`steps.choices.STATE_FEATURES`), ``proposals`` (K times
    `steps.choices.PROPOSAL_FEATURES`: type, length, tokens, probability, PRM, public pass ratio, …) and, if
    asked for, ``embedding``. The texts are ``info["proposals"]``.

    ## Arguments
    Those of `TextEnv` but ``observation_format``, and ``proposer`` (spec of a policy, e.g.
    ``"hf:qwen2.5-coder-0.5b"`` or ``"scripted:FILE"``, or an object that proposes; by default the tiny model
    that ships), ``k``, ``temperature``, ``top_p``, ``top_k``, ``max_tokens``, ``embedding`` (``"hash:64"`` or
    ``"package.module:function"``).
    """

    interaction: ChoiceInteraction

    def __init__(self, *, render_mode: str | None = None, seed: int | None = None, **arguments: Any) -> None:
        """Builds the environment and opens nothing; the class docstring lists `arguments`."""
        super().__init__(choice_interaction(**arguments), render_mode, seed=seed)

    @property
    def features(self) -> Features:
        """How states and proposals become observations."""
        return self.interaction.features

    @property
    def sampling(self) -> Sampling:
        """How proposals are drawn."""
        return self.interaction.sampling

    def action_masks(self) -> NDArray[np.bool_]:
        """Returns which choices make sense, [K]; the name that sb3-contrib asks for."""
        return self.interaction.action_mask(self.cursor)
