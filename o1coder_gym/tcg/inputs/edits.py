"""Small edits of lists and strings: the moves of type-aware mutation (Liu et al. 2023, EvalPlus).

Every edit returns a new value; `fill` draws new items where one is needed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

Fill: TypeAlias = Callable[[Any | None], Any]
"""Draws an item; given one, an item near it."""
ListEdit: TypeAlias = Callable[[list[Any], Fill, random.Random], list[Any]]

_CHARACTER_KINDS = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def drop(items: list[Any], fill: Fill, rng: random.Random) -> list[Any]:
    """Leaves one item out."""
    index = rng.randrange(len(items)) if items else 0
    return items[:index] + items[index + 1 :]


def repeat(items: list[Any], fill: Fill, rng: random.Random) -> list[Any]:
    """Adds a copy of one item, beside it or at an end."""
    if not items:
        return [fill(None)]
    index = rng.randrange(len(items))
    copied = items[index]
    return rng.choice(([*items, copied], [copied, *items], [*items[:index], copied, *items[index:]]))


def insert(items: list[Any], fill: Fill, rng: random.Random) -> list[Any]:
    """Puts a new item anywhere."""
    index = rng.randint(0, len(items))
    return [*items[:index], fill(None), *items[index:]]


def change(items: list[Any], fill: Fill, rng: random.Random) -> list[Any]:
    """Replaces one item by one near it."""
    if not items:
        return items
    index = rng.randrange(len(items))
    return [*items[:index], fill(items[index]), *items[index + 1 :]]


def copy_over(items: list[Any], fill: Fill, rng: random.Random) -> list[Any]:
    """Replaces one item by another of the list."""
    if not items:
        return items
    index = rng.randrange(len(items))
    return [*items[:index], rng.choice(items), *items[index + 1 :]]


def swap(items: list[Any], fill: Fill, rng: random.Random) -> list[Any]:
    """Exchanges two items."""
    if len(items) < 2:
        return items
    left, right = sorted(rng.sample(range(len(items)), 2))
    return [*items[:left], items[right], *items[left + 1 : right], items[left], *items[right + 1 :]]


def reorder(items: list[Any], fill: Fill, rng: random.Random) -> list[Any]:
    """Reverses, rotates by one, or shuffles."""
    return rng.choice((items[::-1], items[1:] + items[:1], rng.sample(items, len(items))))


def cut(items: list[Any], fill: Fill, rng: random.Random) -> list[Any]:
    """Keeps a prefix or a suffix."""
    length = rng.randint(0, len(items))
    return items[:length] if rng.random() < 0.5 else items[length:]


# Listed twice: drawn twice as often.
LENGTH_KEEPING_EDITS: tuple[ListEdit, ...] = (change, change, copy_over, swap, reorder)
LIST_EDITS: tuple[ListEdit, ...] = (*LENGTH_KEEPING_EDITS, drop, repeat, insert, insert, cut)
_WORD_EDITS: tuple[ListEdit, ...] = (drop, insert, swap, repeat)


def edit_characters(text: str, alphabet: str, rng: random.Random) -> str:
    """Applies a list edit to the characters of `text`; new ones come from `alphabet`."""
    return "".join(rng.choice(LIST_EDITS)(list(text), lambda _: rng.choice(alphabet), rng))


def edit_words(text: str, words: Sequence[str], rng: random.Random) -> str:
    """Applies a list edit to the words of `text`; new ones come from `words`."""
    return " ".join(rng.choice(_WORD_EDITS)(text.split(" "), lambda _: rng.choice(words), rng))


def join_texts(text: str, other: str, rng: random.Random) -> str:
    """Joins `text` with another, with its mirror image or with itself."""
    return rng.choice((text + other, text + text[::-1], text * 2, text[: len(text) // 2] + other))


def edit_within_kind(text: str, rng: random.Random) -> str:
    """Replaces one digit by a digit, or one letter by a letter of its case."""
    places = [index for index, character in enumerate(text) if character.isalnum()]
    if not places:
        return text
    index = rng.choice(places)
    kind = next((kind for kind in _CHARACTER_KINDS if text[index] in kind), text[index])
    return text[:index] + rng.choice(kind) + text[index + 1 :]


def only_joins(mark: str, text: str) -> bool:
    """Whether a character stands only between others: never at an end, never twice in a row."""
    return text.strip(mark) == text and 2 * mark not in text


_BRACKETS = {")": "(", "]": "[", "}": "{", ">": "<"}


def is_balanced(text: str) -> bool:
    """Whether every bracket of `text` is closed in the right order; other characters do not count."""
    opened: list[str] = []
    for character in text:
        if character in _BRACKETS.values():
            opened.append(character)
        elif character in _BRACKETS and (not opened or opened.pop() != _BRACKETS[character]):
            return False
    return not opened


def edit_brackets(text: str, rng: random.Random) -> str:
    """Puts a pair of brackets that occur in `text` around a part of it; the part may be unbalanced."""
    closing = rng.choice([character for character in text if character in _BRACKETS] or [")"])
    start, end = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
    end = start if rng.random() < 0.5 else end
    return f"{text[:start]}{_BRACKETS[closing]}{text[start:end]}{closing}{text[end:]}"
