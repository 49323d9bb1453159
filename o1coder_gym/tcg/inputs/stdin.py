"""Proposes standard inputs for whole programs by changing the numbers and words of known ones.

A number that counts the lines or the words after it keeps doing so: only tokens that count nothing are
changed, and the items that are counted are reordered.
"""

from __future__ import annotations

import random
import re
import string

from o1coder_gym.tcg.inputs.known import known_stdin
from o1coder_gym.types import Problem

_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def propose_stdin(problem: Problem, size: int, seed: int) -> list[str]:
    """Returns up to `size` distinct standard inputs, known ones first; none if none is known."""
    rng = random.Random(seed)
    known = known_stdin(problem)
    found = dict.fromkeys(known)
    pool = list(known)
    for _ in range(4 * size if pool else 0):
        if len(found) >= size:
            break
        changed = _mutate(rng.choice(pool), rng)
        if changed not in found:
            found[changed] = None
            pool.append(changed)
    return list(found)[:size]


def _mutate(text: str, rng: random.Random) -> str:
    lines = [line.split(" ") for line in text.rstrip("\n").split("\n")]
    places = [
        (row, column)
        for row, words in enumerate(lines)
        for column, word in enumerate(words)
        if word and not _counts(lines, row, column)
    ]
    if not places:
        return text
    if rng.random() < 0.2:
        row = rng.choice([row for row, _ in places])
        free = [column for place, column in places if place == row]
        shuffled = rng.sample([lines[row][column] for column in free], len(free))
        for column, word in zip(free, shuffled, strict=True):
            lines[row][column] = word
    else:
        for row, column in rng.sample(places, min(len(places), rng.randint(1, 3))):
            lines[row][column] = _changed(lines[row][column], rng)
    return "\n".join(" ".join(words) for words in lines) + "\n"


def _counts(lines: list[list[str]], row: int, column: int) -> bool:
    """Whether a token is the number of lines or of words that follow it."""
    word = lines[row][column]
    if not word.isdigit():
        return False
    following = len(lines) - row - 1
    # n lines, n / 2 pairs of lines, n words of some line below, or n characters of a lone word.
    words_below = [len(words) for words in lines[row + 1 :]]
    return int(word) in (following, following // 2, *words_below, *map(_length, lines[row + 1 :]))


def _length(words: list[str]) -> int:
    return len(words[0]) if len(words) == 1 and not words[0].isdigit() else -1


def _changed(word: str, rng: random.Random) -> str:
    if not _NUMBER.fullmatch(word):
        kinds = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
        index = rng.randrange(len(word))
        kind = next((kind for kind in kinds if word[index] in kind), "".join(sorted(set(word))))
        return word[:index] + rng.choice(kind) + word[index + 1 :]
    if "." in word:
        return f"{float(word) * rng.choice((0.5, 2.0)) + rng.choice((0, 1)):.{len(word.split('.')[1])}f}"
    value = int(word)
    changed = rng.choice((value + 1, value - 1, value * 2, value // 2, rng.randint(1, max(2 * value, 10))))
    return str(changed if value < 0 else max(changed, min(value, 1)))
