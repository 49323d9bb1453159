"""Rulings by hand: votes, properties, a model that is asked; and what is learned and chosen by them."""

from dataclasses import replace

import pytest

from o1coder_gym.tcg.adversary.attack import Attack
from o1coder_gym.tcg.adversary.behaviour import UNTOLD
from o1coder_gym.tcg.adversary.choosing import by_class, by_rulings
from o1coder_gym.tcg.adversary.oracle import LACKING, output_question, read_output, ruling, rulings
from o1coder_gym.tcg.adversary.properties import has, lacking, properties_of
from o1coder_gym.tcg.adversary.signals import generator_rewards, hard_tests, preference_pairs
from o1coder_gym.types import ActionType, AssertTest, CallTest, Problem, State, Step

SORTED = Problem(
    "p",
    "def f(xs):\n    'Sort a list.'\n",
    "f",
    (CallTest("[[2, 1]]", "[1, 2]"), CallTest("[[3, 1, 2]]", "[1, 2, 3]")),
)


def board(*columns: str | tuple[str, ...], weights: tuple[float, ...], noisy: tuple[int, ...] = ()) -> Attack:
    """An attack whose every input parts programs; a column has a letter or a name a program."""
    names = tuple(tuple(f"={one}" if len(one) == 1 else one for one in column) for column in columns)
    inputs = tuple(f"[{place}]" for place in range(len(names)))
    return Attack(inputs, names, tuple(range(len(names))), dict.fromkeys(noisy, "noise"), (), 0, 0, weights)


PLAIN = Problem("p", "def f(x): ...", "f")


def test_votes_are_counted_by_sample() -> None:
    (one,) = rulings(PLAIN, board("112", weights=(1.0, 2.0, 4.0)))
    assert (one.right, one.output, one.confidence) == ("=2", "2", pytest.approx(4 / 7))
    # three classes, for the second input parts the first two programs; a vote a class: 2 of 3
    one, _ = rulings(PLAIN, board("112", "123", weights=(1.0, 2.0, 4.0)), power=0.0)
    assert (one.output, one.confidence) == ("1", pytest.approx(2 / 3))


@pytest.mark.parametrize(
    ("column", "weights"),
    [
        ("12", (1.0, 1.0)),
        ("21", (1.0, 1.0)),  # whoever was counted first
        ("123", (2.0, 2.0, 1.0)),
        ("112", (1.0, 2.0, 3.0)),
        (("1", "2", "runtime_error"), (1.0, 1.0, 1.0)),
        ("12", (0.3, 0.3)),  # of a step scorer
    ],
)
def test_a_tie_is_no_ruling(column: str | tuple[str, ...], weights: tuple[float, ...]) -> None:
    found = board(column, weights=weights)
    (one,) = ruled = rulings(PLAIN, found)
    assert (one.right, one.confidence) == (None, 0.0)
    # no test of the hard ones, no pair for DPO and no reward is made of the toss of a coin
    assert hard_tests(PLAIN, ruled).tests == ()
    assert preference_pairs(found, ruled, [end(code) for code in "abc"[: len(weights)]], split="train") == []
    assert generator_rewards(found, ruled, ["[0]"]) == [0.0]


def test_a_tie_still_tells_who_stands_lower() -> None:
    found = board("123", weights=(2.0, 2.0, 1.0))
    assert by_rulings(found, rulings(PLAIN, found)) == pytest.approx([0.4, 0.4, 0.2])
    failing = board(("1", "timeout", "timeout"), weights=(1.0, 1.0, 1.0))
    assert by_rulings(failing, rulings(PLAIN, failing)) == [0.0] * 3  # perhaps no input of the question


def test_where_most_fail_nothing_is_right() -> None:
    (one,) = rulings(PLAIN, board(("1", "runtime_error", "timeout"), weights=(1.0, 1.0, 1.0)))
    assert (one.right, one.confidence) == (None, 0.0)
    assert ruling("[1]", {}).right is None


@pytest.mark.parametrize("half", [1.0, 0.1 + 0.2])  # sums of a step scorer's votes come out rounded
def test_half_of_the_votes_are_not_most(half: float) -> None:
    rest = 1.0 if half == 1.0 else 0.3
    crash = board(("1", "runtime_error"), weights=(half, rest))
    assert [one.right for one in rulings(PLAIN, crash)] == [None]
    assert by_rulings(crash, rulings(PLAIN, crash)) == [0.0, 0.0]
    split = board("1123", weights=(half / 2, half / 2, rest / 2, rest / 2))
    ruled = rulings(PLAIN, split)
    assert ruled[0].output == "1"  # one class is the largest, but nothing is learned or kept of it
    ends = [end(code) for code in "abcd"]
    assert (hard_tests(PLAIN, ruled).tests, preference_pairs(split, ruled, ends, split="train")) == ((), [])


