"""Every training says before it begins that it learns from what it is measured on."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.experiments.self_play.config import (
    ProblemSection,
    RunSection,
    SelfPlayConfig,
    SynthesisSection,
)
from o1coder_gym.experiments.self_play.stages import RealStages
from o1coder_gym.experiments.training.choice import ChoiceSettings, train_choice
from o1coder_gym.experiments.training.rl import RLPlan, train_policy
from o1coder_gym.experiments.training.sft import MeasuredOn, SFTSettings, fine_tune
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.process_data import LabelRule, PairRule, ProcessData, write_data

PROMPTS = {"train": "Return twice the number x.", "validation": "Return the number x plus one."}
PROMPTS["test"] = PROMPTS["train"]
TOLD = "held-out problems is also a training problem (toy/test is toy/train)"


class Begun(Exception):
    """Stands for the training."""


def begun(*given: object, **options: object) -> None:
    raise Begun


def choice(problems: str, out: Path, warn: Callable[[str], None]) -> None:
    pytest.importorskip("sb3_contrib")
    train_choice(ChoiceSettings(problems=problems, split="train", held_out="test"), out, on_warning=warn)


def policy(problems: str, out: Path, warn: Callable[[str], None]) -> None:
    plan = RLPlan("tiny", problems, ("toy/train",), RLSettings(problems=1, rows_at_once=8), tests=0)
    train_policy(plan, out, held_out=load_rows(problems, split="test").rows, on_warning=warn)


def self_play(problems: str, out: Path, warn: Callable[[str], None]) -> None:
    run, section = RunSection("tiny"), ProblemSection(problems)
    RealStages(
        SelfPlayConfig(run, section, SynthesisSection(), None, None, "soft", None), out, on_warning=warn
    )
    raise Begun


def sft(problems: str, out: Path, warn: Callable[[str], None]) -> None:
    asked = tuple(row.problem for row in load_rows(problems, split="train"))
    data = out.parent / "data"
    write_data(data, ProcessData("pseudocode", asked, (), (), (), LabelRule(), PairRule(), 0.0, {}, {}))
    measured = MeasuredOn(evaluate=problems, split="test")
    fine_tune(SFTSettings(data=data, measured=measured), out, on_warning=warn)


@pytest.mark.parametrize(
    ("train", "held_out"),
    [(choice, 1), (policy, 1), (self_play, 2), (sft, 1)],
    ids=["rl choice", "rl policy", "selfplay", "sft"],
)
def test_a_training_that_learns_what_is_held_out_says_so(
    train: Callable, held_out: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("o1coder_gym.experiments.training.rl.train_logged", begun)
    monkeypatch.setattr("o1coder_gym.experiments.training.sft.train_on_paths", begun)
    if train is choice:
        monkeypatch.setattr("o1coder_gym.experiments.training.choice.RunFolder.open", begun)
    tests = [{"kind": "call", "args": "[3]", "expected": "6"}]
    rows = [
        {"task_id": f"toy/{split}", "prompt": prompt, "entry_point": "f", "meta": {"split": split}}
        | {"public_tests": tests, "tests": tests}
        for split, prompt in PROMPTS.items()
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told: list[str] = []
    with pytest.raises(Begun):
        train(str(tmp_path / "rows.jsonl"), tmp_path / "out", told.append)
    assert told == [f"1 of {held_out} {TOLD}"]
