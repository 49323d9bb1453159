"""Processes that share a batch learn what one process learns."""

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import UsageError

pytest.importorskip("trl")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training in one process and the same in two, in folders named by the number."""
    out = tmp_path_factory.mktemp("trainings")
    script = Path(__file__).with_name("trainings.py")
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, str(script), str(weights), str(out), "2"],
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def test_two_processes_learn_what_one_does(weights: Path, trained: Path) -> None:
    from safetensors.torch import load_file

    one, two = trained / "1", trained / "2"
    mine, theirs = (load_file(out / "model" / "model.safetensors") for out in (one, two))
    start = load_file(weights / "model.safetensors")
    moved = max(float((mine[name] - start[name]).abs().max()) for name in mine)
    apart = max(float((mine[name] - theirs[name]).abs().max()) for name in mine)
    assert apart < 0.01 * moved


def test_the_first_process_alone_tells_of_updates(trained: Path) -> None:
    one, two = trained / "1", trained / "2"
    assert (one / "told-0.txt").read_text() == (two / "told-0.txt").read_text() != "[]"
    assert (two / "told-1.txt").read_text() == "[]"


def test_a_batch_that_cannot_be_shared_is_refused(settings: RLSettings, tmp_path: Path) -> None:
    from o1coder_gym.agents.rl import grpo

    with patch.object(grpo, "processes") as processes:
        processes.return_value.num_processes = 3
        with pytest.raises(UsageError, match="3 processes"):
            grpo._arguments(tmp_path, settings)
