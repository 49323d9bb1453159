"""Domains: samples and mutations stay within what was seen."""

import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o1coder_gym.tcg.inputs.domains import (
    Choice,
    Either,
    Integers,
    Mappings,
    Reals,
    Records,
    Sequences,
    TextForm,
    Texts,
)
from o1coder_gym.tcg.inputs.edits import edit_brackets, is_balanced
from o1coder_gym.tcg.inputs.inference import domain_of_annotation, infer_domain


def chain(domain: Any, value: Any, steps: int = 60) -> list[Any]:
    """Draws and mutates by turns."""
    rng = random.Random(0)
    found = []
    for step in range(steps):
        value = domain.mutate(value, rng) if step % 3 else domain.sample(rng)
        found.append(value)
    return found


scalars = st.integers(-100, 100) | st.text("abcXY 12", max_size=6) | st.booleans() | st.floats(-9, 9)
seen_values = st.one_of(
    st.lists(st.integers(-50, 50), min_size=1, max_size=4),
    st.lists(st.text("abc def", max_size=8), min_size=1, max_size=4),
    st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(), st.text(max_size=3)), min_size=1, max_size=3),
    st.lists(st.dictionaries(st.text("ab", max_size=2), scalars, max_size=3), min_size=1, max_size=3),
    st.lists(st.sets(st.integers(0, 9), max_size=4), min_size=1, max_size=3),
    st.lists(scalars, min_size=1, max_size=4),
)


@settings(max_examples=60, deadline=None)
@given(seen_values)
def test_every_value_has_a_type_that_was_seen(seen: list[Any]) -> None:
    kinds = {type(value) for value in seen}
    allowed = kinds | ({float} if kinds == {int, float} else set())
    assert {type(value) for value in chain(infer_domain(seen), seen[0], 24)} <= allowed


@settings(max_examples=60, deadline=None)
@given(seen_values)
def test_draws_are_repeatable_and_leave_their_argument_alone(seen: list[Any]) -> None:
    before = repr(seen)
    assert chain(infer_domain(seen), seen[0], 12) == chain(infer_domain(seen), seen[0], 12)
    assert repr(seen) == before


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_infinite_numbers_that_a_question_shows_are_no_crash(value: float) -> None:
    drawn = chain(infer_domain([value, 1.5]), value, 200)
    assert all(isinstance(one, float) for one in drawn)


def test_numbers_keep_their_sign() -> None:
    assert infer_domain([3, 7], [10, "x"]) == Integers(2, 17, (3, 7, 9, 10, 11))
    assert min(chain(infer_domain([3, 7]), 3)) == 2
    assert min(chain(infer_domain([1, 7]), 7)) == 1
    assert min(chain(infer_domain([0, 7]), 0)) == 0
    assert min(chain(infer_domain([-3, 7]), 7)) < 0
    assert min(chain(infer_domain([0.5, 2.0]), 0.5)) >= 0.5


def test_zero_comes_only_where_it_was_seen() -> None:
    for seen, comes in (([[1, -2, 3]], False), ([[1, -2, 0]], True)):
        found = chain(infer_domain(seen, [0, 1]), seen[0], 200)
        assert any(0 in value for value in found) is comes


def test_a_single_character_is_no_alphabet() -> None:
    assert len(set("".join(chain(infer_domain(["aaaa"]), "aaaa")))) > 5
    assert set("".join(chain(infer_domain(["abab"]), "abab"))) <= set("ab")


