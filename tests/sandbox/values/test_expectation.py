import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o1coder_gym.sandbox.values.codec import HandleTable, encode
from o1coder_gym.sandbox.values.expectation import (
    equal_as_sequence,
    equal_as_set,
    identity,
    isclose,
    near,
    truth,
)

SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, "", "a", b"", b"a"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.sets(SCALARS, max_size=3)
        | st.dictionaries(SCALARS, inner, max_size=3)
    ),
    max_leaves=5,
)
FORGED = [
    "",
    "[",
    '{"t":5}',
    '{"s":[{"number":1},2]}',
    '{"f":[1,0]}',
    '{"m":[1,9999999]}',
    '{"b":3}',
    "[" * 9999,
]
REALS = st.integers(-3, 3) | st.floats() | st.fractions() | st.booleans()


@given(VALUES)
def test_truth_is_pythons(value):
    assert truth(encode(value), True) is bool(value)
    assert truth(encode(value), False) is not bool(value)


def test_an_object_of_a_foreign_class_is_true():
    assert truth(encode(object(), HandleTable()), True)
    assert truth(encode(iter(())), True)
    assert truth(encode({}.keys()), False)
    assert truth(encode({1: 2}.items()), True)
    assert truth(encode(range(0)), False)


@given(VALUES)
def test_identity_is_that_of_the_constant(value):
    for constant, text in ((None, "null"), (True, "true"), (False, "false")):
        assert identity(encode(value), text) is (value is constant)


@given(REALS, st.sampled_from([0, 1, 0.5, -2.0]), st.sampled_from([0, 1e-9, 0.5, 3]))
def test_near_is_the_distance_that_python_computes(got, center, bound):
    try:
        distance = abs(got - center)
    except OverflowError:
        distance = math.nan
    assert near(encode(got), center, bound) is (distance < bound)
    assert near(encode(got), center, bound, inclusive=True) is (distance <= bound)


def test_near_takes_numbers_only():
    for value in (None, "1", [1], (1,), object()):
        assert not near(encode(value, HandleTable()), 1, math.inf)
    assert near(encode(1 + 1j), 1, 1.5)
    assert near(encode(Decimal("0.9")), 1, 0.5)
    assert not near(encode(Decimal("0.9")), 1.0, 0.5)  # Decimal - float is a TypeError
    assert not near(encode(10**400), 1.0, math.inf)


@given(REALS, st.floats(-3, 3), st.sampled_from([0.0, 1e-9, 0.1]))
def test_isclose_is_that_of_math(got, expected, rel_tol):
    try:
        close = math.isclose(got, expected, rel_tol=rel_tol, abs_tol=0.25)
    except OverflowError:
        close = False
    assert isclose(encode(got), expected, rel_tol, 0.25) is close


def test_isclose_takes_real_numbers_only():
    for value in (None, "1", [1.0], 1 + 0j, 10**400):
        assert not isclose(encode(value), 1.0, abs_tol=math.inf)
    assert isclose(encode(Fraction(1, 3)), 1 / 3)


@given(VALUES, st.lists(SCALARS, max_size=3))
@settings(max_examples=300)
def test_views_are_those_of_the_builtins(value, expected):
    def holds(kind):
        try:
            return kind(value) == kind(expected)
        except TypeError:
            return False

    assert equal_as_sequence(encode(value), encode(expected)) is holds(list)
    assert equal_as_sequence(encode(value), encode(tuple(expected))) is holds(tuple)
    assert equal_as_set(encode(value), encode(set(expected))) is holds(set)


def test_views_take_what_an_iterator_yields():
    assert equal_as_sequence(encode(map(int, "12")), "[1,2]")
    assert equal_as_set(encode({2: 0, 1: 0}.keys()), '{"s":[1,2]}')
    assert equal_as_sequence(encode({2: 0, 1: 0}.keys()), "[2,1]")
    assert equal_as_sequence(encode({2: 0}.items()), '[{"t":[2,0]}]')
    assert equal_as_sequence(encode(range(3)), "[0,1,2]")
    assert not equal_as_sequence(encode(object(), HandleTable()), "[]")
    assert not equal_as_sequence(encode(range(10**15)), "[0,1]")
    assert not equal_as_set(encode(range(10**15)), '{"s":[0,1]}')
    assert equal_as_set(encode([2, 1, 2, 1.0]), '{"s":[1,2]}')
    assert not equal_as_set(encode([2, 3]), '{"s":[1,2]}')


@pytest.mark.parametrize("text", FORGED, ids=lambda text: text[:20])
def test_forged_text_meets_nothing(text):
    assert truth(text, True) in (True, False)
    assert not near(text, 1, math.inf)
    assert not isclose(text, 1.0, abs_tol=math.inf)
    assert not equal_as_sequence(text, "[]")
    assert not equal_as_set(text, '{"s":[]}')
