"""Transitions: what an action leads to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from o1coder_gym.types.proposals import Author, Finish
from o1coder_gym.types.states import State
from o1coder_gym.types.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Transition:
    """T(s, a): the result of one action. Equal inputs give equal transitions, `verdict.cpu_s` aside.

    Attributes:
        state: s_{t+1}.
        reward: Paid for this action under the model's reward mode; NaN if the judge failed for
            reasons of its own (`Outcome.INFRASTRUCTURE`), so that it can only be masked. Without tests
            (`Outcome.NO_TESTS`) nothing is paid for the program.
        terminated: The process ended: code was committed, or the step limit was reached without it.
        truncated: Something outside the process stopped it, e.g. a budget; excludes `terminated`.
        feedback: Message to the agent: malformed action, failed public tests; never hidden ones.
        verdict: Of the committed code on the model's tests; None before code is committed.
        reward_terms: All components of the reward, in [0, 1] each; NaN where they are not known.
        author: Who wrote the step. Set by the driver: ``"agent"`` for a text that was not sampled in the
            state before. A model leaves the default.
        finish: Why the sample that the step is ended, likewise.
    """

    state: State
    reward: float
    terminated: bool
    truncated: bool
    feedback: str = ""
    verdict: Verdict | None = None
    reward_terms: Mapping[str, float] = field(default_factory=dict, hash=False)
    author: Author = "policy"
    finish: Finish = "stop"

    @property
    def done(self) -> bool:
        """Whether the episode is over."""
        return self.terminated or self.truncated
