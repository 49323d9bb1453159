"""Exports: the rows that other trainers expect, and each prefix in a trajectory."""

import json
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
    assert found[1]["prompt"].endswith("output.\n\n### Step 1 (define)\nadd them\n\n### Step 2")
    assert found[1]["chosen"] == " (code)\n```python\nprint(1)\n```"
    assert found[1]["rejected"] == " (code)\n```python\nprint(2)\n```"
    (shown,) = demonstrations(data)
    assert shown["prompt"][-1]["role"] == "user"
    text = shown["completion"][0]["content"]
    assert text == "### Step 1 (define)\nadd them\n\n### Step 2 (code)\n```python\nprint(1)\n```\n"


WORDS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "gpt4": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "blank line and marks": r"\n\n###|\w+|\n+|.| ",
    "blank line and word": r"\n\n### Step|\w+|\n+|.| ",
}
"""How tokenizers cut texts into words: those of GPT-2 and SmolLM2, of GPT-4 and Qwen, and two more."""


@pytest.mark.parametrize("end", ["them.", "them", "(x)", "`x`:", "- a!"])
@pytest.mark.parametrize("form", ["pseudocode", "functions", "vanilla"])
@pytest.mark.parametrize("words", WORDS)
def test_prompts_are_encoded_alike_alone_and_with_an_answer(words: str, form: str, end: str) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    cut = tokenizers.pre_tokenizers.Split(tokenizers.Regex(WORDS[words]), "isolated")
    steps = [CODE, Step(ActionType.CODE, "x = 2"), *([] if form == "vanilla" else [PLAN, OTHER])]
    rows = [row(step, value=1.0 - place / 4) for place, step in enumerate(steps)]
    after = Step(ActionType.DEFINE, f"add {end}")
    rows += [
        row(after, value=0.9),
        *(row(after, step, value=1.0 - place / 4) for place, step in enumerate(steps)),
    ]
    data = assembled(form, [Problem("p", f"Add {end}")], rows, [], validation=0.0, sources={"s": {}})
    found = list(preferences(data))
    assert len({one["prompt"] for one in found}) > 1
    for one in found:
        alone = [piece for piece, _ in cut.pre_tokenize_str(one["prompt"])]
        for side in ("chosen", "rejected"):
            both = [piece for piece, _ in cut.pre_tokenize_str(one["prompt"] + one[side])]
            assert both[: len(alone)] == alone


def test_steps_whose_headers_have_nothing_in_common_begin_with_a_blank_line() -> None:
    fenced = Step(ActionType.CODE, 'x = """\n```\n"""')  # needs a longer fence
    rows = [row(CODE, value=1.0), row(fenced, value=0.0)]
    data = assembled("vanilla", [Problem("p", "Add.")], rows, [], validation=0.0, sources={"s": {}})
    (found,) = preferences(data)
    assert found["prompt"].endswith("output.")
    assert found["chosen"] == "\n\n```python\nprint(1)\n```"
    assert found["rejected"].startswith("\n\n````python\nx =")


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
