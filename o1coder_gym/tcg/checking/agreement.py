"""Agreement of several programs on the output of an input (mode B): pure functions.

S solutions, I inputs. ``outputs[s][i]`` is what solution s returns for input i, None where it fails or
answers differently a second time. Votes are counted by what the judge takes for the same, not by text:
``0.3`` and ``0.1 + 0.2``, or lines that end in blanks, are one answer.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Outputs: TypeAlias = Sequence[Sequence[str | None]]
"""[S, I]."""
Same: TypeAlias = Callable[[str, str], bool]
"""Whether the judge takes two outputs for the same."""


Calibration: TypeAlias = Callable[[float], float]
"""From the share of solutions behind an output to the chance that it is right; see `quality.agreement`."""


def uncalibrated(support: float) -> float:
    """Returns the share of solutions as the chance."""
    return support


@dataclass(frozen=True, slots=True)
class Agreed:
    """The output that solutions agree on.

    Attributes:
        output: Its text, the most frequent one of those that are the same.
        support: Share of all solutions that return it, in (0, 1].
    """

    output: str
    support: float


class Agreement(Protocol):
    """[S, I] → [I]; None where there is no agreement. A tie is none."""

    def __call__(self, outputs: Outputs, *, same: Same) -> list[Agreed | None]:
        """Counts votes; `same` says which outputs are one."""
        ...


def majority(outputs: Outputs, *, same: Same = operator.eq, threshold: float = 0.5) -> list[Agreed | None]:
    """Takes for each input the output that most solutions return.

    Args:
        outputs: [S, I].
        same: Which outputs are one.
        threshold: The least share of solutions that must return it, in (0, 1]; must be exceeded or, at
            1, met. Solutions that fail count as disagreeing.
    """
    return [_most_common(column, len(outputs), threshold) for column in _columns(outputs, same)]


def consensus(outputs: Outputs, *, same: Same = operator.eq, threshold: float = 0.3) -> list[Agreed | None]:
    """Takes the outputs of the largest set of solutions that behave alike on all inputs.

    That is CodeT's dual agreement (Chen et al. 2022, arXiv 2207.10397) with behaviour in place of tests:
    one wrong vote per input cannot be put together from different solutions. Of several largest sets only
    what all of them return is agreed on.

    Args:
        outputs: [S, I].
        same: Which outputs are one.
        threshold: The least share of solutions in that set, as in `majority`.
    """
    rows = list(zip(*_columns(outputs, same), strict=True))
    # Whole rows vote, as one: [I] outputs of a solution.
    behaviours = Counter(row for row in rows if any(output is not None for output in row))
    if not behaviours:
        return [None] * (len(outputs[0]) if outputs else 0)
    most = max(behaviours.values())
    largest = [behaviour for behaviour, votes in behaviours.items() if votes == most]
    if not _is_enough(most / len(rows), threshold):
        return [None] * len(largest[0])
    # All solutions of all largest sets return what is kept, so they all stand behind it.
    support = most * len(largest) / len(rows)
    agreed = (column[0] if len({*column}) == 1 else None for column in zip(*largest, strict=True))
    return [None if output is None else Agreed(output, support) for output in agreed]


def _columns(outputs: Outputs, same: Same) -> list[list[str | None]]:
    """Returns each solution's output by input, [I, S], as texts; equal outputs have equal texts."""
    return [_unified(column, same) for column in zip(*outputs, strict=True)]


def _unified(column: Sequence[str | None], same: Same) -> list[str | None]:
    # the most frequent text first, so that it stands for its like whoever voted first
    texts = Counter(output for output in column if output is not None).most_common()
    stands_for: dict[str, str] = {}
    for text, _ in texts:
        # `same` is not an equivalence where tolerances chain (a ≈ b ≈ c); comparing with leaders alone keeps
        # classes apart.
        leaders = dict.fromkeys(stands_for.values())
        stands_for[text] = next((leader for leader in leaders if same(text, leader)), text)
    return [None if output is None else stands_for[output] for output in column]


def _most_common(column: Sequence[str | None], solutions: int, threshold: float) -> Agreed | None:
    votes = Counter(output for output in column if output is not None).most_common(2)
    if not votes or (len(votes) > 1 and votes[0][1] == votes[1][1]):
        return None
    output, count = votes[0]
    support = count / solutions
    return Agreed(output, support) if _is_enough(support, threshold) else None


def _is_enough(support: float, threshold: float) -> bool:
    return support > threshold or support == threshold == 1
