"""Trajectories: prefixes joined into whole chains, so that one forward pass scores all steps of a chain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from o1coder_gym.process_data.rows import PrefixRow
from o1coder_gym.types import State


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A chain of steps that no other one continues.

    Attributes:
        state: All of its steps, m of them.
        rows: The row of each prefix S^{1:j}, [m]; None where the data set has none.
        first: Whether this is the first trajectory that holds that prefix, [m]; a loss that counts only
            these counts every prefix once, however many trajectories share it.
    """

    state: State
    rows: tuple[PrefixRow | None, ...]
    first: tuple[bool, ...]


def trajectories(prefixes: Iterable[PrefixRow]) -> list[Trajectory]:
    """Joins prefixes into trajectories, in order; every prefix is in at least one."""
    rows = {row.state: row for row in prefixes}
    # States that another row continues; all others are the ends of trajectories.
    inner = {State(state.problem_id, state.steps[:-1]) for state in rows}
    seen: set[State] = set()
    joined = []
    for state in rows:
        if state in inner:
            continue
        chain = [State(state.problem_id, state.steps[: j + 1]) for j in range(state.depth)]
        first = tuple(prefix not in seen for prefix in chain)
        seen.update(chain)
        joined.append(Trajectory(state, tuple(rows.get(prefix) for prefix in chain), first))
    return joined
