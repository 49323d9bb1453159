"""Weights on their way to those who sample: few in memory at a time, and none left behind."""

import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import numpy as np
import torch

from o1coder_gym.agents.rl.sampling import weights
from o1coder_gym.agents.rl.sampling.weights import passing_folder, write_weights

PART = 1000
"""Bytes of a tensor here."""


def test_weights_that_are_made_on_the_way_are_in_memory_a_file_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    monkeypatch.setattr(weights, "SHARD_BYTES", 3 * PART)
    alive: set[int] = set()
    most = 0

    def made() -> Iterator[tuple[str, torch.Tensor]]:
        nonlocal most
        for number in range(10):
            memory = np.full(PART, number, np.uint8)
            alive.add(number)
            weakref.finalize(memory, alive.discard, number)
            most = max(most, len(alive))
            value = torch.from_numpy(memory)
            del memory
            yield f"layer.{number}", value

    write_weights(made(), tmp_path)
    files = sorted(tmp_path.iterdir())
    assert [len(load_file(file)) for file in files] == [3, 3, 3, 1]
    found = {name: value for file in files for name, value in load_file(file).items()}
    assert [int(found[f"layer.{number}"].unique()) for number in range(10)] == [*range(10)]
    assert most <= 4  # a file's, and what the loop holds


class Nothing:
    """A learner without weights."""

    def parameters(self) -> tuple[Any, ...]:
        return ()


HOLD = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from o1coder_gym.agents.rl.sampling.weights import passing_folder
from unittest.mock import Mock
with passing_folder(Mock(parameters=tuple), sys.argv[1]) as folder:
    (folder / "model.safetensors").write_text("weights")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_weights_of_a_process_that_was_killed_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [sys.executable, "-c", HOLD, str(tmp_path), str(Path(__file__).parents[4])]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        left = Path(other.stdout.readline().strip())
        with passing_folder(Nothing(), str(tmp_path)):
            assert (left / "model.safetensors").exists()  # it may be read still
        other.kill()
        other.wait()
    assert (left / "model.safetensors").exists()
    monkeypatch.setattr(weights, "MEMORY", tmp_path)
    with passing_folder(Nothing()) as mine:
        assert [*tmp_path.iterdir()] == [mine]
    assert not [*tmp_path.iterdir()]


def test_only_weights_are_removed(tmp_path: Path) -> None:
    others = [tmp_path / name for name in ("o1coder-weights-none", "models", "file")]
    for folder in others[:2]:
        folder.mkdir()
    (others[1] / "in_use").write_text("")
    (others[1] / "model.safetensors").write_text("")
    others[2].write_text("")
    with passing_folder(Nothing(), str(tmp_path)):
        pass
    assert all(one.exists() for one in others)
