"""Exports: the rows that other trainers expect, and each prefix in a trajectory."""

import json
import re
from pathlib import Path

import pytest

from o1coder_gym.errors import UnknownNameError
from o1coder_gym.process_data import PathRow, PrefixRow, ProcessData
from o1coder_gym.process_data.dataset import assembled
from o1coder_gym.process_data.exports import demonstrations, export, math_shepherd, preferences, stepwise
from o1coder_gym.process_data.trajectories import trajectories
from o1coder_gym.types import ActionType, Problem, State, Step

PLAN, OTHER = Step(ActionType.DEFINE, "add them"), Step(ActionType.DEFINE, "guess")
CODE = Step(ActionType.CODE, "print(1)")


def row(*steps: Step, value: float, passing: int = 0) -> PrefixRow:
    return PrefixRow(State("p", steps), value, 2, 2, passing, False, value, 0, 3, -1.0, "", ("s",))


@pytest.fixture
def data() -> ProcessData:
    rows = [row(PLAN, value=0.75, passing=1), row(OTHER, value=0.0), row(PLAN, CODE, value=1.0, passing=2)]
    rows.append(row(PLAN, Step(ActionType.CODE, "print(2)"), value=0.5))
    paths = [PathRow(State("p", (PLAN, CODE)), 2, 3, -1.0, "", ("s",))]
    return assembled("pseudocode", [Problem("p", "Add.")], rows, paths, validation=0.0, sources={"s": {}})


def test_every_prefix_is_in_a_trajectory_and_first_once(data: ProcessData) -> None:
    joined = trajectories(data.prefixes)
    assert [one.state.steps for one in joined] == [
        (OTHER,),
        (PLAN, CODE),
        (PLAN, Step(ActionType.CODE, "print(2)")),
    ]
    assert [one.first for one in joined] == [(True,), (True, True), (False, True)]
    assert sum(sum(one.first) for one in joined) == len(data.prefixes)


def test_a_prefix_without_row_leaves_a_gap() -> None:
    (one,) = trajectories([row(PLAN, CODE, value=1.0)])
    assert one.rows[0] is None
    assert one.rows[1] is not None


def test_stepwise_rows_are_what_trl_reads(data: ProcessData) -> None:
    rows = {len(found["labels"]): found for found in stepwise(data)}
    assert rows[1]["completions"] == ["### Step 1 (define)\nguess"]
    assert rows[1]["labels"] == [False]
    assert rows[2]["labels"] == [True, False]
    soft = [found["soft_labels"] for found in stepwise(data)]
    assert soft == [[0.0], [0.75, 1.0], [0.75, 0.5]]


def test_math_shepherd_rows_differ_in_tags_only(data: ProcessData) -> None:
    whole = list(math_shepherd(data))[1]
    assert whole["input"].replace(" ки", "") == whole["label"].replace(" +", "")
    assert whole["label"].startswith("Add.")


def test_preferences_and_demonstrations(data: ProcessData) -> None:
    found = list(preferences(data))
    assert [one["margin"] for one in found] == [0.75, 0.5]
    assert found[1]["prompt"].endswith("output.\n\n### Step 1 (define)\nadd them")
    assert found[1]["chosen"] == "\n\n### Step 2 (code)\n```python\nprint(1)\n```"
    (shown,) = demonstrations(data)
    assert shown["prompt"][-1]["role"] == "user"
    text = shown["completion"][0]["content"]
    assert text == "### Step 1 (define)\nadd them\n\n### Step 2 (code)\n```python\nprint(1)\n```\n"


@pytest.mark.parametrize("merged", ["\n\n###", "\n\n### Step"])
def test_prompts_are_encoded_alike_alone_and_with_an_answer(data: ProcessData, merged: str) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    # a tokenizer that joins a blank line with what follows, as that of SmolLM2 does
    cut = tokenizers.pre_tokenizers.Split(tokenizers.Regex(re.escape(merged) + r"|\w+|\n+|.| "), "isolated")
    for row in preferences(data):
        alone = [piece for piece, _ in cut.pre_tokenize_str(row["prompt"])]
        for side in ("chosen", "rejected"):
            both = [piece for piece, _ in cut.pre_tokenize_str(row["prompt"] + row[side])]
            assert both[: len(alone)] == alone


@pytest.mark.parametrize("name", ["stepwise", "math_shepherd", "preferences", "demonstrations"])
def test_json_lines_per_split(data: ProcessData, tmp_path: Path, name: str) -> None:
    export(data, name, tmp_path)
    found = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert found
    assert (tmp_path / "validation.jsonl").read_text() == ""


def test_tables_come_back(data: ProcessData, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", exc_type=ImportError)
    export(data, "datasets", tmp_path / "d")
    loaded = datasets.load_from_disk(tmp_path / "d" / "stepwise-train")
    assert loaded["soft_labels"][1] == [0.75, 1.0]
    export(data, "parquet", tmp_path / "p")
    again = datasets.Dataset.from_parquet(str(tmp_path / "p" / "stepwise-train.parquet"), cache_dir=tmp_path)
    assert again["soft_labels"][1] == [0.75, 1.0]


def test_an_unknown_export_is_named(data: ProcessData, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="xml"):
        export(data, "xml", tmp_path)
