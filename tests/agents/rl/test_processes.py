"""Processes that share a batch learn what one process learns."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import UsageError
from o1coder_gym.steps.formats import PSEUDOCODE
from tests.agents.rl.conftest import LetterModel

pytest.importorskip("trl")
pytestmark = pytest.mark.slow


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def run(processes: int, weights: Path, lora_rank: int, out: Path) -> Path:
    """Trains with so many processes."""
    out.mkdir()
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    launch += ["--master-port", str(free_port())]
    script = Path(__file__).with_name("one_process.py")
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [*launch, str(script), str(weights), str(out), str(lora_rank)],
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def test_two_processes_learn_what_one_does(weights: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    one, two = (run(count, weights, 2, tmp_path / str(count)) for count in (1, 2))
    mine, theirs = (load_file(out / "model" / "model.safetensors") for out in (one, two))
    start = load_file(weights / "model.safetensors")
    moved = max(float((mine[name] - start[name]).abs().max()) for name in mine)
    apart = max(float((mine[name] - theirs[name]).abs().max()) for name in mine)
    assert apart < 0.01 * moved
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