def test_order_distinctness_and_shape_are_kept() -> None:
    ordered = infer_domain([[1, 3, 5, 6, 8, 9], [2, 8, 9, 10, 11, 30]])
    assert isinstance(ordered, Sequences)
    assert ordered.increasing
    assert ordered.distinct
    for values in chain(ordered, [1, 3, 5, 6, 8, 9]):
        assert values == sorted(set(values))
    matrix = infer_domain([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    for rows in chain(matrix, [[1, 2], [3, 4]]):
        assert len({len(row) for row in rows}) <= 1


def test_a_few_lists_without_repeats_do_not_forbid_them() -> None:
    domain = infer_domain([[1, 2, 4, 20], [1, 20, 4, 10], [4, 1, 0, -10]])
    assert any(len(set(values)) < len(values) for values in chain(domain, [1, 2, 4, 20]))


def test_two_values_in_a_row_are_too_few_for_an_order() -> None:
    domain = infer_domain([[1, 2]])
    assert isinstance(domain, Sequences)
    assert not domain.increasing


def test_tuples_of_one_length_are_records() -> None:
    domain = infer_domain([[("a", 1), ("b", 2)]])
    assert isinstance(domain, Sequences)
    assert isinstance(domain.item, Records)
    for pairs in chain(domain, [("a", 1)]):
        assert all(isinstance(name, str) and isinstance(count, int) for name, count in pairs)


def test_alphabets_open_up_only_when_several_of_a_kind_were_seen() -> None:
    assert set("".join(chain(infer_domain(["0110", "1"]), "1"))) == {"0", "1"}
    assert len(set("".join(chain(infer_domain(["hello", "wide"]), "hello")))) > 10


@pytest.mark.parametrize(
    ("seen", "form"),
    [
        (["(()())", "()"], TextForm.BALANCED),
        (["(()", "()"], TextForm.FREE),
        (["2020-01-31"], TextForm.PATTERN),
        (["A1b2", "C3d4"], TextForm.PATTERN),
        (["5 apples and 6 oranges", "100 apples and 1 oranges"], TextForm.PATTERN),
        (["x"], TextForm.PATTERN),
        (["la la le la la le la"], TextForm.WORDS),
        (["The quick brown fox"], TextForm.FREE),
    ],
)
def test_forms_of_strings(seen: list[str], form: TextForm) -> None:
    domain = infer_domain(seen)
    assert isinstance(domain, Texts)
    assert domain.form is form


def test_words_that_the_program_names_are_its_vocabulary() -> None:
    domain = infer_domain(["one five two"], ["one", "two", "five", "nine"])
    words = {word for text in chain(domain, "one five two") for word in text.split()}
    assert words <= {"one", "two", "five", "nine"}
    assert "nine" in words


def test_brackets_stay_balanced() -> None:
    assert all(map(is_balanced, chain(infer_domain(["([]) ()"]), "([]) ()", 200)))
    for text in chain(infer_domain(["(()) ((()))"]), "(()) ((()))", 200):
        assert all(group and is_balanced(group) for group in text.split(" "))
    assert is_balanced("a(b[c]<d>)")
    assert not is_balanced("([)]")
    assert edit_brackets("", random.Random(0)) == "()"


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        ("int", Integers),
        ("List[float]", Sequences),
        ("list[str]", Sequences),
        ("Dict[str, int]", Mappings),
        ("Tuple[int, str]", Records),
        ("Tuple[int, ...]", Sequences),
        ("Optional[int]", Either),
        ("int | None", Either),
        ("typing.List[int]", Sequences),
        ("bool", Choice),
        ("float", Reals),
    ],
)
def test_annotations(annotation: str, kind: type) -> None:
    assert isinstance(domain_of_annotation(annotation), kind)


@pytest.mark.parametrize("annotation", ["", "Callable[[int], int]", "Tree", "List[Tree]", "list["])
def test_annotations_that_say_nothing(annotation: str) -> None:
    assert domain_of_annotation(annotation) is None


@pytest.mark.parametrize(
    ("seen", "joints"),
    [(["snake_case", "a_b_c"], "_"), (["_x", "a_b"], ""), (["a  b"], ""), (["a b, c"], " ,"), (["abc"], "")],
)
def test_what_only_joins_stays_between(seen: list[str], joints: str) -> None:
    domain = infer_domain(seen)
    assert isinstance(domain, Texts)
    assert domain.joints == joints
    for text in chain(domain, seen[0]):
        assert not any(
            text.startswith(joint) or text.endswith(joint) or 2 * joint in text for joint in joints
        )
