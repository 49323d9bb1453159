"""What a function takes, read off its signature; arguments of every JSON type; messages that help."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.specs.parameters import (
    REQUIRED,
    AtLeastOne,
    Hints,
    Meaning,
    NonNegative,
    Positive,
    Range,
    Share,
    bind,
    check_fields,
    parameters,
)

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
)
JSON = SCALARS | st.lists(SCALARS) | st.dictionaries(st.text(), st.lists(SCALARS))


@dataclass(frozen=True)
class Draw:
    """How to draw.

    Attributes:
        heat: Temperature,
            at most 2.
        kinds: Which.
    """

    heat: Annotated[float, Range(0, 2)] = 1.0
    kinds: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.heat == 1.5:
            raise UsageError("heat is not 1.5")


def sample(
    problem: str,
    *,
    n: AtLeastOne,
    flag: bool = False,
    share: Share = 0.5,
    offset: float = -1.0,
    label: str = "",
    limit: int | None = None,
    mode: Literal["fast", "slow", 3] = "fast",
    betas: tuple[float, float] = (0.9, 0.99),
    sizes: Sequence[Annotated[int, Range(1)]] = (),
    table: Mapping[str, int] | None = None,
    anything: Any = None,
    untyped=3,
    choose: Callable[[], int] | None = None,
    tree: Draw | Callable | None = None,
    draw: Draw = Draw(heat=0.5),
) -> None:
    """Samples.

    Args:
        problem: Not an argument of specs.
        n: How many, ≥ 1.
        draw: By its fields.
    """


def one() -> int:
    """Returns 1."""
    return 1


KNOWN = parameters(sample, hints=Hints({"choose": {"one": one}}))


def read(**texts: str) -> dict[str, Any]:
    return bind(KNOWN, {"n": "1", **texts}.items(), "sample: ")


def test_a_signature_is_read() -> None:
    rows = {one.name: (one.kind, one.default, one.meaning) for one in KNOWN if one.readable}
    assert rows["n"] == ("int ≥ 1", REQUIRED, "How many, ≥ 1.")
    assert rows["share"][0] == "float in [0, 1]"
    assert rows["limit"][0] == "int|null"
    assert rows["mode"][:2] == ("fast|slow|3", "fast")
    assert rows["choose"][0] == "one"
    assert rows["untyped"][0] == "int"
    assert rows["heat"] == ("float in [0, 2]", 0.5, "Temperature, at most 2.")
    assert "problem" not in rows
    assert "draw" not in rows
    assert "tree" not in rows


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("n", "12", 12),
        ("flag", "true", True),
        ("offset", "-2.5e-3", -0.0025),
        ("offset", "3", 3.0),
        ("label", "null", "null"),
        ("label", '"a b"', "a b"),
        ("label", '"', '"'),
        ("limit", "null", None),
        ("limit", "-3", -3),
        ("mode", "slow", "slow"),
        ("mode", '"slow"', "slow"),
        ("mode", "3", 3),
        ("betas", "[0.5,1]", (0.5, 1.0)),
        ("sizes", "[1,2]", [1, 2]),
        ("table", '{"a":1}', {"a": 1}),
        ("table", "null", None),
        ("anything", '[null,{"a":-1}]', [None, {"a": -1}]),
        ("anything", "words", "words"),
        ("untyped", "4", 4),
        ("choose", "one", one),
        ("choose", "null", None),
        ("heat", "0.25", None),
    ],
)
def test_values_of_every_type(key: str, text: str, value: Any) -> None:
    found = read(**{key: text})
    if key == "heat":
        assert found["draw"] == Draw(heat=0.25)
    else:
        assert found[key] == value


@settings(max_examples=30, deadline=None)
@given(value=JSON)
def test_any_json_value_is_read_back(value: Any) -> None:
    assert read(anything=json.dumps(value))["anything"] == value


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("n", "0", "sample: n must be at least 1, got 0"),
        ("n", "two", "n must be a whole number, got 'two'"),
        ("n", "2.0", "n must be a whole number, got '2.0'"),
        ("n", "9" * 5000, "n must be a whole number"),
        ("flag", "yes", "flag must be true or false, got 'yes'"),
        ("share", "1.5", "share must be in [0, 1], got 1.5"),
        ("offset", "nan", "offset must be finite, got nan"),
        ("offset", "inf", "offset must be finite, got inf"),
        ("limit", "x", "limit must be a whole number or null, got 'x'"),
        ("mode", "quick", "mode is fast, slow or 3, not 'quick'"),
        ("betas", "[0.5]", "betas must be a JSON list"),
        ("betas", "0.5", "betas must be a JSON list"),
        ("betas", '[0.5,"x"]', "betas must be a JSON list"),
        ("sizes", "[2,0]", "sizes must be at least 1, got 0"),
        ("sizes", "[NaN]", "sizes must be a JSON list"),
        ("sizes", "[" * 100_000, "sizes must be a JSON list"),
        ("table", '{"a":"b"}', "table must be a JSON object or null"),
        ("tree", "1", "tree cannot be given in a spec"),
        ("heat", "3", "heat must be in [0, 2], got 3.0"),
        ("heat", "1.5", "sample: heat is not 1.5"),
    ],
)
def test_a_bad_value_is_one_line(key: str, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(**{key: text})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_missing_and_repeated_arguments_are_named() -> None:
    with pytest.raises(UnknownNameError, match=r"sample: unknown argument 'shar'; did you mean 'share'"):
        read(shar="1")
    with pytest.raises(UnknownNameError, match="unknown choose 'two'; known: one"):
        read(choose="two")
    with pytest.raises(UsageError, match=r"n is missing; add it: n=N \(how many, ≥ 1\)$"):
        bind(KNOWN, (), "sample: ")
    with pytest.raises(UsageError, match="n is given twice"):
        bind(KNOWN, (("n", "1"), ("n", "2")), "sample: ")


def test_fields_are_checked() -> None:
    with pytest.raises(UsageError, match=r"heat must be in \[0, 2\], got -1"):
        Draw(heat=-1)


def test_a_dataclass_without_a_default_is_made() -> None:
    def needs(*, draw: Draw) -> Draw:
        return draw

    assert bind(parameters(needs), (("kinds", '["a"]'),), "") == {"draw": Draw(kinds=["a"])}
    assert bind(parameters(needs), (), "") == {"draw": Draw()}


def test_ranges_in_words() -> None:
    words = {Range(1): "at least 1", Range(0, 1): "in [0, 1]", Range(0, above=True): "above 0"}
    words |= {Range(0, 1, above=True): "in (0, 1]", Range(): "finite"}
    assert {found: str(found) for found in words} == words
    assert (0 in Range(0), 0 in Range(0, above=True), 1 in Range(0, 1), math.inf in Range(0)) == (
        True,
        False,
        True,
        False,
    )
    assert 10**400 in Range(0)


def test_callables_of_every_form_have_parameters() -> None:
    class Made:
        def __init__(self, depth: Positive = 1.0) -> None: ...

        def __call__(self, t: int, *, slope: NonNegative = 0.0) -> None: ...

    def broken(*, x: "Nowhere" = 3) -> None: ...  # noqa: F821, RUF100  # pyright: ignore

    def names(function: Any, **options: Any) -> list[tuple[str, str]]:
        return [(one.name, one.kind) for one in parameters(function, **options)]

    assert names(Made, keyword_only=False) == [("depth", "float > 0")]
    assert names(Made()) == [("slope", "float ≥ 0")]
    assert names(partial(Made(), slope=1.0)) == [("slope", "float ≥ 0")]
    assert names(broken) == [("x", "int")]


def test_a_shared_meaning_is_in_the_annotation_and_the_docstring_overrules_it() -> None:
    def shares(
        *, width: Annotated[int, Range(1), Meaning("Samples.")], c: Annotated[float, Meaning("C.")]
    ) -> None:
        """Does nothing.

        Args:
            c: Its own.
        """

    assert [(one.kind, one.meaning) for one in parameters(shares)] == [
        ("int ≥ 1", "Samples."),
        ("float", "Its own."),
    ]
