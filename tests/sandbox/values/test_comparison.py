import json
import math
import random
from collections import deque
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from o1coder_gym.sandbox.values.codec import encode
from o1coder_gym.sandbox.values.comparison import brief, equal, same
from o1coder_gym.sandbox.values.literals import encode_literal
from o1coder_gym.sandbox.values.standard_output import same_stdout
from tests.examples import examples

NUMBERS = st.booleans() | st.integers(-3, 3) | st.sampled_from([-0.0, 0.5, 1.0, 2.0, 2.0**64, 2**64, 1 + 0j])
HASHABLE = st.recursive(
    st.none() | NUMBERS | st.sampled_from(["", "a", "1", b"", b"a", Fraction(1, 2), math.inf]),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=3).map(deque)
        | st.sets(HASHABLE, max_size=3)
        | st.dictionaries(HASHABLE, inner, max_size=3)
    ),
    max_leaves=8,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("itszdbcfmqrgyh") | st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=10,
)


def relate(got, expected, tol=None):
    return same(encode(got), encode(expected), tol)


@given(VALUES, VALUES)
@settings(max_examples=examples(500), deadline=None)
def test_equal_is_pythons_equality(got, expected):
    assert equal(encode(got), encode(expected)) is (got == expected)


@given(VALUES)
@settings(max_examples=100, deadline=None)
def test_every_value_is_the_same_as_itself_in_any_order_of_hashing(value):
    def shuffled(tree):
        if isinstance(tree, dict):
            ((tag, body),) = tree.items()
            return {tag: random.sample(body, len(body)) if tag in "szd" else shuffled(body)}
        return [shuffled(item) for item in tree] if isinstance(tree, list) else tree

    text = encode(value)
    other = json.dumps(shuffled(json.loads(text)), indent=1)
    assert same(text, text)
    assert same(other, text)
    assert equal(other, text)


@given(JSON, VALUES)
@example({"s": [{"number": "x"}, 1]}, {1, 2})
@example({"f": [1, 0]}, 1)
@example({"r": [1, 2, 0]}, range(3))
@settings(max_examples=examples(300), deadline=None)
def test_a_forged_tree_is_never_an_exception(forged, expected):
    text = json.dumps(forged)
    assert same(text, encode(expected)) in (True, False)
    assert equal(text, encode(expected)) in (True, False)
    assert len(brief(text)) <= 200


@given(st.binary(max_size=60))
def test_no_bytes_are_an_exception(data):
    assert not same(data, encode([1, {2: 3}]))
    assert len(brief(data)) <= 200


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"t":' * 50_000,
        "9" * 100_000,
        '{"i":"' + "9" * 100_000,
        "1e999999999",
        '"' + "\\u0000" * 9999,
    ],
    ids=["deep list", "deep tags", "long int", "unfinished", "overflow", "unfinished text"],
)
def test_bombs_are_simply_not_equal(text):
    for expected in (1, 1.5, [1], (1,), {1}, {1: 1}, None, "a"):
        assert not same(text, encode(expected))
    assert len(brief(text)) <= 200


@pytest.mark.parametrize("inside", ['{"s":[%s]}', '{"d":[[%s,0]]}', '{"d":[[{"z":[%s]},[]]]}'])
def test_containers_within_containers_do_not_take_exponential_time(inside):
    tree = "1"
    for _ in range(80):
        tree = inside % tree
    assert same(tree + " ", tree)
    assert not same(tree, '{"s":[1]}')
    assert not same(tree, '{"d":[[1,1]]}')


@pytest.mark.parametrize("tag", "itszdbcfmqrgyh")
def test_a_body_that_is_a_mapping_is_nothing_to_show(tag):
    body = json.dumps({str(number): number for number in range(200)})
    assert len(brief(f'{{"{tag}":{body}}}')) <= 200
    assert not same(f'{{"{tag}":{body}}}', encode({1}))


def test_a_huge_exponent_costs_nothing():
    assert not same('{"m":[1,999999999999]}', "1.0")
    assert not same('{"m":[1,-999999999999]}', "1.0")
    assert not same(encode([10**5000]), "[1.0]")
    assert same(encode(Decimal("1e3000")), encode(10**3000))


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (True, 1),
        (1, True),
        (0, False),
        ([True], [1]),
        ({1: True}, {1: 1}),
        ({True}, {1}),
        ((1, 2), [1, 2]),
        (deque([1, 2]), [1, 2]),
        ({1: 0}.keys(), [1]),
        ({1: 0}.items(), {1: 0}),
        ({1: 0}.values(), {0}),
        ("1", 1),
        (b"a", "a"),
        (None, 0),
        ([], None),
        ([], [1]),
        ([[]], []),
        ([1, 1], [1]),
        (math.inf, 1e308),
        (1e308, math.inf),
        (math.inf, -math.inf),
        (math.nan, 1.0),
        (1.0, math.nan),
        (10**400, 1.0),
        (1, 2),
        (1 + 1j, 1),
        ("a\n", "a"),
        ("\ud800", "\ud801"),
    ],
)
def test_what_a_call_test_tells_apart(got, expected):
    assert not relate(got, expected)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (1.0, 1),
        (1, 1.0),
        (2**64, 2.0**64),
        (Fraction(1, 2), 0.5),
        (Decimal("0.3"), 0.1 + 0.2),
        (1 + 0j, 1),
        (math.nan, math.nan),
        (math.inf, math.inf),
        ([math.nan, {1: (-0.0,)}], [math.nan, {1: (0,)}]),
        (frozenset({1}), {1}),
        ({2: 0, 1: 0}.keys(), {1, 2}),
        ({"a": 0.5}.items(), {("a", 0.5)}),
        ({(1, "a"), (None, b"b")}, {(None, b"b"), (1, "a")}),
        ({"b": 1, "a": {2, 3}}, {"a": {3, 2}, "b": 1}),
        (range(0), range(5, 2)),
    ],
)
def test_what_a_call_test_takes_for_the_same(got, expected):
    assert relate(got, expected)


