"""Whole programs to judge: generated, right, wrong and slow; and TACO's. Standard library only."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

_PROGRAMS = 200
_TACO_SOLUTIONS = 5
_MAIN = "\n\nimport sys\nwords = sys.stdin.read().split()\nprint(solve(words))\n"


class Program(NamedTuple):
    """One program with its tests.

    Attributes:
        name: For people.
        code: Python source.
        inputs, outputs: What it reads in each test, and what it should print.
        right: Whether it is right.
    """

    name: str
    code: str
    inputs: list[str]
    outputs: list[str]
    right: bool


class _Problem(NamedTuple):
    """A problem as sources of ``solve``: right, wrong on most inputs, right but slow; and its inputs."""

    right: str
    wrong: str
    slow: str
    draw: Callable[[random.Random], str]


def _numbers(draw: random.Random) -> str:
    return " ".join(str(draw.randint(-999, 999)) for _ in range(draw.randint(50, 200)))


def _words(draw: random.Random) -> str:
    return " ".join(draw.choice(("ab", "ba", "abba", "b", "cc")) * draw.randint(1, 2) for _ in range(120))


def _text(draw: random.Random) -> str:
    return "".join(draw.choices("()[]", k=2 * draw.randint(20, 60)))


_SLOW = "for _ in range(400_000): pass\n    "
_PROBLEMS = {
    "sum": _Problem(
        "def solve(words):\n    return sum(map(int, words))",
        "def solve(words):\n    return sum(map(int, words[1:]))",
        f"def solve(words):\n    {_SLOW}return sum(map(int, words))",
        _numbers,
    ),
    "best run": _Problem(
        "def solve(words):\n    best = here = int(words[0])\n    for word in words[1:]:\n"
        "        here = max(here, 0) + int(word)\n        best = max(best, here)\n    return best",
        "def solve(words):\n    best = here = 0\n    for word in words:\n"
        "        here = here + int(word)\n        best = max(best, here)\n    return best",
        "def solve(words):\n    numbers = list(map(int, words))\n    return max(sum(numbers[a:b + 1]) "
        "for a in range(len(numbers)) for b in range(a, len(numbers)))",
        _numbers,
    ),
    "kinds of words": _Problem(
        "from collections import Counter\n\ndef solve(words):\n    counts = Counter(words)\n"
        "    return '\\n'.join(f'{word} {counts[word]}' for word in sorted(counts))",
        "from collections import Counter\n\ndef solve(words):\n    counts = Counter(words)\n"
        "    return '\\n'.join(f'{word} {counts[word]}' for word in counts)[::-1]",
        "def solve(words):\n    " + _SLOW + "return '\\n'.join(f'{word} {words.count(word)}' "
        "for word in sorted(set(words)))",
        _words,
    ),
    "primes": _Problem(
        "def solve(words):\n    n = int(words[0])\n    sieve = [True] * n\n    for p in range(2, n):\n"
        "        if sieve[p]:\n            for q in range(p * p, n, p):\n                sieve[q] = False\n"
        "    return sum(sieve[2:])",
        "def solve(words):\n    return int(words[0]) // 3",
        "def solve(words):\n    n = int(words[0])\n"
        "    return sum(all(p % d for d in range(2, p)) for p in range(2, n))",
        lambda draw: str(draw.randint(100, 1500)),
    ),
    "brackets": _Problem(
        "def solve(words):\n    stack = []\n    for place, sign in enumerate(words[0]):\n"
        "        if sign in '([':\n            stack.append(sign)\n"
        "        elif not stack or stack.pop() + sign not in ('()', '[]'):\n            return place\n"
        "    return len(words[0])",
        "def solve(words):\n    return words[0].count('(') - words[0].count(')') - 1",
        f"def solve(words):\n    {_SLOW}stack = []\n    for place, sign in enumerate(words[0]):\n"
        "        if sign in '([':\n            stack.append(sign)\n"
        "        elif not stack or stack.pop() + sign not in ('()', '[]'):\n            return place\n"
        "    return len(words[0])",
        _text,
    ),
    "sorted": _Problem(
        "def solve(words):\n    return ' '.join(map(str, sorted(map(int, words))))",
        "def solve(words):\n    return ' '.join(sorted(words))",
        "def solve(words):\n    left = list(map(int, words))\n    done = []\n    while left:\n"
        "        done.append(min(left))\n        left.remove(done[-1])\n" + f"    {_SLOW}"
        "return ' '.join(map(str, done))",
        _numbers,
    ),
}


def generated(kind: str) -> list[Program]:
    """Returns the generated programs of a kind.

    Args:
        kind: ``right``, ``wrong`` or ``slow``: of `_PROGRAMS` six, three and one tenth.
    """
    share = {"right": range(6), "wrong": range(6, 9), "slow": range(9, 10)}[kind]
    return [_generate(kind, number) for number in range(_PROGRAMS) if number % 10 in share]


def _generate(kind: str, number: int) -> Program:
    draw = random.Random(number)
    name = list(_PROBLEMS)[number // 10 % len(_PROBLEMS)]
    problem = _PROBLEMS[name]
    namespace: dict[str, Any] = {}
    exec(problem.right, namespace)
    inputs = [problem.draw(draw) + "\n" for _ in range(draw.randint(10, 50))]
    outputs = [f"{namespace['solve'](text.split())}\n" for text in inputs]
    code = getattr(problem, kind) + _MAIN
    return Program(f"{name} {number} ({kind})", code, inputs, outputs, kind != "wrong")


def taco() -> list[Program]:
    """Returns solutions of the whole-program rows of TACO in the folder O1CODER_DATA."""
    files = sorted((Path(os.environ["O1CODER_DATA"]) / "taco").glob("*.json"))
    return [program for file in files for program in _solutions(file)]


def _solutions(file: Path) -> Iterator[Program]:
    content = json.loads(file.read_text())
    for number, row in enumerate(content if isinstance(content, list) else [content]):
        tests, solutions = (
            json.loads(value) if isinstance(value, str) else value
            for value in (row["input_output"], row["solutions"])
        )
        if tests.get("fn_name") is None:
            for place, code in enumerate(solutions[:_TACO_SOLUTIONS]):
                yield Program(f"{file.stem}/{number}/{place}", code, tests["inputs"], tests["outputs"], True)


KINDS: dict[str, Callable[[], list[Program]]] = {
    "right": lambda: generated("right"),
    "wrong": lambda: generated("wrong"),
    "slow": lambda: generated("slow"),
    "taco": taco,
}
"""What there is to judge, by name."""
