"""Which output an input has, by what several programs return (mode B): pure functions.

S solutions, I inputs. ``outputs[s][i]`` is what solution s returns for input i, None where it fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Outputs: TypeAlias = Sequence[Sequence[str | None]]
"""[S, I]."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """The output that solutions agree on.

    Attributes:
        output: Its text.
        support: Share of all solutions that return it, in (0, 1].
    """

    output: str
    support: float


Agreement: TypeAlias = Callable[[Outputs], list[Agreed | None]]
"""[S, I] → [I]; None where there is no agreement."""


def majority(outputs: Outputs, *, threshold: float = 0.5) -> list[Agreed | None]:
    """Takes for each input the output that most solutions return.

    Args:
        outputs: [S, I].
        threshold: The least share of solutions that must return it, in (0, 1]; must be exceeded or, at
            1, met. Solutions that fail count as disagreeing.
    """
    return [_most_common(column, len(outputs), threshold) for column in zip(*outputs, strict=True)]


def consensus(outputs: Outputs, *, threshold: float = 0.3) -> list[Agreed | None]:
    """Takes the outputs of the largest set of solutions that behave alike on all inputs.

    That is CodeT's dual agreement (Chen et al. 2022, arXiv 2207.10397) with behaviour in place of tests:
    one wrong vote per input cannot be put together from different solutions.

    Args:
        outputs: [S, I].
        threshold: The least share of solutions in that set, as in `majority`.
    """
    behaviours = Counter(tuple(row) for row in outputs if any(output is not None for output in row))
    if not behaviours:
        return [None] * (len(outputs[0]) if outputs else 0)
    best, votes = max(behaviours.items(), key=lambda item: (item[1], sum(o is not None for o in item[0])))
    support = votes / len(outputs)
    if not _is_enough(support, threshold):
        return [None] * len(best)
    return [None if output is None else Agreed(output, support) for output in best]


def _most_common(column: Sequence[str | None], solutions: int, threshold: float) -> Agreed | None:
    votes = Counter(output for output in column if output is not None)
    if not votes:
        return None
    output, count = votes.most_common(1)[0]
    support = count / solutions
    return Agreed(output, support) if _is_enough(support, threshold) else None


def _is_enough(support: float, threshold: float) -> bool:
    return support > threshold or support == threshold == 1
