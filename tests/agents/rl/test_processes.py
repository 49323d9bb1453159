"""Processes that share a batch learn what one process learns."""

import json
from pathlib import Path

import pytest

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import UsageError
from o1coder_gym.steps.formats import PSEUDOCODE
from tests.agents.rl.conftest import LetterModel
from tests.models.batches import ranked_trainings
from tests.ranks import run

pytest.importorskip("trl")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training in one process and the same in two, in folders named by the number."""
    from tests.agents.rl import trainings

    folder = tmp_path_factory.mktemp("trainings")
    for count in (1, 2):
        for rank in run(count, trainings.train, str(weights), folder / str(count), 2):
            assert rank.status == 0, rank.stderr[-3000:]
    return folder


def test_two_processes_learn_what_one_does(weights: Path, trained: Path) -> None:
    from safetensors.torch import load_file

    one, two = trained / "1", trained / "2"
    mine, theirs = (load_file(out / "model" / "model.safetensors") for out in (one, two))
    start = load_file(weights / "model.safetensors")
    moved = max(float((mine[name] - start[name]).abs().max()) for name in mine)
    apart = max(float((mine[name] - theirs[name]).abs().max()) for name in mine)
    assert apart < 0.01 * moved
    for row, other in zip(ranked_trainings.curve(one), ranked_trainings.curve(two), strict=True):
        assert row == pytest.approx(other, rel=1e-3, abs=1e-4)


def test_a_training_goes_the_way_it_went(trained: Path) -> None:
    wanted = json.loads(ranked_trainings.GOLDEN.read_text())["grpo"]
    for mine, before in zip(ranked_trainings.curve(trained / "1"), wanted, strict=True):
        assert {key: mine[key] for key in before} == pytest.approx(before, rel=1e-3, abs=1e-5)


def test_the_first_process_alone_tells_of_updates(trained: Path) -> None:
    one, two = trained / "1", trained / "2"
    assert (one / "told-0.txt").read_text() == (two / "told-0.txt").read_text() != "[]"
    assert (two / "told-1.txt").read_text() == "[]"


def test_a_batch_that_cannot_be_shared_is_refused(
    settings: RLSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from o1coder_gym.agents.rl import grpo

    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UsageError, match="a batch of 8 episodes cannot be shared by 3 processes"):
        grpo._arguments(tmp_path, settings)


def test_spread_weights_are_refused(
    settings: RLSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from o1coder_gym.agents.rl.grpo import train_policy

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    model = LetterModel()
    with pytest.raises(UsageError, match="launch it by torchrun, or with zero2"):
        train_policy("any", model, model.task_ids, tmp_path / "out", settings, step_format=PSEUDOCODE)
    assert not (tmp_path / "out").exists()
