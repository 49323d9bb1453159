"""Widening: what an inferred domain takes in, and what it lets go of."""

import random
from typing import Any

from o1coder_gym.tcg.inputs.domains import Either, Mappings, Records, Sequences, TextForm, Texts
from o1coder_gym.tcg.inputs.edits import is_balanced, only_joins
from o1coder_gym.tcg.inputs.inference import infer_domain
from o1coder_gym.tcg.inputs.widening import with_characters, without_shape


def chain(domain: Any, value: Any, steps: int = 200) -> list[Any]:
    """Mutates again and again."""
    rng = random.Random(0)
    found = []
    for _ in range(steps):
        value = domain.mutate(value, rng)
        found.append(value)
    return found


def test_added_characters_come_often_and_marks_among_them_only_join() -> None:
    domain = with_characters(infer_domain(["abab"]), "z-")
    texts = chain(domain, "abab")
    assert sum("z" in text for text in texts) > 20
    assert any("-" in text for text in texts)
    assert all(only_joins("-", text) for text in texts)
    assert with_characters(infer_domain(["abab"]), "") == infer_domain(["abab"])


def test_marks_that_were_seen_at_an_end_may_stay_there() -> None:
    domain = with_characters(infer_domain(["-ab"]), "-")
    assert isinstance(domain, Texts)
    assert domain.joints == ""
    assert domain.alphabet == "-ab"


def test_strings_are_found_however_deep_and_numbers_are_left_alone() -> None:
    domain = with_characters(infer_domain([[("ab", {"cd": 1})], "ef", 7]), "_")
    assert isinstance(domain, Either)
    (_, rows), (_, text), (_, number) = domain.options
    assert isinstance(rows, Sequences)
    assert isinstance(rows.item, Records)
    name, mapping = rows.item.places
    assert isinstance(mapping, Mappings)
    for found in (name, mapping.key, text):
        assert isinstance(found, Texts)
        assert found.special == "_"
    assert number == infer_domain([7])


def test_order_and_distinctness_are_let_go() -> None:
    seen = [1, 3, 5, 6, 8, 9, 11, 12, 15, 16, 19]
    found = chain(without_shape(infer_domain([seen]), ""), seen)
    assert any(values != sorted(values) for values in found)
    assert any(len(set(values)) < len(values) for values in found)


def test_brackets_joints_and_alphabet_are_let_go() -> None:
    brackets = without_shape(infer_domain(["(()())", "()"]), "")
    assert not all(map(is_balanced, chain(brackets, "()")))
    words = without_shape(infer_domain(["a_b_c"]), "xyz")
    assert isinstance(words, Texts)
    assert words.form is TextForm.FREE
    texts = chain(words, "a_b_c")
    assert any("x" in text for text in texts)
    assert not all(only_joins("_", text) for text in texts)