def test_an_assert_takes_true_for_one_and_nan_for_nothing():
    assert equal("true", "1")
    assert equal('{"s":[true]}', '{"s":[1]}')
    assert not equal("NaN", "NaN")
    assert not equal("[NaN]", "[NaN]")


def test_tolerance_is_absolute_plus_relative_and_only_for_expected_floats():
    # 1e-6 + 1e-6 * 1000 = 0.001001
    assert relate(1000.001, 1000.0)
    assert not relate(1000.002, 1000.0)
    assert not relate(1000.0000001, 1000)
    assert relate(1.25, 1.0, tol=0.125)
    assert not relate(1.3, 1.0, tol=0.125)
    assert not relate(0.1 + 0.2, 0.3, tol=0.0)
    assert relate({"a": [1.0 + 1e-9]}, {"a": [1.0]})
    assert relate({1.0 + 1e-9, 5.0}, {1.0, 5.0})
    assert relate(1 + 1e-9 + 1j, 1 + 1j)
    assert not relate(math.nan, 0.0, tol=math.inf)


def test_an_infinite_value_is_not_close_to_a_huge_one():
    assert not relate(math.inf, 1.7e308, tol=1.0)
    assert not relate(-1.7e308, 1.7e308, tol=0.5)


def test_many_colliding_keys_are_compared_quickly():
    # all hash alike: a hash table of them takes quadratic time
    keys = [index * ((1 << 61) - 1) for index in range(30_000)]
    got = json.dumps({"s": [{"i": hex(key)} for key in reversed(keys)]})
    assert same(got, json.dumps({"s": [{"i": hex(key)} for key in keys]}))


@pytest.mark.parametrize(
    ("got", "expected", "agree"),
    [
        ("5 5 5", "5", False),
        ("5", "5 5 5", False),
        ("a\nb", "b\na", False),
        ("a b", "a\nb", False),
        ("a\nb", "a b", False),
        ("a\n\nb", "a\nb", False),
        ("", "1", False),
        ("1", "1.0", True),
        ("yes", "YES", False),
        ("1  2 \t\n3\n\n", "1 2\n3", True),
        ("1\r\n2\r\n", "1\n2", True),
        (" 1", "1", True),
        ("", "\n", True),
        ("\u2028a", "a", True),
    ],
)
def test_stdout_is_compared_by_lines_and_tokens(got, expected, agree):
    assert same_stdout(got, expected) is agree


def test_stdout_floats_may_be_close_when_asked():
    assert same_stdout("0.33333 x", "0.33333333 x", tol=1e-4)
    assert not same_stdout("0.33333", "0.33333333")
    assert not same_stdout("3.0000001", "3", tol=1e-4)
    assert not same_stdout("nan", "0.5", tol=1.0)
    assert not same_stdout("inf", "1e300", tol=1.0)
    assert not same_stdout("0_5", "0.5", tol=1.0)
    assert not same_stdout("1e999", "0.5", tol=1.0)
    assert not same_stdout("1" * 1_000_000 + "x", "0.5", tol=1.0)
    assert same_stdout("7", "7.0", tol=0.0)


@given(st.lists(st.lists(st.text("ab1.", min_size=1), max_size=3), max_size=4))
def test_stdout_agrees_with_itself_whatever_the_space(lines):
    text = "\n".join(" ".join(line) for line in lines)
    assert same_stdout("\n".join("\t".join(line) + "  " for line in lines) + "\n\n", text)


def test_brief_shows_what_repr_shows():
    texts = """1; -1.5; True; None; "a'\\n"; [1, [2]]; (1,); (1, 2); (); {1, 2}; set(); {'a': [1], 2: None};
        b'ab'; 1j; (1+2j); 1180591620717411303424; {}; range(1, 2, 3); inf; nan"""
    for text in map(str.strip, texts.split(";")):
        assert brief(encode_literal(text)) == text


def test_brief_is_short_and_harmless():
    assert brief(encode(list(range(100_000)))).startswith("[0, 1, 2, 3")
    assert len(brief(encode("x" * 100_000))) == 200
    assert len(brief(encode(1 << 100_000), limit=50)) == 50
    assert "\x1b" not in brief(encode("\x1b[2J\ud800"))
    assert "\x1b" not in brief("\x1b[2J")
    assert brief(encode(Decimal("1.5"))) == "Decimal('15E-1')"
    assert brief('{"h":3}') == "<object 3 of the program>"
