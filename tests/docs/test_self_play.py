"""The page on self-play: its examples run, its files are there."""

import re
from pathlib import Path

import pytest

from o1coder_gym.experiments.self_play_config import read_config

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "self_play.md").read_text()


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE, re.S))
def test_the_python_on_the_page_runs(code: str) -> None:
    pytest.importorskip("datasets")
    scope: dict[str, object] = {}
    exec(code, scope)
    assert "spec" in scope


def test_the_config_that_the_page_names_can_be_read() -> None:
    plan = read_config(ROOT / "benchmarks" / "selfplay" / "tiny.toml", seed=3)
    assert (plan.run.iterations, plan.run.seed) == (2, 3)
    assert "benchmarks/selfplay/tiny.toml" in PAGE
