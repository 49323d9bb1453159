"""The text space: quick, printable, and loud where it cannot work."""

import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv

from o1coder_gym.envs import UnicodeText


def test_samples_are_printable_texts_inside_the_space() -> None:
    space = UnicodeText(1000, seed=1)
    samples = [space.sample() for _ in range(200)]
    assert all(sample in space and sample.isascii() and sample for sample in samples)
    assert len(set(samples)) > 150


def test_equal_seeds_draw_equal_texts() -> None:
    assert UnicodeText(50, seed=3).sample() == UnicodeText(50, seed=3).sample()
    assert UnicodeText(50, seed=3).sample() != UnicodeText(50, seed=4).sample()


@pytest.mark.parametrize("text", ["", "π ≈ 3.14 😀", "\x00", "x" * 10])
def test_any_text_up_to_the_length_is_inside(text: str) -> None:
    assert text in UnicodeText(10)


@pytest.mark.parametrize("thing", ["x" * 11, b"bytes", 3, None, np.array("x")])
def test_nothing_else_is(thing: object) -> None:
    assert thing not in UnicodeText(10)


def test_spaces_compare_pickle_and_go_through_json() -> None:
    space = UnicodeText(10)
    assert space == UnicodeText(10) == pickle.loads(pickle.dumps(space))
    assert space != UnicodeText(11)
    assert hash(space) == hash(UnicodeText(10))
    assert space.from_jsonable(space.to_jsonable(["a", "ü"])) == ["a", "ü"]
    with pytest.raises(ValueError, match="at least 1"):
        UnicodeText(0)


def test_shared_memory_is_refused_loudly() -> None:
    with pytest.raises(ValueError, match="shared_memory"):
        AsyncVectorEnv([lambda: gymnasium.make("O1Coder/Starter-v0")] * 2, shared_memory=True)
