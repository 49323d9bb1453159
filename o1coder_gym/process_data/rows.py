"""The row schema of D_process: prefixes, passing paths, sibling pairs. `from_row(to_row(row)) == row`.

Every row is one JSON object with ``schema``, ``kind``, ``task_id``, ``split`` and ``sources``; steps are
``[type, text]`` lists, type 1 define, 2 refine, 3 code, 4 helper (`types.ActionType`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from o1coder_gym.errors import RowError
from o1coder_gym.problems.rows import SPLITS
from o1coder_gym.types import ActionType, State, Step

SCHEMA = 1
"""Version of the rows; a change of meaning raises it."""

_ROUNDING = 1e-3
"""Largest log-probability read: a softmax rounds to a little over 0, and a path is a sum of such steps."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one source found at and below a prefix; fields as in `PrefixRow`.

    Attributes:
        source: Id of the run.
        visits: N, ≥ 1.
        value: v = W / N.
        ends: Distinct ends.
        passing: Those that pass.
        completed: As in `PrefixRow`.
    """

    source: str
    visits: int
    value: float
    ends: int
    passing: int
    completed: bool = False

    def to_row(self) -> list[Any]:
        """Returns a JSON-able list; ``completed`` is in it only where it is true."""
        return list(astuple(self))[: None if self.completed else -1]


@dataclass(frozen=True, slots=True)
class PrefixRow:
    """S^{1:j} with what the searches found at and below it; j ≥ 1.

    Attributes:
        state: Problem and steps; the last step is the one that is labelled.
        value: v = W / N in [0, 1], the mean of the evaluations at and below it (the authors' issue #3).
        visits: N, their number, ≥ 1.
        ends: Distinct ends among them, whatever they were worth.
        passing: Ends whose program passes all tests of the searches that judged it, ≤ `ends`.
        ended: Whether the episode ends here: code was committed, or the step limit reached, and no search
            with a higher one went on.
        soft: Soft label in [0, 1]: v.
        hard: Hard label, 0 or 1, by the data set's `LabelRule`.
        tokens: Generated tokens of S^{1:j}; of several samples that led here, as one policy thinks before a
            step and another does not, those of the one of highest `logprob`, then of fewest tokens.
        logprob: Their log-probability under the policy that wrote them, ≤ 0; None if not known.
        split: ``"train"`` or ``"validation"``, by problem.
        sources: The runs that found it, by id (`ProcessData.sources`); sorted.
        found: Values and counts by source; empty for a single source, and in rows of earlier versions.
        completed: Whether value, visits and ends are of completions after the search, and so of no row below.
        kept: Tokens that `logprob` sums over: not thoughts, nor what only shows where a step ends; None where
            these are all `tokens`, and in rows of earlier versions.
    """

    state: State
    value: float
    visits: int
    ends: int
    passing: int
    ended: bool
    soft: float
    hard: int
    tokens: int
    logprob: float | None
    split: str
    sources: tuple[str, ...]
    found: tuple[Found, ...] = ()
    completed: bool = False
    kept: int | None = None

    @property
    def mean_logprob(self) -> float | None:
        """Mean log-probability of a token, ≤ 0; None where it is not known."""
        if self.logprob is None:
            return None
        return self.logprob / max(self.tokens if self.kept is None else self.kept, 1)

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        return {
            **_head("prefix", self.state, self.split),
            "value": self.value,
            "visits": self.visits,
            "ends": self.ends,
            "passing": self.passing,
            "ended": self.ended,
            "soft": self.soft,
            "hard": self.hard,
            "tokens": self.tokens,
            "logprob": self.logprob,
            "sources": list(self.sources),
            **({"found": [one.to_row() for one in self.found]} if self.found else {}),
            **({"completed": True} if self.completed else {}),
            **({} if self.kept is None else {"kept": self.kept}),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> PrefixRow:
        """Reads what `to_row` wrote.

        Raises:
            RowError: When it is not such a row; names the field.
        """
        state = _state(row, "prefix")
        value, visits, ends = _share(row, "value"), _count(row, "visits", 1), _count(row, "ends")
        passing, hard = _count(row, "passing"), _count(row, "hard")
        if not state.steps or passing > ends or hard > 1:
            raise RowError("expected at least one step, passing ≤ ends, and hard 0 or 1")
        return cls(
            state=state,
            value=value,
            visits=visits,
            ends=ends,
            passing=passing,
            ended=bool(_field(row, "ended")),
            soft=_share(row, "soft"),
            hard=hard,
            tokens=_count(row, "tokens"),
            logprob=_logprob(row),
            split=_split(row),
            sources=_sources(row),
            found=tuple(map(_found, row.get("found", ()))),
            completed=bool(row.get("completed")),
            kept=_count(row, "kept") if "kept" in row else None,
        )


@dataclass(frozen=True, slots=True)
class PathRow:
    """S^{1:m} ∘ C' of D⁺: a whole path whose program passed all tests, and passed them again in a fresh run.

    Attributes:
        state: Problem and steps; the last one is the code.
        tests: Tests that it was verified on, ≥ 1.
        tokens: Generated tokens of the path; of several samples as in `PrefixRow`.
        logprob: Their log-probability under the policy that wrote them, ≤ 0; None if not known.
        split: As in `PrefixRow`.
        sources: As in `PrefixRow`.
    """

    state: State
    tests: int
    tokens: int
    logprob: float | None
    split: str
    sources: tuple[str, ...]

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        return {
            **_head("path", self.state, self.split),
            "tests": self.tests,
            "tokens": self.tokens,
            "logprob": self.logprob,
            "sources": list(self.sources),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> PathRow:
        """Reads what `to_row` wrote.

        Raises:
            RowError: When it is not such a row; names the field.
        """
        state = _state(row, "path")
        if state.code is None:
            raise RowError("field 'steps': a path ends with code")
        return cls(
            state=state,
            tests=_count(row, "tests", 1),
            tokens=_count(row, "tokens"),
            logprob=_logprob(row),
            split=_split(row),
            sources=_sources(row),
        )


@dataclass(frozen=True, slots=True)
class PairRow:
    """Two siblings of clearly different value: (S^{1:j−1}, S_win, S_lose) of Eq. 4.

    Attributes:
        state: The state where both were taken, S^{1:j−1}; may have no steps.
        chosen: S_win.
        rejected: S_lose.
        chosen_value: v of the chosen one, in [0, 1].
        rejected_value: v of the rejected one, below it.
        visits: The smaller visit count of the two, ≥ 1.
        split: As in `PrefixRow`.
        sources: As in `PrefixRow`.
    """

    state: State
    chosen: Step
    rejected: Step
    chosen_value: float
    rejected_value: float
    visits: int
    split: str
    sources: tuple[str, ...]

    @property
    def margin(self) -> float:
        """v_win − v_lose, in (0, 1]."""
        return self.chosen_value - self.rejected_value

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        return {
            **_head("pair", self.state, self.split),
            "chosen": [int(self.chosen.type), self.chosen.text],
            "rejected": [int(self.rejected.type), self.rejected.text],
            "chosen_value": self.chosen_value,
            "rejected_value": self.rejected_value,
            "margin": self.margin,
            "visits": self.visits,
            "sources": list(self.sources),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> PairRow:
        """Reads what `to_row` wrote.

        Raises:
            RowError: When it is not such a row; names the field.
        """
        state = _state(row, "pair")
        chosen_value, rejected_value = _share(row, "chosen_value"), _share(row, "rejected_value")
        # A pair the wrong way round would teach the opposite of what was seen.
        if chosen_value <= rejected_value:
            raise RowError("field 'chosen_value': must be above rejected_value")
        return cls(
            state=state,
            chosen=_step(_field(row, "chosen"), "chosen"),
            rejected=_step(_field(row, "rejected"), "rejected"),
            chosen_value=chosen_value,
            rejected_value=rejected_value,
            visits=_count(row, "visits", 1),
            split=_split(row),
            sources=_sources(row),
        )


def _head(kind: str, state: State, split: str) -> dict[str, Any]:
    steps = [[int(step.type), step.text] for step in state.steps]
    return {"schema": SCHEMA, "kind": kind, "task_id": state.problem_id, "split": split, "steps": steps}


def _field(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise RowError(f"field {name!r} is missing")
    return row[name]


def _state(row: Mapping[str, Any], kind: str) -> State:
    # Before anything else: fields of another version may mean something else.
    if _field(row, "schema") != SCHEMA:
        raise RowError(f"field 'schema': got {row['schema']!r}, this version reads {SCHEMA}")
    if _field(row, "kind") != kind:
        raise RowError(f"field 'kind': got {row['kind']!r}, expected {kind!r}")
    steps = _field(row, "steps")
    if not isinstance(steps, list):
        raise RowError("field 'steps': expected a list")
    return State(_text(row, "task_id"), tuple(_step(step, "steps") for step in steps))


def _step(raw: Any, name: str) -> Step:
    match raw:
        case [int(kind), str(text)] if 0 <= kind <= max(ActionType):
            return Step(ActionType(kind), text)
    raise RowError(f"field {name!r}: a step is [type, text], got {str(raw)[:40]!r}")


def _found(raw: Any) -> Found:
    match raw:
        case [str(source), int(visits), int() | float() as v, int(ends), int(passing), *more] if (
            visits > 0 and 0.0 <= v <= 1.0 and 0 <= passing <= ends
        ):
            return Found(source, visits, float(v), ends, passing, any(more))
    raise RowError(f"field 'found': expected [source, visits, value, ends, passing], got {str(raw)[:60]!r}")


def _text(row: Mapping[str, Any], name: str) -> str:
    value = _field(row, name)
    if not isinstance(value, str):
        raise RowError(f"field {name!r}: expected text, got {value!r}")
    return value


def _split(row: Mapping[str, Any]) -> str:
    value = _text(row, "split")
    # rows of any other would be in no part of the data set, and so neither learned nor measured
    if value not in SPLITS:
        raise RowError(f"field 'split': expected {' or '.join(SPLITS)}, got {value!r}")
    return value


def _share(row: Mapping[str, Any], name: str) -> float:
    value = _field(row, name)
    if not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise RowError(f"field {name!r}: expected a number in [0, 1], got {value!r}")
    return float(value)


def _count(row: Mapping[str, Any], name: str, least: int = 0) -> int:
    value = _field(row, name)
    if not isinstance(value, int) or value < least:
        raise RowError(f"field {name!r}: expected a whole number of at least {least}, got {value!r}")
    return int(value)


def _logprob(row: Mapping[str, Any]) -> float | None:
    value = _field(row, "logprob")
    if value is None:
        return None
    if not isinstance(value, int | float) or not -math.inf < value <= _ROUNDING:
        raise RowError(f"field 'logprob': expected a finite number ≤ 0 or null, got {value!r}")
    return value


def _sources(row: Mapping[str, Any]) -> tuple[str, ...]:
    value = _field(row, "sources")
    if not isinstance(value, Sequence) or not all(isinstance(name, str) for name in value):
        raise RowError(f"field 'sources': expected a list of ids, got {value!r}")
    return tuple(value)
