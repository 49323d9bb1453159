"""Choosing one of K proposals: a numeric agent's view of a state and its K possible next steps.

The Choice environments and the agents trained on them read the same features here, so that what was
learned in training means the same in search. K proposals, F features each.

Text as a vector, for agents that read numbers: hashed words by default, or a function of yours.

``hash?dimensions=64`` (or ``hash:64``) is `hashed_words`; ``package.module:function?key=value`` is any
function from a text to a vector, with its keyword-only arguments.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from o1coder_gym.errors import UsageError
from o1coder_gym.specs import Spec, parse, registry
from o1coder_gym.specs.parameters import AtLeastOne
from o1coder_gym.steps.prompts import question
from o1coder_gym.types import ActionType, Outcome, Problem, Proposal, State, Step, Transition

_KINDS = (ActionType.MALFORMED, ActionType.DEFINE, ActionType.REFINE, ActionType.CODE)

STATE_FEATURES = ("depth", "malformed", "define", "refine", "last_malformed")
"""Names of the numbers that describe a state, in order; all in [0, 1]."""

PROPOSAL_FEATURES = (
    "offered",
    "malformed",
    "define",
    "refine",
    "code",
    "length",
    "tokens",
    "probability",
    "prm",
    "pass_ratio",
    "solved",
    "duplicate",
)
"""Names of the F numbers that describe a proposal, in order; all in [0, 1]."""

MAX_CHARS = 16_384
"""Length at which the feature ``length`` is 1."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One of the K choices: a proposal and the transition that it would cause.

    Attributes:
        proposal: The action as the policy wrote it.
        transition: Of the model; its verdict is on public or generated tests only.
    """

    proposal: Proposal
    transition: Transition


def mask(offers: Sequence[Offer], k: int) -> NDArray[np.bool_]:
    """Returns the action mask over the K choices, [K], bool.

    Malformed steps, duplicates of an earlier offer and programs on which the judge failed are masked out. If
    nothing is left, the first offer is allowed; without offers every choice is.
    """
    if not offers:
        return np.ones(k, dtype=np.bool_)
    sensible = np.zeros(k, dtype=np.bool_)
    seen: set[State] = set()
    for index, offer in enumerate(offers):
        state = offer.transition.state
        malformed = state.steps[-1].type is ActionType.MALFORMED
        # A NaN reward means that the judge failed: taking the step would teach nothing.
        sensible[index] = not malformed and state not in seen and not math.isnan(offer.transition.reward)
        seen.add(state)
    if not sensible.any():
        sensible[0] = True
    return sensible


@dataclass(frozen=True, slots=True)
class Features:
    """The encoding of a state and its offers; a chooser must act under the encoding of its training.

    Attributes:
        k: K, proposals per state.
        max_steps: Step limit of the episode.
        max_tokens: Token limit of a proposal.
        embedding: Spec of an embedding of question and steps (`steps.choices.load_embedding`); None for none.
    """

    k: int
    max_steps: int
    max_tokens: int
    embedding: str | None = None

    def sizes(self) -> dict[str, int]:
        """Returns the length of each vector in an observation."""
        sizes = {"state": len(STATE_FEATURES), "proposals": self.k * len(PROPOSAL_FEATURES)}
        if self.embedding is not None:
            sizes["embedding"] = len(load_embedding(self.embedding)(""))
        return sizes

    def observe(
        self, problem: Problem, state: State, offers: Sequence[Offer]
    ) -> dict[str, NDArray[np.float32]]:
        """Returns ``state`` [5], ``proposals`` [K·F] (missing offers are 0) and ``embedding`` [D] if any."""
        observation = {"state": self._of_state(state), "proposals": self._of_offers(offers)}
        if self.embedding is not None:
            text = "\n".join([question(problem), *(step.text for step in state.steps)])
            observation["embedding"] = load_embedding(self.embedding)(text)
        return observation

    def _of_state(self, state: State) -> NDArray[np.float32]:
        counts = [0, 0, 0, 0]
        for step in state.steps:
            counts[_counted(step)] += 1
        last_malformed = bool(state.steps) and state.steps[-1].type is ActionType.MALFORMED
        shares = [min(1.0, count / self.max_steps) for count in (state.depth, *counts[:3])]
        return np.array([*shares, last_malformed], dtype=np.float32)

    def _of_offers(self, offers: Sequence[Offer]) -> NDArray[np.float32]:
        rows = np.zeros((self.k, len(PROPOSAL_FEATURES)), dtype=np.float32)
        seen: set[State] = set()
        for index, offer in enumerate(offers[: self.k]):
            rows[index] = _features(offer, self.max_tokens, offer.transition.state in seen)
            seen.add(offer.transition.state)
        return rows.reshape(-1)


def _counted(step: Step) -> ActionType:
    """Returns a step's feature: helpers have none of their own, for the sake of earlier choosers."""
    return ActionType.REFINE if step.type is ActionType.HELPER else step.type


def _features(offer: Offer, max_tokens: int, duplicate: bool) -> tuple[float, ...]:
    proposal, transition = offer.proposal, offer.transition
    kind = _counted(transition.state.steps[-1])
    verdict = transition.verdict
    return (
        1.0,
        *(float(kind is each) for each in _KINDS),
        min(1.0, math.log1p(len(proposal.text)) / math.log1p(MAX_CHARS)),
        min(1.0, proposal.tokens / max_tokens),
        _mean_probability(proposal),
        transition.reward_terms.get("process", 0.0),
        verdict.pass_ratio if verdict else 0.0,
        float(verdict is not None and verdict.outcome is Outcome.PASS),
        float(duplicate),
    )


def _mean_probability(proposal: Proposal) -> float:
    """Returns the geometric mean of the tokens' probabilities; 0 where the policy cannot tell."""
    if proposal.logprob is None:
        return 0.0
    return math.exp(min(0.0, proposal.logprob) / max(1, proposal.kept_tokens))


Embedding: TypeAlias = Callable[[str], NDArray[np.float32]]
"""Maps a text to a vector [D] with entries in [−1, 1], always of the same length."""

_WORD = re.compile(r"\w+")


def hashed_words(text: str, *, dimensions: AtLeastOne) -> NDArray[np.float32]:
    """Embeds a text as its bag of words under the hashing trick, of length 1 (Weinberger et al. 2009).

    Args:
        text: Anything.
        dimensions: D ≥ 1.
    """
    vector = np.zeros(dimensions, dtype=np.float32)
    for word in _WORD.findall(text.lower()):
        # crc32, as hash() of text is salted per process. One bit gives the sign, so that collisions cancel on
        # average.
        code = zlib.crc32(word.encode("utf-8", "surrogatepass"))
        vector[(code >> 1) % dimensions] += 1.0 if code & 1 else -1.0
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


@lru_cache(maxsize=64)
def load_embedding(spec: str) -> Embedding:
    """Returns the embedding that a spec names.

    Args:
        spec: See the module.

    Raises:
        UsageError: When it names none.
        PluginError: When the package that it comes from does not work.
    """
    kind, colon, dimensions = spec.partition(":")
    if kind != "hash" or not colon:
        return registry.bound("embedding", parse(spec), spec)
    if not dimensions.isdecimal():
        raise UsageError(f"embedding {spec!r}: expected hash?dimensions=D or hash:D with D >= 1")
    return registry.bound("embedding", Spec("hash", None, (("dimensions", dimensions),)), spec)
