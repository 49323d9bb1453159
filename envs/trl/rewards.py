"""Reward functions for trainers: R, its parts and φ, one number per completion."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.envs.settings import SharedJudge
from o1coder_gym.envs.trl.chains import Completion, read_chain, read_texts
from o1coder_gym.envs.trl.columns import groups, limits, problem_of
from o1coder_gym.envs.trl.episodes import play
from o1coder_gym.rewards import DEFAULTS, RewardConstants, RewardFunction, phi_reward, sparse_outcome
from o1coder_gym.steps.formats import StepFormat, is_prose, load_format
from o1coder_gym.types import ActionType
from o1coder_gym.types.protocols import StepScorer

Rewards: TypeAlias = list[float | None]


def outcome(completions: Sequence[Completion], **columns: Any) -> Rewards:
    """R: 1 iff the program of a chain passes all tests, else 0."""
    return _term("outcome", completions, columns)


def pass_ratio(completions: Sequence[Completion], **columns: Any) -> Rewards:
    """Returns the share of tests passed; 0 without a program."""
    return _term("pass", completions, columns)


def compiles(completions: Sequence[Completion], **columns: Any) -> Rewards:
    """1 iff there is a program and it compiles."""
    return _term("compile", completions, columns)


def well_formed(completions: Sequence[Completion], **columns: Any) -> Rewards:
    """1 iff every step can be read and the last one that the step limit allows is code; prose is none."""
    asked = columns.get("entry_point", [None] * len(completions))
    each = zip(completions, columns["format"], asked, limits(columns, len(completions)), strict=True)
    return [
        float(_is_whole_text(completion, load_format(name), entry, limit))
        for completion, name, entry, limit in each
    ]


class Phi:
    """φ(R, r^{1:m}) as a reward function, with the process rewards of a step scorer.

    `phi` is one with the scorer that needs no model; make your own with a trained PRM:
    ``Phi(load_scorer("prm:runs/prm/model"), RewardConstants(alpha=0.5))``.
    """

    __name__ = "phi"

    def __init__(self, scorer: StepScorer | None = None, constants: RewardConstants = DEFAULTS) -> None:
        """Fixes scorer and constants.

        Args:
            scorer: The step scorer; None is the heuristic one.
            constants: α, γ and τ of φ.
        """
        self._scorer = scorer
        self._constants = constants

    def __call__(self, completions: Sequence[Completion], **columns: Any) -> Rewards:
        """Returns φ of each completion."""
        return _term(
            "phi", completions, columns, partial(phi_reward, constants=self._constants), self._loaded()
        )

    def _loaded(self) -> StepScorer:
        if self._scorer is None:
            from o1coder_gym.prm import load_scorer

            self._scorer = load_scorer("heuristic")
        return self._scorer


phi = Phi()
"""φ with α = 0.5, γ = 0.9 and the heuristic scorer."""


class Combined:
    """One reward function of several: their weighted sum, None where one of them is not known.

    Trainers of TRL add up reward functions that are given beside each other and take None for 0 unless all of
    them return it. So `outcome` and `well_formed` as two functions grade a well-formed chain on which the
    judge failed as a failing program; as one they leave it out.
    """

    def __init__(self, *parts: tuple[Callable[..., Rewards], float], name: str = "combined") -> None:
        """Combines reward functions.

        Args:
            *parts: Reward functions with their weights.
            name: Name under which trainers log the sum.
        """
        self._parts = parts
        self.__name__ = name

    def __call__(self, completions: Sequence[Completion], **columns: Any) -> Rewards:
        """Returns the sum for each completion."""
        found = [part(completions=completions, **columns) for part, _ in self._parts]
        weights = [weight for _, weight in self._parts]
        return [_weighted(values, weights) for values in zip(*found, strict=True)]


def _weighted(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    known = [value * weight for value, weight in zip(values, weights, strict=True) if value is not None]
    # One unknown part makes the sum unknown: beside other functions TRL would count the None as 0.
    return sum(known) if len(known) == len(values) else None


outcome_and_form = Combined((outcome, 1.0), (well_formed, 0.2), name="outcome_and_form")
"""R + 0.2 for a chain that can be read; None where R is not known."""


def _term(
    name: str,
    completions: Sequence[Completion],
    columns: Mapping[str, Any],
    reward: RewardFunction = sparse_outcome,
    scorer: StepScorer | None = None,
) -> Rewards:
    """Returns a reward term of the end of each chain, None where it is not known."""
    found: dict[int, float] = {}
    for (step_format, limit, _), places in groups(columns, len(completions)).items():
        problems = {columns["task_id"][place]: problem_of(columns, place) for place in places}
        model = ReasoningModel(
            problems.values(),
            SharedJudge(),
            format=load_format(step_format),
            max_steps=limit,
            reward=reward,
            scorer=scorer,
        )
        texts = [read_texts(completions[place], model.format) for place in places]
        episodes = play(model, [columns["task_id"][place] for place in places], texts)
        found.update((place, episode.terms[name]) for place, episode in zip(places, episodes, strict=True))
    return [None if math.isnan(found[place]) else found[place] for place in range(len(completions))]


def _is_whole_text(completion: Completion, step_format: StepFormat, entry: str | None, limit: int) -> bool:
    texts = read_texts(completion, step_format)[:limit]
    kinds = [step.type for step in read_chain(completion, step_format, entry)[:limit]]
    whole = bool(kinds) and kinds[-1] is ActionType.CODE and ActionType.MALFORMED not in kinds
    return whole and not is_prose(step_format, texts[-1])
