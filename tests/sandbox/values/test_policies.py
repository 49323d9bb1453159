"""What each comparison policy accepts; the cases of official graders are in test_fidelity.py."""

import math

import pytest

from o1coder_gym.sandbox.values.codec import encode
from o1coder_gym.sandbox.values.policies import POLICIES, named, table


@pytest.mark.parametrize(
    ("got", "expected", "accepting"),
    [
        ("1\n", "1\n", set(POLICIES)),
        ("1", "1\n", set(POLICIES) - {"exact"}),
        ("\n\n1 \n\n", "1", set(POLICIES) - {"exact"}),
        ("1\r\n2\r\n", "1\n2", set(POLICIES) - {"exact"}),
        ("1\t2", "1 2", set(POLICIES) - {"exact"}),
        ("a  b", "a b", set(POLICIES) - {"exact", "livecodebench"}),
        ("1\n\n2", "1\n2", {"tokens", "codeforces", "apps"}),
        ("1\n2", "1 2", {"tokens", "codeforces"}),
        ("6.0", "6", set(POLICIES) - {"exact", "tokens", "taco", "unordered"}),
        ("1e-05", "0.00001", set(POLICIES) - {"exact", "tokens", "taco", "unordered"}),
        ("0.30000000000000004", "0.3", {"numbers", "codeforces", "apps"}),
        ("0.33334", "0.333333", set()),
        ("007", "7", set()),
        ("1000001", "1000000", set()),
        ("2\n1", "1\n2", {"unordered"}),
        ("2 1", "1 2", set()),
        ("1\n1\n2", "1\n2\n2", set()),
        ("nan", "0.5", set()),
        ("", "0", set()),
        ("0", "", set()),
    ],
)
def test_texts_are_accepted_by_these_policies(got, expected, accepting):
    found = {name for name, policy in POLICIES.items() if policy.text(got, expected)}
    assert found == accepting


JSON_LIKE = {"apps", "taco"}


@pytest.mark.parametrize(
    ("got", "expected", "accepting"),
    [
        ([1, [2]], [1, [2]], set(POLICIES)),
        ((1, 2), [1, 2], JSON_LIKE | {"livecodebench", "leetcode", "unordered"}),
        ([(1, 2)], [[1, 2]], JSON_LIKE | {"leetcode", "unordered"}),
        ({"a": (1,)}, {"a": [1]}, JSON_LIKE | {"leetcode", "unordered"}),
        (5, [5], JSON_LIKE),
        ([5], 5, JSON_LIKE),
        ((5,), 5, JSON_LIKE),
        (1, [1, 2], set()),
        ([], 0, set()),
        ({1: "a", 2: "b"}, {"1": "a", "2": "b"}, JSON_LIKE),
        (True, 1, set(POLICIES) - {"lines", "numbers", "unordered"}),
        (0.1 + 0.2, 0.3, {"lines", "numbers", "unordered", "leetcode", "evalplus"}),
        (math.nan, math.nan, {"lines", "numbers", "unordered"}),
        ([[2], [1]], [[1], [2]], {"unordered"}),
        ([[1, 2]], [[2, 1]], set()),
        ({3, 1}, [1, 3], set()),
        ("1", 1, set()),
        (None, [], set()),
    ],
)
def test_values_are_accepted_by_these_policies(got, expected, accepting):
    found = {name for name, policy in POLICIES.items() if policy.value(encode(got), encode(expected))}
    assert found == accepting


@pytest.mark.parametrize(
    ("name", "got", "agree"),
    [
        ("numbers:1e-3", "0.5009", True),
        ("numbers:1e-3", "0.5020", False),
        ("numbers:0:1e-2", "0.504", True),
        ("numbers:0:1e-2", "0.506", False),
    ],
)
def test_numbers_takes_an_absolute_and_a_relative_tolerance(name, got, agree):
    assert named(name).text(got, "0.5") is agree
    assert named(name).value(got, "0.5") is agree


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("codeforce", "did you mean 'codeforces'"),
        ("nothing", "known: apps"),
        ("lines:1", "only numbers takes"),
        ("numbers:x", "only numbers takes"),
        ("numbers:-1", "only numbers takes"),
        ("numbers:1:2:3", "only numbers takes"),
        ("numbers:inf", "only numbers takes"),
    ],
)
def test_unknown_policies_are_refused_with_the_nearest_name(name, message):
    with pytest.raises(ValueError, match=message):
        named(name)


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize(
    "got", ["\n" * 1_000_000, "x" + "\n " * 500_000 + "y", "1 " * 500_000, '["' * 500_000]
)
def test_foreign_texts_of_any_shape_are_only_wrong(policy, got):
    assert not policy.text(got, "x\n5")
    assert not policy.value(got, "[5,[5]]")


def test_the_table_names_every_policy():
    assert [line.split("`")[1] for line in table() if "`" in line] == list(POLICIES)
