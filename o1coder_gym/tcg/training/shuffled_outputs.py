"""Pairs for DPO: the same inputs with their outputs exchanged (paper, Eq. 1). Pure functions.

Exchanged outputs may fit all the same: the identity, equal outputs, 1 and 1.0. Only a derangement in which
no case gets an output that the judge takes for its own makes a pair.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import permutations

from o1coder_gym.tcg.checking.execution import same_output, test_of
from o1coder_gym.types import CallTest, StdioTest

Case = CallTest | StdioTest


def derange(
    outputs: Sequence[str], same: Callable[[str, str], bool], rng: random.Random
) -> tuple[str, ...] | None:
    """Returns the outputs in an order in which none is the same as the one in its place before.

    Args:
        outputs: K outputs, K ≤ 6 (all orders may be tried).
        same: Whether two outputs are equal for the judge.
        rng: Draws among the orders that will do.

    Returns:
        None if there is no such order.
    """
    orders = list(permutations(range(len(outputs))))
    # All K! orders in random order; the first derangement is a uniform draw among them.
    rng.shuffle(orders)
    for order in orders:
        exchanged = tuple(outputs[index] for index in order)
        if not any(same(new, old) for new, old in zip(exchanged, outputs, strict=True)):
            return exchanged
    return None


def mismatched(cases: Sequence[Case], entry_point: str | None, rng: random.Random) -> tuple[Case, ...] | None:
    """Returns the cases with deranged outputs (Eq. 1: y_l for y_w = `cases`), None where there are none."""
    outputs = [case.expected if isinstance(case, CallTest) else case.stdout for case in cases]
    exchanged = derange(outputs, lambda new, old: same_output(entry_point, new, old), rng)
    if exchanged is None:
        return None
    return tuple(
        _with_output(case, output, entry_point) for case, output in zip(cases, exchanged, strict=True)
    )


def _with_output(case: Case, output: str, entry_point: str | None) -> Case:
    given = case.args if isinstance(case, CallTest) else case.stdin
    return test_of(entry_point, given, output)
