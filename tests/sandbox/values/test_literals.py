import math
import warnings
from collections import deque
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o1coder_gym.sandbox.values.codec import decode, encode
from o1coder_gym.sandbox.values.literals import encode_literal, parse_module

LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.integers() | st.text(), inner, max_size=4)
        | st.sets(st.integers() | st.text(), max_size=4)
        | st.frozensets(st.integers(), max_size=3)
    ),
    max_leaves=12,
)


@given(LITERALS)
@settings(max_examples=200, deadline=None)
def test_the_repr_of_a_value_is_read_as_that_value(value):
    assert decode(encode_literal(repr(value))) == value


@given(st.text("[]0123456789.,eE+- \n\"\\'ab\u00e9", max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_as_python_reads_it_or_refused(source):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = eval(source.strip(), {"__builtins__": {}})
    except Exception:
        value = None
    try:
        read = encode_literal(source)
    except ValueError:
        return
    assert read == encode(value)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("-inf", -math.inf),
        ("[1, 2.5, 'a']", [1, 2.5, "a"]),
        ("  [1,\n 2]", [1, 2]),
        ("set()", set()),
        ("{1: {2}, (): frozenset([3])}", {1: {2}, (): frozenset([3])}),
        ("1+2j", 1 + 2j),
        ("'a' 'b' * 2", "abab"),
        ("'\\\\n'", "\\n"),
        ('"\\ud83d\\ude00"', "\ud83d\ude00"),
        ("10 ** 20", 10**20),
        ("1 << 70", 1 << 70),
        ("-7 // 2, -7 % 3, 2 / 3, ~5", (-4, 2, 2 / 3, -6)),
        ("[i * j for i in range(3) for j in (1, 2) if i != j]", [0, 0, 2, 2]),
        ("{i: str(i) for i in [1, 2]}", {1: "1", 2: "2"}),
        ("{abs(i) for i in (-1, 1)}", {1}),
        ("sum(i ** 2 for i in range(4))", 14),
        ("[*range(2), *'ab']", [0, 1, "a", "b"]),
        ("1 if 2 < 3 <= 3 else 0", 1),
        ("[1, 2, 3][-1], 'abc'[::-1]", (3, "cba")),
        ("0 or [] or 'x'", "x"),
        ("deque([1, 2])", deque([1, 2])),
        ("Fraction(1, 3)", Fraction(1, 3)),
        ("Decimal('0.10')", Decimal("0.10")),
        ("float('-inf')", -math.inf),
        ("range(1, 5)", range(1, 5)),
    ],
)
def test_constant_expressions(source, value):
    assert encode_literal(source) == encode(value)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "[",
        "1; 2",
        "x",
        "...",
        "lambda: 1",
        "().__class__",
        "__import__('os')",
        "open('/etc/passwd')",
        "f'{1}'",
        "'%s' % 1",
        "1 / 0",
        "[1][1]",
        "{[]}",
        "int('x')",
        "1 << -1",
        "{**{}}",
        "list({'a', 'b'})",
        "[x for x in {'a', 'b'}]",
        "sorted([1], key=len)",
        "sum([[1]], [])",
        "true",
        "\0",
        "(i for i in (1, 2))",
    ],
)
def test_what_is_not_constant_is_refused(source):
    with pytest.raises(ValueError):
        encode_literal(source)


@pytest.mark.parametrize(
    "source",
    [
        "10 ** 10 ** 10",
        "1 << 10 ** 12",
        "'a' * 10 ** 12",
        "[0] * 10 ** 9",
        "((0,) * 1000, ) * 10 ** 9",
        "list(range(10 ** 12))",
        "[i for i in range(10 ** 12)]",
        "[[0 for i in range(10 ** 4)] for j in range(10 ** 4)]",
        "{i * (2 ** 61 - 1) for i in range(10 ** 4)}",
        "dict([((i,), i) for i in range(10 ** 4)])",
        "[a == b for a in [[[[0] * 99] * 99] * 99] for b in [[[[0] * 99] * 99] * 99]]",
        "{((((0,) * 99,) * 99,) * 99,) * 99: 1}",
        "[c for a in [9 ** 9999] for b in [a * a] for c in [b * b] for d in [c * c]]",
        "[c for a in [Fraction(1, 9 ** 9999)] for b in [a * a] for c in [b * b] for d in [c * c]]",
        "Fraction('1e999999999')",
        "int(Decimal('1e999999999'))",
        "[int(b * b) for a in [Decimal('1e5000')] for b in [a * a * a] for i in range(999)]",
        "round(5, -10 ** 9)",
        "0.5 in range(10 ** 12)",
        "[i for i in range(9) if 'x' not in range(10 ** 12)]",
        "9" * 50_000,
        "[" + "9" * 50_000 + "]",
        "x" + "9" * 5_000,
        "(" * 1000 + ")" * 1000,
        "-" * 100_000 + "1",
        "[" * 100_000,
        "1+" * 100_000 + "1",
        "1" + " " * (2 << 20) + "+ 1",
        "[" + "1" * 10_000 + "!" + "]",
        "1 " * 10_000,
    ],
    ids=lambda source: source[:40],
)
@pytest.mark.timeout(20)
def test_bombs_are_refused_quickly(source):
    with pytest.raises(ValueError):
        encode_literal(source)


def test_many_keys_that_cannot_collide_are_taken():
    numbers, words = dict.fromkeys(range(9000), ""), {str(number) for number in range(9_000)}
    assert decode(encode_literal(repr(numbers))) == numbers
    assert decode(encode_literal(repr(words))) == words


def test_a_dubious_escape_is_no_warning():
    assert encode_literal(r"'\d'") == r'"\\d"'
    assert parse_module(r"'\d'").body
