"""Uniting prefixes: equal states of several searches and runs become one row. Pure functions.

W and N of different policies, tests and agents are estimates of different values. They are averaged by
visits, but each row keeps what each source found, so that old ones can be weighed less, or dropped, later.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

from o1coder_gym.process_data.rows import Found, PathRow, PrefixRow
from o1coder_gym.types import State

_Row = TypeVar("_Row", PrefixRow, PathRow)
_Table: TypeAlias = dict[State, dict[str, Found]]


def united(rows: Iterable[PrefixRow], weights: Mapping[str, float]) -> list[PrefixRow]:
    """Returns one row per state, in order of the first.

    Args:
        rows: Prefixes of any number of searches.
        weights: By source, ≥ 0; 1 for those that are not named. One of weight 0 is dropped.

    Returns:
        Rows with v = Σ w W / Σ w N over their sources, and N = Σ N. An end that several searches came to
        counts once, at its own state and above, and passes where none of them saw its program fail. An
        episode ends at a state where none of them went on; tokens are those of the `likeliest` sample.
    """
    samples: dict[State, PrefixRow] = {}
    inner: set[State] = set()
    table: _Table = {}
    for row in rows:
        kept = [part for part in _parts(row) if _weight(part, weights) > 0]
        if not kept:
            continue
        samples[row.state] = likeliest(samples.get(row.state, row), row)
        if not row.ended:
            inner.add(row.state)
        known = table.setdefault(row.state, {})
        for part in kept:
            known[part.source] = _added(known[part.source], part) if part.source in known else part
    # A state that any source continued is inner: its ends are those below it.
    ends = [state for state in samples if state not in inner]
    # Per source first, since a source may hold the same end twice; then over all of them.
    for end in ends:
        for source, find in table[end].items():
            for state in _counting(table, end, source):
                table[state][source] = _counted_once(table[state][source], [find], failed=_failed(find))
    # Totals first, then the correction: the same end of two sources was added twice by the sum.
    totals = {state: _total(found.values(), weights) for state, found in table.items()}
    # A verdict, unlike a value, is no matter of policies: a test that fails outweighs all that pass.
    wrong = {program_of(end) for end in ends if any(map(_failed, table[end].values()))}
    for end in ends:
        finds: dict[State, list[Found]] = defaultdict(list)
        for source, find in table[end].items():
            for state in _counting(table, end, source):
                finds[state].append(find)
        failed = program_of(end) in wrong
        totals |= {state: _counted_once(totals[state], some, failed=failed) for state, some in finds.items()}
    return [
        _row(replace(sample, ended=state not in inner), totals[state], table[state])
        for state, sample in samples.items()
    ]


def likeliest(one: _Row, other: _Row) -> _Row:
    """Returns the row of the likelier sample, of two equally likely ones that of fewer tokens.

    Whichever of the two came first: where several policies wrote a text, none is the one that counts.
    """
    return max(one, other, key=_likelihood)


def _likelihood(row: PrefixRow | PathRow) -> tuple[float, int, int]:
    # a sample of unknown log-probability says less than any
    logprob = -math.inf if row.logprob is None else row.logprob
    kept = row.kept if isinstance(row, PrefixRow) and row.kept is not None else row.tokens
    return logprob, -row.tokens, -kept


def program_of(end: State) -> State | tuple[str, str]:
    """Returns what is judged at an end: the program for its problem, whichever steps led to it."""
    return end if end.code is None else (end.problem_id, end.code)


def _counting(table: _Table, end: State, source: str) -> list[State]:
    """Returns the states at and above an end whose counts of a source have it; completions are other ends."""
    chain = (State(end.problem_id, end.steps[:depth]) for depth in range(1, end.depth + 1))
    found = ((state, table.get(state, {}).get(source)) for state in chain)
    return [state for state, part in found if part is not None and not part.completed]


def _parts(row: PrefixRow) -> tuple[Found, ...]:
    # Rows of one source have no parts: they are their own.
    whole = Found("+".join(row.sources), row.visits, row.value, row.ends, row.passing, row.completed)
    return row.found or (whole,)


def _weight(part: Found, weights: Mapping[str, float]) -> float:
    """Returns the weight of a source; rows of earlier versions may name several at once."""
    return max(weights.get(name, 1.0) for name in part.source.split("+"))


def _added(one: Found, other: Found) -> Found:
    # (v₁N₁ + v₂N₂) / (N₁ + N₂) = (W₁ + W₂) / (N₁ + N₂).
    visits = one.visits + other.visits
    value = (one.value * one.visits + other.value * other.visits) / visits
    ends, passing = one.ends + other.ends, one.passing + other.passing
    return Found(one.source, visits, value, ends, passing, one.completed or other.completed)


def _total(parts: Iterable[Found], weights: Mapping[str, float]) -> Found:
    found = list(parts)
    # w·N per source; v = Σ w W / Σ w N, because W = v N.
    mass = [_weight(part, weights) * part.visits for part in found]
    value = sum(part.value * share for part, share in zip(found, mass, strict=True)) / sum(mass)
    visits, ends = sum(part.visits for part in found), sum(part.ends for part in found)
    # a mean of equal values is that value, whatever the last binary digit says
    value = min(max(value, min(part.value for part in found)), max(part.value for part in found))
    return Found("", visits, value, ends, sum(part.passing for part in found))


def _failed(end: Found) -> bool:
    """Whether a source saw an end fail, once at least of the times that it came to it."""
    return end.passing < end.ends


def _counted_once(above: Found, finds: Sequence[Found], *, failed: bool) -> Found:
    """Subtracts repeated finds of an end from what was found at or above it.

    Args:
        above: Has counted every find.
        finds: Of one end.
        failed: Whether its program was seen failing, so that no find of it counts as passing.
    """
    ends, passing = sum(find.ends for find in finds), sum(find.passing for find in finds)
    if not ends:
        return above
    # Rows of earlier versions do not say that they were completed, and may have fewer ends.
    kept = max(0, above.passing - (passing if failed else passing - min(1, passing)))
    return replace(above, ends=max(kept, above.ends - (ends - 1)), passing=kept)


def _row(sample: PrefixRow, total: Found, found: Mapping[str, Found]) -> PrefixRow:
    names = sorted({name for source in found for name in source.split("+")})
    return replace(
        sample,
        visits=total.visits,
        value=total.value,
        ends=total.ends,
        passing=total.passing,
        sources=tuple(names),
        found=tuple(found.values()) if len(found) > 1 else (),
        completed=any(one.completed for one in found.values()),
    )
