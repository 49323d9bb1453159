"""Rows survive writing and reading; what is no row is named by field."""

import json
from dataclasses import replace

import pytest

from o1coder_gym.errors import RowError
from o1coder_gym.process_data import PairRow, PathRow, PrefixRow
from o1coder_gym.types import ActionType, State, Step

THINK, OTHER = Step(ActionType.DEFINE, "sum up\n\u2028 \ud800"), Step(ActionType.REFINE, "sort")
CODE = Step(ActionType.CODE, "def f():\n    return 1")
PREFIX = PrefixRow(State("p", (THINK,)), 0.75, 4, 3, 1, False, 0.75, 1, 12, -3.5, "train", ("a", "b"))
PATH = PathRow(State("p", (THINK, CODE)), 5, 30, None, "validation", ("a",))
PAIR = PairRow(State("p"), THINK, OTHER, 0.75, 0.25, 2, "train", ("a",))


@pytest.mark.parametrize("row", [PREFIX, replace(PREFIX, kept=7), replace(PREFIX, logprob=1e-6), PATH, PAIR])
def test_a_row_survives_json(row: PrefixRow | PathRow | PairRow) -> None:
    assert type(row).from_row(json.loads(json.dumps(row.to_row()))) == row


def test_a_mean_is_over_the_tokens_that_the_sum_is_of() -> None:
    assert "kept" not in PREFIX.to_row()
    assert PREFIX.mean_logprob == -3.5 / 12
    assert replace(PREFIX, kept=7).mean_logprob == -0.5
    assert replace(PREFIX, kept=0, logprob=0.0).mean_logprob == 0.0
    assert replace(PREFIX, logprob=None).mean_logprob is None


def test_a_pair_says_its_margin() -> None:
    assert PAIR.to_row()["margin"] == 0.5


@pytest.mark.parametrize(
    ("row", "change", "named"),
    [
        (PREFIX, {"schema": 2}, "schema"),
        (PREFIX, {"kind": "path"}, "kind"),
        (PREFIX, {"value": 1.5}, "value"),
        (PREFIX, {"soft": float("nan")}, "soft"),
        (PREFIX, {"visits": 0}, "visits"),
        (PREFIX, {"hard": 2}, "hard 0 or 1"),
        (PREFIX, {"passing": 4}, "passing ≤ ends"),
        (PREFIX, {"steps": []}, "at least one step"),
        (PREFIX, {"steps": [[9, "x"]]}, "steps"),
        (PREFIX, {"logprob": "low"}, "logprob"),
        (PREFIX, {"logprob": float("nan")}, "logprob"),
        (PREFIX, {"logprob": float("-inf")}, "logprob"),
        (PREFIX, {"logprob": 5.0}, "logprob"),
        (PREFIX, {"split": "test"}, "split"),
        (PREFIX, {"found": [["a", 1, float("nan"), 1, 0]]}, "found"),
        (PREFIX, {"found": [["a", 1, 0.5, 1, 2]]}, "found"),
        (PREFIX, {"sources": [1]}, "sources"),
        (PATH, {"steps": [[1, "x"]]}, "ends with code"),
        (PATH, {"tests": 0}, "tests"),
        (PATH, {"split": ""}, "split"),
        (PATH, {"logprob": 5.0}, "logprob"),
        (PAIR, {"rejected_value": 0.75}, "above rejected_value"),
        (PAIR, {"chosen": "x"}, "chosen"),
        (PAIR, {"split": "test"}, "split"),
    ],
)
def test_what_is_no_row_is_named(row: PrefixRow | PathRow | PairRow, change: dict, named: str) -> None:
    with pytest.raises(RowError, match=named):
        type(row).from_row(row.to_row() | change)


@pytest.mark.parametrize("row", [PREFIX, PATH, PAIR], ids=lambda row: type(row).__name__)
def test_every_field_is_needed(row: PrefixRow | PathRow | PairRow) -> None:
    fields = row.to_row()
    for name in fields.keys() - {"margin"}:
        with pytest.raises(RowError, match=name):
            type(row).from_row({key: value for key, value in fields.items() if key != name})


def test_a_row_is_a_value() -> None:
    assert replace(PREFIX, hard=1) == PREFIX
    assert hash(PREFIX) == hash(replace(PREFIX))
