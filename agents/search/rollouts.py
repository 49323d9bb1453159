"""Rollouts: episodes that follow the policy, outside of any tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from o1coder_gym.rewards import end_value, passes
from o1coder_gym.types import Outcome, Problem, Proposal, Sampling, SearchResult, State, Transition
from o1coder_gym.types.queries import Advance, Propose, Search, Turns, advance, propose


@dataclass(slots=True)
class Rollout:
    """An episode in progress. Mutable: `follow` advances it.

    Attributes:
        state: Its current state.
        tokens: Generated tokens so far.
        kept: Number of tokens that `logprob` sums over.
        logprob: Sum of the log-probabilities of its tokens, ≤ 0; None once a backend returned none.
        last: The transition that led to `state`, None at the start.
        cut: Whether the budget ended it early.
    """

    state: State
    tokens: int = 0
    kept: int = 0
    logprob: float | None = 0.0
    last: Transition | None = None
    cut: bool = False

    @property
    def open(self) -> bool:
        """Whether the episode has neither ended nor been cut."""
        return not self.cut and (self.last is None or not self.last.done)

    @property
    def program(self) -> State | None:
        """The terminal state if code was committed, else None."""
        return self.state if self.state.code is not None else None

    @property
    def value(self) -> float | None:
        """Its end's value in [0, 1]; None before the end, where the judge failed, and without tests."""
        return end_value(self.last) if self.last is not None and self.last.done else None

    @property
    def outcome(self) -> Outcome | None:
        """That of its program, None without one."""
        verdict = self.last.verdict if self.last is not None else None
        return verdict.outcome if verdict is not None else None

    @property
    def solved(self) -> bool:
        """Whether its program passes the tests that the search may see."""
        return self.last is not None and passes(self.last)

    @property
    def mean_logprob(self) -> float:
        """Mean log-probability per token (Codex, arXiv 2107.03374, section 3.3), −inf if not known."""
        return self.logprob / max(self.kept, 1) if self.logprob is not None else float("-inf")

    def extend(self, proposal: Proposal, transition: Transition) -> None:
        """Takes one step."""
        self.state, self.last = transition.state, transition
        self.tokens += proposal.tokens
        self.kept += proposal.kept_tokens
        # A sum with an unknown term is unknown: counting it as 0 would rank that path above all others.
        known = self.logprob is not None and proposal.logprob is not None
        self.logprob = self.logprob + proposal.logprob if known else None  # pyright: ignore[reportOperatorIssue]


def complete(
    problem: Problem, root: State, *, starts: Sequence[State], sampling: Sampling, found: list[Rollout]
) -> Search:
    """Estimates the value of prefixes by Monte Carlo: an agent that rolls out from given states.

    Args:
        problem: The question.
        root: Of the task; not used.
        starts: Where rollouts begin, one for each entry.
        sampling: How steps are drawn.
        found: Filled with the rollouts, in order.
    """
    found[:] = [Rollout(state) for state in starts]
    yield from follow(found, sampling)
    return SearchResult(None)


def follow(rollouts: Sequence[Rollout], sampling: Sampling) -> Turns:
    """Follows the policy in all rollouts in lockstep until each has ended or the budget cut it.

    Args:
        rollouts: B episodes; advanced in place.
        sampling: How each step is drawn.
    """
    while active := [rollout for rollout in rollouts if rollout.open]:
        # One request per live rollout and one turn for all: they leave as one batch of the policy.
        drawn = yield from propose([Propose(rollout.state, 1, sampling) for rollout in active])
        steps: list[tuple[Rollout, Proposal]] = []
        for rollout, proposals in zip(active, drawn, strict=True):
            # No proposal means that the budget paid for none: asking again would never end.
            rollout.cut = not proposals
            steps += [(rollout, proposal) for proposal in proposals]
        if not steps:
            continue
        actions = [Advance(rollout.state, proposal.text) for rollout, proposal in steps]
        transitions = yield from advance(actions)
        for (rollout, proposal), transition in zip(steps, transitions, strict=True):
            rollout.extend(proposal, transition)
