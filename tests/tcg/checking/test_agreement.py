"""Votes on outputs and the choice of inputs, by hand."""

from o1coder_gym.tcg.checking.agreement import Agreed, consensus, majority
from o1coder_gym.tcg.checking.question_comparison import same_of
from o1coder_gym.tcg.mutation import spread
from o1coder_gym.types import AssertTest, Problem

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


def test_votes_are_counted_by_what_is_the_same() -> None:
    same = same_of(Problem("p", "Adds.", "f"))
    # 0.1 + 0.2 and 0.3 are one answer, and win against two that agree by text
    voters = [["0.30000000000000004"], ["0.3"], ["0.3000000001"], ["7"], ["7"]]
    assert majority(voters, same=same) == [Agreed("0.30000000000000004", 3 / 5)]
    assert majority(voters) == [None]
    assert consensus(voters, same=same) == [Agreed("0.30000000000000004", 3 / 5)]


def test_line_ends_do_not_split_a_vote() -> None:
    same = same_of(Problem("p", "Prints five."))
    voters = [["5\n"], ["5"], ["5 \n\n"], ["6"], ["6"]]
    assert consensus(voters, same=same) == [Agreed("5\n", 3 / 5)]


def test_the_question_says_what_is_the_same() -> None:
    unordered = Problem("p", "Common.", "f", (AssertTest("assert set(f([1], [1])) == {1}"),))
    near = Problem("p", "Pi.", "f", (AssertTest("assert math.isclose(f(1), 3.14, rel_tol=0.01)"),))
    assert majority([["[1, 2]"], ["[2, 1]"], ["[1]"]], same=same_of(unordered)) == [Agreed("[1, 2]", 2 / 3)]
    assert majority([["3.14"], ["3.15"], ["3.3"]], same=same_of(near)) == [Agreed("3.14", 2 / 3)]
    assert majority([["[1, 2]"], ["[2, 1]"], ["[1]"]], same=same_of(Problem("p", "", "f"))) == [None]


def test_the_most_frequent_text_stands_for_its_like() -> None:
    same = same_of(Problem("p", "Halves.", "f"))
    assert majority([["0.5000000001"], ["0.5"], ["0.5"]], same=same) == [Agreed("0.5", 1.0)]


def test_a_tie_is_no_agreement() -> None:
    assert majority([["1"], ["1"], ["2"], ["2"]], threshold=0.3) == [None]
    tied = [["1", "a"], ["1", "a"], ["1", "b"], ["1", "b"]]
    # both sets say 1, and only that is agreed on, by all four
    assert consensus(tied) == [Agreed("1", 1.0), None]
