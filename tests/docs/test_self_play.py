"""The page on self-play: its examples run, its files are there."""

import re
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.experiments.self_play.config import read_config
from o1coder_gym.experiments.training.sft import SFTSettings
from o1coder_gym.models.training.settings import TrainingSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "self_play.md").read_text()


CODE = re.findall(r"```python\n(.*?)```", PAGE, re.S)
SMALLER = {
    "[:64]": "[:2]",
    "max_steps=20": "max_steps=1",
    "num_generations=8": "num_generations=2",
    "train_batch_size=8": "train_batch_size=2",
    "max_completion_length=160": "max_completion_length=8",
    "iterations = 2": 'iterations = 1\nsamples = 1\ndtype = "float32"',
    "limit = 64\nheld_out_limit = 64": "limit = 2\nheld_out_limit = 1",
    "simulations=16,width=4": "simulations=1,width=1",
    "tokens = 1024": "tokens = 64\ntests = 0",
    "updates = 10": "updates = 1\nproblems = 2\nepisodes = 2\nrows_at_once = 4",
}
"""What the page's scripts take in a test."""


@pytest.mark.slow
@pytest.mark.parametrize(("place", "made"), [(0, "rewards"), (1, "spec"), (2, "result")])
def test_the_python_on_the_page_runs(
    place: int, made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trl")
    monkeypatch.chdir(tmp_path)
    code = CODE[place]
    for size, smaller in SMALLER.items():
        code = code.replace(size, smaller)
    scope: dict[str, Any] = {}
    exec(code, scope)
    assert scope[made]


def test_all_sizes_are_on_the_page() -> None:
    assert len(CODE) == 3
    assert all(size in "".join(CODE) for size in SMALLER)


def test_a_batch_of_the_page_s_commands_can_be_shared_by_their_ranks() -> None:
    shared = re.findall(r"(?:per-node|num_processes|devices) (\d+)", PAGE)
    commands = [one for one in re.findall(r"```\w*\n(.*?)```", PAGE, re.S) if "--rows-at-once" in one]
    words = [line for one in commands for line in one.replace("\\\n", "").splitlines()]
    assert len(shared) == len(words) == 3
    for line in words:
        settings = SFTSettings(data=Path("data")).training if " sft " in line else RLSettings()
        batch = settings.batch_size if isinstance(settings, TrainingSettings) else settings.batch
        (ranks,) = re.findall(r"(?:per-node|num_processes|devices) (\d+)", line)
        (at_once,) = re.findall(r"--rows-at-once (\d+)", line)
        assert batch % (int(ranks) * int(at_once)) == 0, line


def test_the_config_that_the_page_names_can_be_read() -> None:
    plan = read_config(ROOT / "benchmarks" / "selfplay" / "tiny.toml", seed=3)
    assert (plan.run.iterations, plan.run.seed) == (2, 3)
    assert "benchmarks/selfplay/tiny.toml" in PAGE
