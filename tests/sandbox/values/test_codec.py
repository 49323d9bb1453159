import datetime
import enum
import itertools
import json
import math
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o1coder_gym.sandbox.values import codec
from o1coder_gym.sandbox.values.codec import MAX_DEPTH, MAX_YIELDED, Handle, HandleTable, decode, encode
from tests.examples import examples

SURROGATES = st.text(st.characters(codec=None, exclude_categories=()))
HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**62, 2**80)
    | st.floats(allow_nan=False)
    | SURROGATES
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.fractions()
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=8,
)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.lists(inner, max_size=4).map(deque)
        | st.sets(HASHABLE, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=4)
    ),
    max_leaves=20,
)


def exact(value):
    """A form of a value in which type and sign count, unlike in Python's equality."""
    if isinstance(value, list | tuple | deque):
        return type(value).__name__, [exact(item) for item in value]
    if isinstance(value, set | frozenset):
        return type(value).__name__, sorted(repr(exact(item)) for item in value)
    if isinstance(value, dict):
        return "dict", [(exact(key), exact(item)) for key, item in value.items()]
    return type(value).__name__, repr(value)


@given(VALUES)
@settings(max_examples=examples(200), deadline=None)
def test_what_is_encoded_comes_back_in_value_and_type(value):
    assert exact(decode(encode(value))) == exact(value)


@given(VALUES)
@settings(max_examples=50, deadline=None)
def test_the_text_is_ascii_json(value):
    text = encode(value)
    assert text.isascii()
    json.loads(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (1, "1"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (2**63 - 1, "9223372036854775807"),
        (2**63, '{"i":"0x8000000000000000"}'),
        (-(2**63) - 1, '{"i":"-0x8000000000000001"}'),
        ([2**64], '[{"i":"0x10000000000000000"}]'),
        ([[1, 2**64]], '[[1,{"i":"0x10000000000000000"}]]'),
        ((1, [2]), '{"t":[1,[2]]}'),
        ({1: "a"}, '{"d":[[1,"a"]]}'),
        (math.inf, "Infinity"),
        ("\ud800", '"\\ud800"'),
        (range(1, 9, 2), '{"r":[1,9,2]}'),
        (Decimal("-1.50"), '{"m":[-150,-2]}'),
        (Decimal("-Infinity"), "-Infinity"),
        (Fraction(1, 3), '{"f":[1,3]}'),
        (int, '{"y":"int"}'),
    ],
)
def test_the_form_of_values(value, text):
    assert encode(value) == text


def test_an_int_of_many_digits_needs_no_decimal_text():
    # str() refuses ints of more than 4,300 digits
    assert decode(encode([10**5000])) == [10**5000]


def lying(base, value):
    """A value of a subclass that overrides all by which it could be read."""
    lies = {
        "__eq__": lambda self, other: True,
        "__hash__": lambda self: 0,
        "__len__": lambda self: 1,
        "__iter__": lambda self: iter([True]),
        "__getitem__": lambda self, index: True,
        "__pos__": lambda self: 4,
        "__bytes__": lambda self: b"4",
        "hex": lambda self, *args: "04",
        "real": 4.0,
        "items": lambda self: [(True, True)],
    }
    lies |= dict.fromkeys(("__int__", "__index__", "__float__", "__complex__"), lambda self: 4)
    lies |= dict.fromkeys(("__str__", "__repr__"), lambda self: "4")
    return type(f"Lying{base.__name__}", (base,), lies)(value)


@pytest.mark.parametrize(
    "value",
    [7, 2**70, 7.5, "abc", [7, 8], (7, 8), {7: 8}, {7}, frozenset({7}), b"ab", bytearray(b"ab"), 7 + 1j],
    ids=repr,
)
def test_subclasses_are_read_by_the_methods_of_their_base(value):
    lie = lying(type(value), value)
    for wrap in (lambda item: item, lambda item: [item], lambda item: [[item]], lambda item: (1, item)):
        assert encode(wrap(lie)) == encode(wrap(value))


def test_honest_subclasses_count_as_their_base():
    point = namedtuple("point", "x y")
    color = enum.IntEnum("color", "RED GREEN")
    tables = defaultdict(list, {1: [2]}), OrderedDict(a=1), Counter("aab")
    assert encode(point(1, 2)) == encode((1, 2))
    assert encode(color(2)) == "2"
    assert [encode(table) for table in tables] == [encode(dict(table)) for table in tables]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.int64(3), 3),
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.str_("a"), "a"),
        (np.array(5), 5),
        ((np.int8(1), [np.uint64(2)]), (1, [2])),
    ],
)
def test_numpy_scalars_count_as_what_they_hold(value, plain):
    assert encode(value) == encode(plain)


@pytest.mark.parametrize(
    "value",
    [
        np.array([[1, 2], [3, 4]]),
        np.array([True]),
        np.array([0.5, np.nan], dtype="f4"),
        np.array([1j]),
        np.array(["a", "bc"]),
        np.zeros((0, 3)),
        np.array([{1}, None], dtype=object),
    ],
)
def test_numpy_arrays_are_arrays_and_no_lists(value):
    found = decode(encode(value))
    assert found.dtype == value.dtype
    np.testing.assert_array_equal(found, value)
    assert encode(value) != encode(value.tolist())


def test_numpy_has_a_true_of_its_own():
    assert decode(encode(np.True_)) is np.True_
    assert encode(np.True_) != encode(True)


