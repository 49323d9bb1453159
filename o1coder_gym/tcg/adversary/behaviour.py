"""Behaviour: which programs do the same on all inputs tried, as a value.

S programs, I inputs. What a program does on an input is its output, or how it fails; outputs are compared as
the tests of the question compare, so that rounding parts nobody.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from o1coder_gym.tcg.checking.agreement import Same
from o1coder_gym.tcg.checking.execution import UNFINISHED, Observation
from o1coder_gym.types import Outcome

NOT_RUN = "not run"
"""What a program does on an input that it was not run on, because it hung before."""
UNTOLD = "cannot be told apart"
"""What a program does that returns a value without a literal, such as an iterator or an object of its own.

It came to an end, so it does not fail; but whether two such values are equal, the judge cannot say.
"""
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{4,}")
"""What Python prints of an object without a text of its own."""


@dataclass(frozen=True, slots=True)
class Partition:
    """Programs by behaviour.

    Attributes:
        classes: Indices of the programs of each class, each ascending; the largest class first, of equals the
            one whose first program is the earliest.
        weights: The weight of each class: the samples that its programs stand for.
    """

    classes: tuple[tuple[int, ...], ...]
    weights: tuple[float, ...]

    @property
    def entropy(self) -> float:
        """Entropy of the classes by weight, in bits: 0 where all programs are alike (semantic entropy)."""
        whole = sum(self.weights)
        shares = [weight / whole for weight in self.weights if weight > 0]
        return sum(share * -math.log2(share) for share in shares)


def partition(keys: Sequence[object | None], weights: Sequence[float]) -> Partition:
    """Puts programs of equal keys into one class.

    Args:
        keys: Each program's behaviour on all inputs, [S]; None leaves it out.
        weights: Samples that each program stands for, > 0, [S].
    """
    members: dict[object, list[int]] = {}
    for program, key in enumerate(keys):
        if key is not None:
            members.setdefault(key, []).append(program)
    # The largest class first; of equals the one that appeared first, so that results do not depend on
    # hashing.
    heavy = sorted(members.values(), key=lambda found: (-sum(weights[one] for one in found), found[0]))
    return Partition(tuple(map(tuple, heavy)), tuple(sum(weights[one] for one in found) for found in heavy))


def column(observed: Sequence[Observation], same: Same) -> list[str]:
    """Returns names of the programs' behaviours on one input, [S]; equal behaviours have equal names.

    Names of outputs begin with ``=``; the others are `UNTOLD`, or say how a program failed: a crash is not a
    time-out.
    """
    texts = Counter(one.output for one in observed if one.output is not None).most_common()
    leaders: dict[str, str] = {}  # the most frequent text stands for all that are the same
    for text, _ in texts:
        leaders[text] = next((known for known in dict.fromkeys(leaders.values()) if same(known, text)), text)
    return [_without_output(one) if one.output is None else f"={leaders[one.output]}" for one in observed]


def is_output(name: str) -> bool:
    """Whether a name of `column` is that of an output, which follows its first character."""
    return name.startswith("=")


def is_failure(name: str) -> bool:
    """Whether a name of `column` is that of a failure."""
    return not is_output(name) and name != UNTOLD


def shown(name: str) -> str:
    """Returns a name of `column` for people: an output, or what happened instead in parentheses."""
    return name[1:] if is_output(name) else f"({name})"


def shows_address(observed: Observation) -> bool:
    """Whether an output holds the address of an object, which is equal in both runs only by accident."""
    return observed.output is not None and _ADDRESS.search(observed.output) is not None


def rounds(observed: Sequence[Observation], same: Same) -> bool:
    """Whether outputs differ as texts but are equal by `same`, as differently rounded floats are."""
    texts = {one.output for one in observed if one.output is not None}
    names = {name for name in column(observed, same) if is_output(name)}
    return len(names) < len(texts)


def _without_output(observed: Observation) -> str:
    if observed == UNFINISHED:
        return NOT_RUN
    return UNTOLD if observed.outcome is Outcome.PASS else observed.outcome.value
