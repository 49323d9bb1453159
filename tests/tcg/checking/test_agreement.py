"""Votes on outputs and the choice of inputs, by hand."""

from o1coder_gym.tcg.checking.agreement import Agreed, consensus, majority
from o1coder_gym.tcg.mutation import spread

# three solutions, four inputs: two agree on the first, all on the second, nobody on the others
OUTPUTS = [["1", "a", "x", None], ["1", "a", "y", None], ["2", "a", None, None]]


def test_majority_counts_failures_as_disagreeing() -> None:
    two_thirds = Agreed("1", 2 / 3)
    assert majority(OUTPUTS) == [two_thirds, Agreed("a", 1.0), None, None]
    assert majority(OUTPUTS, threshold=1.0) == [None, Agreed("a", 1.0), None, None]
    assert majority([["1"], ["2"]], threshold=0.5) == [None]


def test_consensus_takes_one_behaviour_as_a_whole() -> None:
    voters = [["1", "a"], ["1", "a"], ["2", "a"], ["3", "b"]]
    assert consensus(voters) == [Agreed("1", 0.5), Agreed("a", 0.5)]
    assert consensus(voters, threshold=0.5) == [None, None]
    # by input, "a" has three votes of four; by behaviour it has two
    assert majority(voters, threshold=0.6) == [None, Agreed("a", 0.75)]


def test_solutions_that_always_fail_are_no_consensus() -> None:
    assert consensus([[None, None], [None, None], ["1", None]]) == [Agreed("1", 1 / 3), None]
    assert consensus([[None], [None]]) == [None]
    assert consensus([]) == []
    assert majority([]) == []


def test_spread_takes_one_of_each_output_first() -> None:
    outputs = ["a", "a", "a", "b", "c", "b"]
    assert spread(outputs, 3) == [0, 3, 4]
    assert spread(outputs, 5) == [0, 1, 3, 4, 5]
    assert spread(outputs, 9) == [0, 1, 2, 3, 4, 5]
    assert spread([], 3) == []
