"""Values as text: read back as they were written, never evaluated."""

from collections import deque
from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o1coder_gym.sandbox.values.codec import encode
from o1coder_gym.sandbox.values.comparison import same
from o1coder_gym.sandbox.values.literals import encode_literal
from o1coder_gym.tcg.reading.literals import (
    bracket_extent,
    literal_of,
    parse_source,
    read_literal,
    write_literal,
)
from tests.ids import without_address

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.sets(st.integers(), max_size=4)
    ),
    max_leaves=8,
)


@given(values)
def test_reading_gives_back_what_was_written(value: object) -> None:
    assert read_literal(write_literal(value)) == value


@given(values)
def test_encoded_results_have_the_same_literals_but_for_the_order_of_dicts(value: object) -> None:
    assert read_literal(literal_of(encode(value))) == value


def test_equal_sets_and_dicts_have_equal_literals_whatever_their_order() -> None:
    assert write_literal({3, 1, 2}) == "{1, 2, 3}"
    assert literal_of(encode({"b": 1, "a": 2})) == literal_of(encode({"a": 2, "b": 1}))


def test_the_odd_ones() -> None:
    assert [write_literal(value) for value in (set(), (1,), (), float("inf"), -0.0)] == [
        "set()",
        "(1,)",
        "()",
        "1e999",
        "-0.0",
    ]
    assert literal_of(encode(1 << 70)) == str(1 << 70)
    assert literal_of(encode(2 - 3j)) == "(2.0-3.0j)"


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (Decimal("1.50"), "Decimal('1.50')"),
        ([Decimal(-3), Decimal("1E+30")], "[Decimal('-3'), Decimal('1E+30')]"),
        (Fraction(-7, 2), "Fraction(-7, 2)"),
        (float("nan"), "nan"),
        (range(1, 9, 2), "range(1, 9, 2)"),
        (deque([1, (2,)]), "deque([1, (2,)])"),
        ({frozenset({2, 1}), frozenset()}, "{frozenset(), frozenset({1, 2})}"),
        ({"b": 1, "a": 2}.keys(), "{'a', 'b'}"),
        ({"a": 2}.items(), "{('a', 2)}"),
        (bytearray(b"a"), "b'a'"),
        (np.bool_(True), "True"),
    ],
    ids=str,
)
def test_results_that_the_judge_can_compare_have_a_literal(value: object, literal: str) -> None:
    assert literal_of(encode(value)) == literal
    assert same(encode(value), encode_literal(literal))


@pytest.mark.parametrize("value", [iter([1, 2]), date(2024, 1, 2), [1 << 9_000], np.arange(3)], ids=type)
def test_results_that_the_judge_cannot_compare_with_a_literal_have_none(value: object) -> None:
    with pytest.raises(ValueError):
        literal_of(encode(value))


@pytest.mark.parametrize("value", [float("nan"), range(3), object(), [1 << 9_000]], ids=without_address)
def test_what_has_no_literal_is_an_error(value: object) -> None:
    with pytest.raises(ValueError):
        write_literal(value)


@pytest.mark.parametrize(
    "text", ["[1] * 10 ** 9", "9 ** 9 ** 9", "open('x')", "f(1)", "1 +", "x", "", "'a' * 10**8"]
)
def test_what_is_not_constant_or_too_large_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        read_literal(text)


def test_constant_expressions_are_worked_out() -> None:
    assert read_literal("[0] * 3 + list(range(2))") == [0, 0, 0, 0, 1]
    assert read_literal("-(2 ** 5)") == -32


def test_forged_encodings_are_errors() -> None:
    for text in (
        "",
        "{",
        '{"t": 3}',
        '{"x": []}',
        '{"i": "zz"}',
        '{"d": [1]}',
        "[" * 5000,
        '{"m": [1, "x"]}',
        '{"f": 3}',
    ):
        with pytest.raises(ValueError):
            literal_of(text)


def test_deep_nesting_is_no_source() -> None:
    assert parse_source("(" * 5000 + ")" * 5000) is None


def test_brackets_in_strings_do_not_close() -> None:
    assert bracket_extent("[']', [1]] tail", 0) == (10, 5 + 4)
    assert bracket_extent("[(1, 2), (3", 0) == (11, 7)