@pytest.mark.parametrize(
    "value",
    [
        datetime.date(2024, 2, 29),
        datetime.datetime(2024, 2, 29, 23, 59, 1, 5),
        datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
        datetime.time(1, 2),
        datetime.timedelta(-1, 5),
        bytearray(b"ab"),
    ],
)
def test_dates_times_and_bytearrays_come_back(value):
    found = decode(encode([value]))[0]
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    "value", [Counter("aab"), OrderedDict(b=1, a=2), defaultdict(list, x=[1]), defaultdict(None)]
)
def test_mappings_of_collections_come_back_where_that_matters(value):
    found = decode(encode(value, exact=True))
    assert (type(found), found) == (type(value), value)
    assert getattr(found, "default_factory", 0) is getattr(value, "default_factory", 0)
    assert encode(value) == encode(dict(value))


ROW, LIST = type("Row", (tuple,), {}), type("L", (list,), {})


@pytest.mark.parametrize("value", [enum.IntEnum("Bad", "A").A, ROW(), [LIST()]])
def test_other_subclasses_are_an_error_where_that_matters(value):
    with pytest.raises(TypeError, match="cannot be judged"):
        encode(value, exact=True)


def test_functions_and_iterators_are_given_away_where_they_can_be_asked():
    ports, handles = HandleTable(), HandleTable()
    assert encode([len, abs, len], ports=ports) == '[{"p":0},{"p":1},{"p":0}]'
    source = iter([1])
    assert encode([source], handles, lazy=True) == '[{"G":0}]'
    assert handles.value(0) is source
    assert decode('[{"p":7}]', make=lambda tag, number: (tag, number)) == [("p", 7)]
    with pytest.raises(ValueError, match="nobody to ask"):
        decode('{"p":0}')


@pytest.mark.parametrize(
    "value", [object(), np.array([object()]), np.longdouble(1), lambda: 1, [1, {2: ...}]]
)
def test_what_has_no_encoding_is_an_error(value):
    with pytest.raises(TypeError, match="cannot be judged"):
        encode(value)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("view", [{2: 0, 1: 0}.keys(), {"b": [1], "a": 2}.items(), {}.keys(), {}.items()])
def test_views_of_a_dict_keep_their_order_and_equal_sets(view, lazy):
    rebuilt = decode(encode(view, HandleTable(), lazy=lazy))
    assert (type(rebuilt), list(rebuilt), len(rebuilt)) == (type(view), list(view), len(view))
    assert rebuilt == view


def test_iterators_are_written_as_what_they_yield():
    sources = [iter([1, 2]), (n for n in (1, 2)), map(int, "12"), {1: 1, 2: 2}.values(), reversed([2, 1])]
    sources.append(itertools.islice([1, 2], 2))
    assert {encode(source) for source in sources} == {'{"g":[1,2]}'}
    assert list(decode('{"g":[1,2]}')) == [1, 2]
    with pytest.raises(ValueError, match="more than"):
        encode(itertools.count())
    whole = encode(iter(range(MAX_YIELDED)))
    assert whole.count(",") == MAX_YIELDED - 1


def test_nesting_is_bounded():
    value = []
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert decode(encode(value)) == value
    for shell in (
        lambda item: [item],
        lambda item: (item,),
        lambda item: {1: item},
        lambda item: deque([item]),
    ):
        deep = value
        for _ in range(3):
            deep = shell(deep)
        with pytest.raises(ValueError, match="nested"):
            encode(deep)


def test_cycles_and_shared_parts_end():
    cycle: list[object] = [1]
    cycle.append(cycle)
    with pytest.raises(ValueError, match="nested"):
        encode(cycle)
    shared = ["x" * 100_000]
    for _ in range(60):
        shared = [shared, shared]
    with pytest.raises(ValueError, match="too large"):
        encode(shared)


def test_size_is_bounded():
    for value in ("x" * (17 << 20), ["x" * (9 << 20)] * 2, b"x" * (9 << 20), 1 << (1 << 27)):
        with pytest.raises(ValueError, match="too large"):
            encode(value)


def test_handles_stand_for_one_object_each():
    table = HandleTable()
    first, second = object(), object()
    text = encode([first, second, first, 1], table)
    assert text == '[{"h":0},{"h":1},{"h":0},1]'
    assert decode(text, table) == [first, second, first, 1]


def test_a_handle_has_no_behaviour_and_equals_only_itself():
    one, again, other = decode('[{"h":0},{"h":0},{"h":1}]')
    assert one == again
    assert hash(one) == hash(again)
    assert one != other
    assert one != 0
    assert encode([one]) == '[{"h":0}]'
    assert not [name for name in dir(Handle) if not name.startswith("_") and name != "number"]


def test_handles_are_bounded_and_checked():
    table = HandleTable(limit=2)
    encode([object(), object()], table)
    with pytest.raises(ValueError, match="too many"):
        encode(object(), table)
    for number in (-1, 2):
        with pytest.raises(ValueError, match="no object"):
            decode(f'{{"h":{number}}}', table)


@pytest.mark.parametrize("text", ["", "[", '{"x":1}', '{"i":"zz"}', '{"b":"0"}', "{}", '{"t":[1],"s":[1]}'])
def test_text_of_another_origin_is_refused(text):
    with pytest.raises((ValueError, TypeError)):
        decode(text)


def test_the_zygote_can_import_it_alone():
    command = [sys.executable, "-S", "-s", "-c", "import codec; print(codec.encode((1, 2)))"]
    folder = Path(codec.__file__).parent
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env={})
    assert done.stdout == '{"t":[1,2]}\n'