def test_a_test_is_kept_where_as_many_votes_stand_behind_it_as_asked_for() -> None:
    found = board("1112", weights=(1.0, 1.0, 1.0, 1.0))
    ruled = rulings(PLAIN, found)
    kept = [len(hard_tests(PLAIN, ruled, confidence=asked).tests) for asked in (0.7, 0.75, 1.0)]
    assert kept == [1, 0, 0]
    assert len(hard_tests(PLAIN, [ruling("[1]", {"=1": 2.0})], confidence=1.0).tests) == 1


def test_a_noisy_program_and_one_that_was_not_run_have_no_vote() -> None:
    (one,) = rulings(PLAIN, board(("1", "2", "not run"), weights=(1.0, 9.0, 9.0), noisy=(1,)))
    assert one.votes == {"=1": 1.0}


def test_an_output_that_lacks_a_property_counts_less() -> None:
    found = Attack(("[[3, 1]]",), (("=[3, 1]", "=[1, 3]"),), (0,), {}, (), 0, 0, (3.0, 1.0))
    (one,) = rulings(SORTED, found)
    assert one.output == "[1, 3]"
    assert one.votes["=[3, 1]"] == pytest.approx(3 * LACKING)


def test_a_model_that_is_asked_has_votes() -> None:
    found = board("12", weights=(3.0, 2.0))
    (one,) = rulings(PLAIN, found, ask=lambda problem, inputs: [["2", "2", "7"]], trust=1.0)
    assert one.output == "2"  # 2 + 2/3 · 5 against 3; nobody returns 7
    assert one.votes["=2"] == pytest.approx(2 + 10 / 3)


def test_a_model_that_is_asked_agrees_within_rounding() -> None:
    found = Attack(("[1]",), (("=0.3", "=0.5"),), (0,), {}, (), 0, 0, (2.0, 3.0))
    (one,) = rulings(PLAIN, found, ask=lambda problem, inputs: [["0.30000000000000004"]])
    assert one.output == "0.3"


@pytest.mark.parametrize(
    ("text", "output"),
    [("[1, 2]\nbecause", "[1, 2]"), ("`3`", "3"), ("f(2) == 4", "4"), ("I think", None), ("", None)],
)
def test_an_answer_is_read(text: str, output: str | None) -> None:
    assert read_output(text, PLAIN) == output


@pytest.mark.parametrize(
    ("text", "output"), [("12", None), ("[1, 2]", None), ("12\nas", "12"), ("\n\n12", None), ("\n12\n", "12")]
)
def test_of_an_answer_that_was_cut_only_an_ended_line_counts(text: str, output: str | None) -> None:
    assert read_output(text, PLAIN, cut=True) == output
    assert read_output(text, Problem("p", "Print the numbers."), cut=True) is None


def test_of_a_program_the_answer_is_what_is_printed() -> None:
    whole = Problem("p", "Print the numbers.")
    assert "print for the input below" in output_question(whole, "1 2\n")
    assert read_output("```\n1\n2\n```", whole) == "1\n2"
    assert "f(3)?" in output_question(PLAIN, "[3]")


@pytest.mark.parametrize(
    ("prompt", "shown", "given", "wrong", "name"),
    [
        ("The prime factors.", (("[6]", "[2, 3]"), ("[4]", "[2, 2]")), "[12]", "[2, 3]", "factors"),
        ("In binary.", (("[2]", "'10'"), ("[3]", "'11'")), "[4]", "'10'", "digits"),
        ("Reversed text.", (("['ab']", "'ba'"), ("['xy']", "'yx'")), "['abc']", "'bca'", "mirrored"),
        ("The median.", (("[[1, 3, 2]]", "2"), ("[[5]]", "5")), "[[1, 2]]", "3", "within"),
    ],
)
def test_an_output_that_does_not_lead_back_or_is_out_of_bounds_lacks_something(
    prompt: str, shown: tuple[tuple[str, str], ...], given: str, wrong: str, name: str
) -> None:
    problem = Problem("p", prompt, "f", tuple(CallTest(*pair) for pair in shown))
    found = properties_of(problem)
    assert name in found
    assert name in lacking(found, given, wrong)
    assert all(lacking(found, *pair) == [] for pair in shown)


def test_properties_come_from_examples_and_words() -> None:
    found = properties_of(SORTED)
    assert {"ascending", "rearranged", "type"} <= set(found)
    assert lacking(found, "[[2, 1]]", "[1, 2]") == []
    assert set(lacking(found, "[[2, 1]]", "[2, 1]")) == {"ascending"}
    assert {"rearranged", "type"} <= set(lacking(found, "[[2, 1]]", "(1, 1)"))
    assert lacking(found, "no literal", "[") == []


