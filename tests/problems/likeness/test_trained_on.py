"""What a model was trained on is said to whoever evaluates it."""

from dataclasses import replace
from pathlib import Path

import pytest

from o1coder_gym.errors import O1CoderError
from o1coder_gym.experiments.benchmark import report_facts
from o1coder_gym.experiments.tools import Plan
from o1coder_gym.problems.likeness.trained_on import FILE, trained_on, write_trained_on
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.budget import Budget
from o1coder_gym.types import Problem

ASKED = [Problem(f"t/{n}", f"Return the {n}-th number of the given list.", "f") for n in range(4)]
AGAIN = [Problem(f"other/{n}", f"return the {n}-th  number of the given list", "g") for n in range(6)]


def test_questions_are_known_again_under_other_names_and_through_models(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "model", tmp_path / "b" / "model"
    for folder in (first, second):
        folder.mkdir(parents=True)
    write_trained_on(first, ASKED[:2], "qwen2.5-coder-0.5b")
    write_trained_on(second, ASKED[3:], str(first))
    assert trained_on(f"hf:{first}?dtype=float32", AGAIN) == ["other/0", "other/1"]
    assert trained_on(f"hf:{second}", AGAIN) == ["other/0", "other/1", "other/3"]
    assert trained_on("hf:tiny", AGAIN) == trained_on("scripted:x", AGAIN) == []
    (second / FILE).write_text("nonsense")
    with pytest.raises(O1CoderError, match="trained on"):
        trained_on(str(second), AGAIN)


def test_the_report_of_a_benchmark_says_so(tmp_path: Path) -> None:
    write_trained_on(tmp_path, ASKED[:2], "")
    plan = Plan(
        "toy", tuple(one.task_id for one in AGAIN), ("greedy",), f"hf:{tmp_path}", "vanilla", Budget()
    )
    rows = [ProblemRow(problem, ()) for problem in AGAIN]
    assert report_facts(plan, rows)["trained on"] == "2 of these problems: other/0, other/1"
    assert "trained on" not in report_facts(plan)
    scored = replace(plan, policy="fake", scorer=f"prm:{tmp_path}?dtype=bfloat16")
    assert report_facts(scored, rows)["scorer trained on"] == "2 of these problems: other/0, other/1"


def test_what_data_was_made_of_goes_into_the_model(tmp_path: Path) -> None:
    for name in ("start", "data", "model"):
        (tmp_path / name).mkdir()
    write_trained_on(tmp_path / "start", ASKED[:1])
    write_trained_on(tmp_path / "data", ASKED[2:3])
    write_trained_on(tmp_path / "model", (), str(tmp_path / "start"), str(tmp_path / "data"))
    assert trained_on(f"hf:{tmp_path / 'model'}", AGAIN) == ["other/0", "other/2"]
