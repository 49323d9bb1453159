"""Seeds by hash: no two purposes, runs and indices share one; earlier runs go on by the earlier rule."""

from itertools import product

from o1coder_gym.runs.seeds import added_seed, derive_seed, derive_stream
from o1coder_gym.types import State


def test_no_two_streams_are_one() -> None:
    names = list(product(range(20), ("held out", "synthesis", "test"), range(20)))
    assert len({derive_stream(seed, *name) for seed, *name in names}) == len(names)
    assert derive_stream(0, "held out", 1) != derive_stream(0, "held out", "1")
    assert all(0 <= derive_stream(seed, "x") < 2**63 for seed in range(100))


def test_streams_of_earlier_versions_stay() -> None:
    """They are in golden trees and journals."""
    assert derive_stream(0, "epoch", "1") == 4546196660651861553
    assert derive_seed(0, State("p"), 0) == 6146447336842963077


def test_added_seeds_are_those_of_earlier_versions() -> None:
    assert [added_seed(3, "held out", index) for index in range(3)] == [3, 4, 5]
    assert added_seed(3, "rl", 10, 2) == 15
    assert added_seed(3, "test") == 3
