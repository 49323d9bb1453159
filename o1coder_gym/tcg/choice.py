"""Which of many valid inputs become tests: pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, zip_longest


def spread(outputs: Sequence[str], n: int) -> list[int]:
    """Chooses inputs whose outputs differ as much as possible.

    One input of every distinct output comes first, then a second one of each, and so on; among inputs
    with one output the earlier ones are preferred.

    Args:
        outputs: What the reference returns for each input.
        n: How many inputs to choose at most.

    Returns:
        Indices of the chosen inputs, ascending.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, output in enumerate(outputs):
        groups[output].append(index)
    rounds = chain.from_iterable(zip_longest(*groups.values()))
    return sorted([index for index in rounds if index is not None][:n])
