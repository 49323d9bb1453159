"""What ships is what the recipe makes: problems word for word, models by the hash of their recipe."""

import importlib.resources
import importlib.util
import json
import random

import pytest

from o1coder_gym.experiments.micro.problems import micro_rows
from o1coder_gym.experiments.micro.splits import HELD_OUT
from o1coder_gym.experiments.micro.tiny_model import RECIPE, TinySettings, training_chats, training_recipe
from o1coder_gym.models.lookup import (
    BUNDLED_MODELS,
    count_parameters,
    find_model,
    model_path,
    parameter_count,
)
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.runs.provenance import config_hash
from tests.command_line import call
from tests.experiments.micro.programs import code_of, outputs

pytestmark = pytest.mark.slow

SPLITS = {"train": 512, "validation": 64, "test": 128}
NAMES = sorted(BUNDLED_MODELS)


@pytest.fixture(autouse=True)
def bundled_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("O1CODER_DATA", raising=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_model_is_package_data_and_small(name: str) -> None:
    folder = importlib.resources.files("o1coder_gym") / "data" / name
    assert {"config.json", "model.safetensors", "tokenizer.json", RECIPE} <= {
        entry.name for entry in folder.iterdir()
    }
    path = model_path(name)
    assert path == find_model(name)
    assert sum(file.stat().st_size for file in path.iterdir()) <= 6_000_000
    assert BUNDLED_MODELS[name].parameters == count_parameters(path) == parameter_count(name)


def test_the_bundled_problems_are_those_of_the_command() -> None:
    assert list(load_rows("micro")) == micro_rows(SPLITS)
    assert len(load_rows("micro", split="test")) == 128


@pytest.fixture(scope="module")
def chats() -> list[tuple[str, str]]:
    """What the tiny model was trained on."""
    return training_chats(TinySettings())


def test_the_tiny_model_is_of_this_recipe(chats: list[tuple[str, str]]) -> None:
    shipped = json.loads((model_path("tiny") / RECIPE).read_text())
    assert shipped == training_recipe(TinySettings(), chats)


def test_the_tiny_model_is_taught_nothing_of_the_bundled_held_out_problems(
    chats: list[tuple[str, str]],
) -> None:
    rows = [row for split in HELD_OUT for row in load_rows("micro", split=split)]
    questions = {prompt.removeprefix("<user>").partition("\nExamples:")[0] for prompt, _ in chats}
    assert len(questions) > 1000
    assert not questions & {row.problem.prompt.strip() for row in rows}
    taught = {outputs(code) for code in {code_of(answer) for _, answer in chats}}
    assert not taught & {outputs(row.reference or "") for row in rows}


def test_recipes_tell_settings_and_texts_apart() -> None:
    chats = [("a", "b")]
    recipe = training_recipe(TinySettings(), chats)
    assert recipe["sha256"] != training_recipe(TinySettings(steps=7), chats)["sha256"]
    assert recipe["sha256"] != training_recipe(TinySettings(), [("a", "c")])["sha256"]


def test_the_model_after_self_play_names_what_it_came_from() -> None:
    recipe = json.loads((model_path("tiny-selfplay") / RECIPE).read_text())
    sha256 = recipe.pop("sha256")
    assert sha256 == config_hash(recipe)
    assert recipe["start"] == json.loads((model_path("tiny") / RECIPE).read_text())["sha256"]


def test_the_figures_of_self_play_belong_to_these_problems() -> None:
    told = json.loads((model_path("tiny") / "selfplay.json").read_text())
    assert told["test"]["problems"] == SPLITS["test"]
    assert [row["stage"] for row in told["validation"]][:2] == ["start", "sft"]
    for name in ("pass_rate", "greedy", "format_compliance"):
        row = told["test"][name]
        assert row["gain"] == pytest.approx(row["after"] - row["before"])
        assert row["interval"][0] <= row["gain"] <= row["interval"][1]


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs the hf extra")
@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_model_solves_by_name(name: str) -> None:
    rows = load_rows("micro", split="test")
    task = random.Random(0).choice(rows).problem.task_id
    command = ["solve", task, "--problems", "micro", "--policy", f"hf:{name}?dtype=float32"]
    done = call(*command, "--agent", "greedy", "--tokens", "200")
    assert done.exit_code in (0, 1), done.output
    assert "def solve(values):" in done.stdout