def test_a_value_that_a_property_is_not_about_has_it_not() -> None:
    for holds in (lambda _, output: output["key"], lambda _, output: output[2]):
        assert not has(holds, (), {})
        assert not has(holds, (), [])
    reverse = Problem("p", "Reverse a dict.", "f", (CallTest("[{1: 2}]", "{2: 1}"),) * 2)
    assert "mirrored" not in properties_of(reverse)  # slices may be keys since Python 3.12


def test_one_example_shows_no_property() -> None:
    assert properties_of(replace(SORTED, public_tests=SORTED.public_tests[:1])) == {}
    asserts = (AssertTest("assert f([2, 1]) == [1, 2]"), AssertTest("assert f([1]) == [1]"))
    assert "ascending" in properties_of(replace(SORTED, public_tests=asserts))


def test_scores_by_class_and_by_rulings() -> None:
    # columns: a a b · a c b; weights 3 2 4 → classes {0}: 3, {1}: 2, {2}: 4
    found = board("112", "132", weights=(3.0, 2.0, 4.0))
    assert by_class(found) == [3.0, 2.0, 4.0]
    ruled = rulings(PLAIN, found)
    # standings: first input 5/9 5/9 4/9, second 3/9 2/9 4/9
    assert by_rulings(found, ruled) == pytest.approx([4 / 9, 3.5 / 9, 4 / 9])
    noisy = replace(found, noisy={2: "noise"})
    assert by_class(noisy)[2] == by_rulings(noisy, rulings(PLAIN, noisy))[2] == -1.0


def test_results_that_cannot_be_told_apart_are_not_taken_for_agreement() -> None:
    found = board(("1", UNTOLD, UNTOLD, "2"), "1123", weights=(2.0, 2.0, 2.0, 1.0))
    assert by_class(found) == [2.0, 2.0, 2.0, 1.0]
    found = board(("1", UNTOLD, UNTOLD, "2"), weights=(2.0, 2.0, 2.0, 1.0))
    assert by_class(found) == [2.0, 2.0, 2.0, 1.0]  # not 4.0, the weight of what has no literal
    assert by_rulings(found, rulings(PLAIN, found)) == pytest.approx([2 / 7, 0.0, 0.0, 1 / 7])


def end(code: str, *before: str) -> State:
    return State("p", (*(Step(ActionType.DEFINE, text) for text in before), Step(ActionType.CODE, code)))


def test_a_survivor_is_preferred_to_who_falls() -> None:
    found = board("112", weights=(2.0, 2.0, 1.0))
    ruled = rulings(PLAIN, found)
    pairs = preference_pairs(found, ruled, [end("a"), end("b", "plan"), end("c")], split="train")
    assert [(pair.chosen.text, pair.rejected.text) for pair in pairs] == [("a", "c")]  # b had another plan
    assert (pairs[0].chosen_value, pairs[0].rejected_value) == (pytest.approx(0.8), pytest.approx(0.2))
    assert preference_pairs(found, [replace(ruled[0], right=None)], [end("a")] * 3, split="train") == []


def test_an_input_is_worth_who_falls_on_it() -> None:
    found = board("1112", ("1", "1", "timeout", "timeout"), weights=(1.0, 1.0, 1.0, 1.0))
    ruled = rulings(PLAIN, found)
    assert generator_rewards(found, ruled, ["[0]", "[9]"]) == [pytest.approx(0.75 * 0.25), 0.0]
    assert hard_tests(PLAIN, ruled).tests[0] == CallTest("[0]", "1")
    assert hard_tests(PLAIN, ruled).weights[0] == 0.75


def test_an_input_is_worth_as_much_wherever_it_stands() -> None:
    # the second input parts nobody whom the first leaves together, and yet programs fall on it
    found = replace(board("1112", "1112", weights=(1.0, 1.0, 1.0, 1.0)), parting=(0,))
    ruled = rulings(PLAIN, found, places=range(2))
    assert generator_rewards(found, ruled, ["[1]", "[0]"]) == [pytest.approx(0.75 * 0.25)] * 2
    noisy = replace(found, noisy={3: "noise"})
    assert generator_rewards(noisy, rulings(PLAIN, noisy, places=range(2)), ["[1]"]) == [0.0]


def test_a_program_that_was_not_run_on_an_input_did_not_fall_there() -> None:
    found = board(("1", "2", "not run"), weights=(2.0, 1.0, 1.0))
    ruled = rulings(PLAIN, found)
    assert generator_rewards(found, ruled, ["[0]"]) == [pytest.approx(2 / 3 * 1 / 3)]
    pairs = preference_pairs(found, ruled, [end("a"), end("b"), end("c")], split="train")
    assert [(pair.chosen.text, pair.rejected.text) for pair in pairs] == [("a", "b")]
