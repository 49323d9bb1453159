"""Credit of an episode: its reward, φ or R, and the return of each of its steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from o1coder_gym.agents.rl.advantages import step_returns
from o1coder_gym.agents.rl.episodes import Episode, TokenRow
from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.rewards import Evidence, load_reward, load_schedule, phi


@dataclass(frozen=True, slots=True)
class Scored:
    """An episode with its tokens and rewards.

    Attributes:
        episode: As it was sampled.
        row: Its tokens.
        outcome: R; NaN where the judge failed.
        reward: φ or R, by the setting `credit`; NaN where the judge failed.
        returns: G_1 … G_m; equal to the reward in every step unless credit is given by step.
    """

    episode: Episode
    row: TokenRow
    outcome: float
    reward: float
    returns: tuple[float, ...]

    @property
    def judged(self) -> bool:
        """Whether there is a reward to learn from."""
        return not math.isnan(self.reward)


def weight_of_outcome(settings: RLSettings, t: int) -> float:
    """Returns α(t), which is 1 where credit is given for the outcome alone; t counts optimizer steps."""
    return 1.0 if settings.credit == "outcome" else load_schedule(settings.alpha)(t)


def worth_of_success(settings: RLSettings, t: int) -> float:
    """Returns α(t) (τ_pass − τ_fail), what a success is worth in φ; 0 for rewards of your own function."""
    if settings.reward is not None:
        return 0.0  # of unknown scale
    return weight_of_outcome(settings, t) * (settings.tau_pass - settings.tau_fail)


def score_episodes(
    episodes: Sequence[Episode], rows: Sequence[TokenRow], settings: RLSettings, t: int
) -> list[Scored]:
    """Gives each episode its reward (Algorithm 1, step 5): φ(R, r^{1:m}) with α(t), and its returns.

    Args:
        episodes: B of them.
        rows: Their tokens.
        settings: Says which credit is given, and the constants of φ.
        t: Optimizer steps so far, the clock of α.
    """
    alpha = weight_of_outcome(settings, t)
    return [_scored(episode, row, settings, alpha) for episode, row in zip(episodes, rows, strict=True)]


def _scored(episode: Episode, row: TokenRow, settings: RLSettings, alpha: float) -> Scored:
    # [m]: r^1 … r^m.
    process = episode.process
    outcome = episode.outcome(settings.tau_pass, settings.tau_fail, fractional=settings.fractional)
    reward = phi(outcome, process, alpha, settings.gamma)
    # A user's reward is one number of unknown make: it cannot be cut into terms of steps, so all steps get it
    # whole.
    if settings.reward is not None:
        reward = load_reward(settings.reward)(
            Evidence(process, episode.last.verdict, episode.last.truncated)
        ).value
        returns = (reward,) * len(process)
    elif settings.credit == "step":
        # Each G_t leaves out what was earned before t: steps are not credited for the rewards of earlier
        # ones.
        returns = step_returns(outcome, process, alpha, settings.gamma)
    else:
        returns = (reward,) * len(process)
    return Scored(episode, row, outcome, reward, returns)
