"""Features of choices, number by number; the embedding; the mask."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o1coder_gym.errors import UsageError
from o1coder_gym.steps import choices
from o1coder_gym.steps.choices import (
    PROPOSAL_FEATURES,
    STATE_FEATURES,
    Features,
    Offer,
    hashed_words,
    load_embedding,
)
from o1coder_gym.types import (
    ActionType,
    CaseResult,
    Outcome,
    Problem,
    Proposal,
    State,
    Step,
    Transition,
    Verdict,
)

PROBLEM = Problem("p", "Add two numbers.", "add")
ROOT = State("p")
HALF = Verdict(Outcome.WRONG_ANSWER, (CaseResult(Outcome.PASS), CaseResult(Outcome.WRONG_ANSWER)))


def offer(
    kind: ActionType, text: str, *, reward: float = 0.0, verdict: Verdict | None = None, **proposal
) -> Offer:
    state = ROOT.then(Step(kind, text))
    transition = Transition(state, reward, verdict is not None, False, "", verdict, {"process": 0.25})
    return Offer(Proposal(text, **{"tokens": 10, **proposal}), transition)


DEFINE = offer(ActionType.DEFINE, "plan", logprob=-5.0)
CODE = offer(ActionType.CODE, "pass", verdict=HALF, reward=0.5, tokens=30)
JUNK = offer(ActionType.MALFORMED, "junk")
FAILED = offer(ActionType.CODE, "x", verdict=Verdict(Outcome.INFRASTRUCTURE), reward=math.nan)


def row(features: np.ndarray, index: int) -> dict[str, float]:
    size = len(PROPOSAL_FEATURES)
    return dict(zip(PROPOSAL_FEATURES, features[index * size : (index + 1) * size].tolist(), strict=True))


def test_features_of_proposals_by_hand() -> None:
    observation = Features(4, 8, 40).observe(PROBLEM, ROOT, [DEFINE, CODE, DEFINE])
    define, code, again, missing = (row(observation["proposals"], index) for index in range(4))
    assert define == pytest.approx(
        {
            "offered": 1,
            "malformed": 0,
            "define": 1,
            "refine": 0,
            "code": 0,
            "length": math.log(5) / math.log(16_385),
            "tokens": 0.25,  # 10 of 40
            "probability": math.exp(-0.5),  # −5 over 10 tokens
            "prm": 0.25,
            "pass_ratio": 0,
            "solved": 0,
            "duplicate": 0,
        },
        rel=1e-5,
    )
    assert (code["code"], code["pass_ratio"], code["solved"], code["probability"]) == (1, 0.5, 0, 0)
    assert again == {**define, "duplicate": 1}
    assert set(missing.values()) == {0}


def test_features_of_states_by_hand() -> None:
    state = ROOT.then(Step(ActionType.DEFINE, "a")).then(Step(ActionType.MALFORMED, "b"))
    values = Features(1, 8, 40).observe(PROBLEM, state, [])["state"].tolist()
    named = dict(zip(STATE_FEATURES, values, strict=True))
    assert named == {"depth": 0.25, "malformed": 0.125, "define": 0.125, "refine": 0, "last_malformed": 1}


def test_the_mask_leaves_what_makes_sense() -> None:
    assert choices.mask([DEFINE, JUNK, DEFINE, FAILED], 4).tolist() == [True, False, False, False]
    assert choices.mask([JUNK, CODE], 4).tolist() == [False, True, False, False]
    assert choices.mask([JUNK, JUNK], 2).tolist() == [True, False]
    assert choices.mask([], 2).tolist() == [True, True]


def test_sizes_say_what_observe_returns() -> None:
    features = Features(3, 8, 40, embedding="hash:7")
    observation = features.observe(PROBLEM, ROOT, [CODE])
    assert features.sizes() == {name: len(vector) for name, vector in observation.items()}
    assert features.sizes()["embedding"] == 7
    assert all(vector.dtype == np.float32 for vector in observation.values())


@given(text=st.text(), dimensions=st.integers(1, 40))
def test_hashed_words_have_length_one_or_zero(text: str, dimensions: int) -> None:
    length = float(np.linalg.norm(hashed_words(text, dimensions=dimensions)))
    assert length == pytest.approx(1.0, abs=1e-5) or length == 0.0


def test_hashed_words_tell_texts_apart_by_words_only() -> None:
    embed = load_embedding("hash:64")
    assert np.array_equal(embed("sort the list"), embed("the LIST: sort"))
    assert not np.array_equal(embed("sort the list"), embed("sum the list"))


def test_an_embedding_may_be_any_function() -> None:
    assert load_embedding("o1coder_gym.steps.choices:hashed_words") is hashed_words
    for spec in ("hash:0", "hash:x", "plain"):
        with pytest.raises(UsageError, match="embedding"):
            load_embedding(spec)
    with pytest.raises(UsageError, match="No module named 'nowhere'"):
        load_embedding("nowhere.module:function")
