"""The choice interaction: a policy proposes K steps, the agent picks one, numbers in, a number out."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any

import numpy as np
from gymnasium import Space, spaces
from numpy.typing import NDArray

from o1coder_gym.envs.interactions.interaction import Cursor, base_info, max_steps_of, model_of
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.envs.settings import Settings, read_settings, shared_policy
from o1coder_gym.errors import PolicyError, UsageError
from o1coder_gym.runs.kept import OnDisk, on_disk
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.steps import choices
from o1coder_gym.steps.choices import Features, Offer, load_embedding
from o1coder_gym.types import PolicyRequest, Sampling, State
from o1coder_gym.types.protocols import Policy

DEFAULT_PROPOSER = "hf:tiny"
"""The model that ships: nothing is fetched and nothing large is loaded unless another one is named."""
DEFAULT_SAMPLING = Sampling()


@dataclass(frozen=True, slots=True)
class ChoiceInteraction:
    """Choose one of K proposals.

    The proposals at a state depend on the episode's seed and the path only. All K are looked at in one
    batch of the model, so that the public pass ratio of a proposed program is part of the observation.

    Attributes:
        source: The model, or the settings that name it.
        proposer: The policy whose proposals are chosen from, or the spec that names it.
        k: Proposals per state, ≥ 1.
        sampling: How they are drawn.
        embedding: Spec of an embedding of question and steps (`steps.choices.load_embedding`); None for none.
    """

    source: Settings | ReasoningModel
    proposer: str | Policy
    k: int = 4
    sampling: Sampling = Sampling()
    embedding: str | None = None
    _files: OnDisk | None = field(default=None, repr=False)  # as of `Settings`

    def __post_init__(self) -> None:
        """Raises `UsageError` when `k` < 1 or the embedding is unknown."""
        if self._files is None and isinstance(self.proposer, str):
            object.__setattr__(self, "_files", on_disk(self.proposer))
        if self.k < 1:
            raise UsageError(f"k must be at least 1, got {self.k}")
        if self.embedding is not None:
            load_embedding(self.embedding)

    def action_space(self) -> Space[Any]:
        """Discrete(K)."""
        return spaces.Discrete(self.k)

    def observation_space(self) -> Space[Any]:
        """A flat Dict of boxes: ``state`` [5], ``proposals`` [K·F] and, if asked for, ``embedding`` [D]."""
        return spaces.Dict(
            {
                name: spaces.Box(-1.0 if name == "embedding" else 0.0, 1.0, (size,), np.float32)
                for name, size in self.features.sizes().items()
            }
        )

    def begin(self, starts: Sequence[tuple[str, int]]) -> list[Cursor]:
        """Returns cursors at the questions, with the first proposals."""
        model = model_of(self)
        return self._offered([Cursor(model.initial(task_id), seed=seed) for task_id, seed in starts])

    def advance(self, moves: Sequence[tuple[Cursor, Any]]) -> list[Cursor]:
        """Takes the chosen proposal at each cursor and draws the next ones, in one batch."""
        cursors = []
        for cursor, action in moves:
            # Every offer was advanced to when it was made; choosing one costs nothing more.
            offer = cursor.offers[self._index(action)]
            history = (*cursor.history, offer.proposal)
            state, seed, tokens = offer.transition.state, cursor.seed, cursor.tokens
            cursors.append(Cursor(state, offer.transition, seed, tokens, history=history))
        return self._offered(cursors)

    def observe(self, cursor: Cursor) -> dict[str, NDArray[np.float32]]:
        """Returns the features of the state and of its proposals."""
        problem = model_of(self).problem(cursor.state.problem_id)
        return self.features.observe(problem, cursor.state, cursor.offers)

    def info(self, cursor: Cursor) -> dict[str, Any]:
        """Returns `interaction.base_info`, the texts on offer as ``proposals``, ``action_mask`` [K]."""
        proposals = [offer.proposal.text for offer in cursor.offers]
        own = {"proposals": proposals, "action_mask": self.action_mask(cursor).tolist()}
        return base_info(model_of(self), cursor) | own

    @property
    def features(self) -> Features:
        """How states and offers become numbers."""
        return Features(self.k, max_steps_of(self), self.sampling.max_tokens, self.embedding)

    def action_mask(self, cursor: Cursor) -> NDArray[np.bool_]:
        """Returns which choices make sense, [K]; see `steps.choices.mask`."""
        return choices.mask(cursor.offers, self.k)

    def _index(self, action: Any) -> int:
        try:
            index = operator.index(action)
        except TypeError:
            raise UsageError(f"an action is the number of a proposal, got {action!r}") from None
        if not 0 <= index < self.k:
            raise UsageError(f"an action is the number of a proposal, 0 to {self.k - 1}, got {index}")
        return index

    def _offered(self, cursors: Sequence[Cursor]) -> list[Cursor]:
        """Returns the cursors with K offers each, those at the end of an episode as they are."""
        model = model_of(self)
        policy = self.proposer
        if isinstance(policy, str):
            policy = shared_policy(policy, model.format.name, self._files or ())
        live = [cursor for cursor in cursors if not cursor.done]
        # One policy batch and one model batch for all cursors: [live] · K proposals, all of them looked at.
        proposed = policy.propose([self._request(model, cursor) for cursor in live]) if live else []
        if [len(proposals) for proposals in proposed] != [self.k] * len(live):
            raise PolicyError(
                f"asked for {self.k} proposals for each of {len(live)} states, got a different number"
            )
        transitions = iter(
            model.advance(
                [
                    (cursor.state, proposal.text)
                    for cursor, proposals in zip(live, proposed, strict=True)
                    for proposal in proposals
                ]
            )
        )
        drawn = iter(proposed)
        return [
            cursor
            if cursor.done
            else _with_offers(cursor, tuple(Offer(one, next(transitions)) for one in next(drawn)))
            for cursor in cursors
        ]

    def _request(self, model: ReasoningModel, cursor: Cursor) -> PolicyRequest:
        seed, problem = _request_seed(cursor.seed, cursor.state), model.problem(cursor.state.problem_id)
        return PolicyRequest(problem, cursor.state, self.k, self.sampling, seed, history=cursor.history)


def choice_interaction(
    *,
    proposer: str | Policy = DEFAULT_PROPOSER,
    policy: str | Policy | None = None,
    k: int = 4,
    temperature: float = DEFAULT_SAMPLING.temperature,
    top_p: float = DEFAULT_SAMPLING.top_p,
    top_k: int = DEFAULT_SAMPLING.top_k,
    max_tokens: int = DEFAULT_SAMPLING.max_tokens,
    embedding: str | None = None,
    **settings: Any,
) -> ChoiceInteraction:
    """Builds the interaction from plain arguments; see `env.ChoiceEnv`.

    ``policy`` is the older name of ``proposer``: libraries that wrap environments keep that word for the
    policy that is trained, and never hand it on.
    """
    sampling = Sampling(temperature, top_p, top_k, max_tokens)
    own = (one for one in signature(choice_interaction).parameters if one != "settings")
    return ChoiceInteraction(read_settings(settings, *own), policy or proposer, k, sampling, embedding)


def _with_offers(cursor: Cursor, offers: tuple[Offer, ...]) -> Cursor:
    tokens = cursor.tokens + sum(offer.proposal.tokens for offer in offers)
    return replace(cursor, tokens=tokens, offers=offers)


def _request_seed(episode_seed: int, state: State) -> int:
    """Returns a seed in [0, 2^31) that depends on the episode's seed and the path to `state` only."""
    # The path is in the seed: environments that come to one state by other batches draw the same proposals.
    return int(content_hash([episode_seed, state.to_row()], 4), 16) >> 1
