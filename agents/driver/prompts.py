"""What one search has shown its policy: prices of prompts, and the samples that its steps were taken from."""

from __future__ import annotations

from o1coder_gym.types import Proposal, State, Transition
from o1coder_gym.types.queries import Advance, Answer, Ask, Propose, Query


class Prompts:
    """The prompts of one search and what was sampled behind them. Mutable.

    A prompt costs what it adds to the earlier prompts of its own search. What an engine computed would be no
    price: that depends on what others have left in its cache. A child's prompt begins with its parent's and
    with the tokens sampled there, so their lengths tell what they share. They are exact where a policy shows
    its own tokens again; where it encodes a step anew, a few tokens may differ.
    """

    def __init__(self) -> None:
        """Starts with nothing shown."""
        self._lengths: dict[State | str, int] = {}
        # The samples of each state by text: a later Advance is the policy's step, or else the agent's own.
        self._sampled: dict[State, dict[str, Proposal]] = {}
        # From this search alone, in the order of its turns: a prompt must not depend on what others sampled.
        self._histories: dict[State, tuple[Proposal | None, ...]] = {}

    @property
    def least(self) -> int:
        """The least tokens that a further prompt costs; 0 while the policy has not counted any."""
        return 1 if self._lengths else 0

    def show(self, query: Propose | Ask, first: Proposal) -> tuple[int, int]:
        """Notes that a query was asked.

        Args:
            query: The query.
            first: The first sample of the answer, which has the length of the prompt.

        Returns:
            The tokens of its prompt that this search shows for the first time, at least the last one, and the
            rest; 0 and 0 where the policy does not count them.
        """
        place = query.question if isinstance(query, Ask) else query.state
        length = self._lengths.get(place) or first.prompt_tokens + first.cached_tokens
        # A sample starts from the last token of its prompt, which therefore is computed each time.
        new = min(length, max(1, length - self._known(place)))
        if length:
            self._lengths[place] = length
        return new, length - new

    def _known(self, place: State | str) -> int:
        """Returns how many tokens of a prompt were shown before, at its nearest ancestor that was asked."""
        if isinstance(place, str) or place in self._lengths:
            return self._lengths.get(place, 0)
        for depth in reversed(range(place.depth)):
            ancestor = State(place.problem_id, place.steps[:depth])
            if ancestor in self._lengths:
                history = self.history(State(place.problem_id, place.steps[: depth + 1]))
                taken = history[-1] if history else None
                return self._lengths[ancestor] + (len(taken.token_ids) if taken is not None else 0)
        return 0

    def history(self, state: State) -> tuple[Proposal | None, ...]:
        """Returns the samples that the steps of a state were taken from, as `PolicyRequest.history`."""
        return self._histories.get(state, ())

    def sample(self, state: State, action: str) -> Proposal | None:
        """Returns the sample of this text; None for a text that was never sampled in the state."""
        return self._sampled.get(state, {}).get(action)

    def remember(self, query: Query, answer: Answer) -> None:
        """Remembers what a query of a turn that is over was answered: samples, or the step that was taken."""
        if isinstance(query, Propose) and isinstance(answer, tuple):
            sampled = self._sampled.setdefault(query.state, {})
            for one in answer:
                # Of equal texts a complete one counts: the step is then as the policy writes it.
                if (known := sampled.get(one.text)) is None or known.finish != "stop":
                    sampled[one.text] = one
        elif isinstance(query, Advance) and isinstance(answer, Transition) and answer.state != query.state:
            history = (*self.history(query.state), self.sample(query.state, query.action))
            # The first one stays: an equal step in other tokens must not change the prompt of a state.
            self._histories.setdefault(answer.state, history)
