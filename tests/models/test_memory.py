"""A model without room is refused before it is loaded, and before a run folder is made."""

import json
import mmap
import struct
from pathlib import Path

import pytest

from o1coder_gym.errors import UsageError
from o1coder_gym.models import memory
from o1coder_gym.models.memory import check_memory, free_bytes
from o1coder_gym.models.training import starting
from o1coder_gym.models.training.arguments import REPORT_TO
from o1coder_gym.models.training.settings import TrainingSettings
from o1coder_gym.models.training.starting import check_start

GIB = 1 << 30


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder whose weights are 1 Gi numbers, by the header of their file."""
    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [1024, GIB // 1024], "data_offsets": [0, 0]}}
    ).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return tmp_path


@pytest.mark.parametrize(
    ("dtype", "copies", "free", "told"),
    [
        ("float32", 1, 4 * GIB, ""),
        ("float32", 1, 4 * GIB - 1, "at least 4.0 GiB in float32, and 4.0 GiB are free$"),
        ("bfloat16", 1, 2 * GIB, ""),
        ("bfloat16", 4, 7 * GIB, "at least 8.0 GiB in bfloat16, and 7.0 GiB are free; LoRA takes less"),
    ],
)
def test_what_does_not_fit_is_said(
    model: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, copies: int, free: int, told: str
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    if not told:
        check_memory(model, dtype, copies=copies)
        return
    with pytest.raises(UsageError, match=told):
        check_memory(model, dtype, copies=copies)


def test_models_of_other_files_are_not_looked_at(tmp_path: Path) -> None:
    check_memory(tmp_path, "float32", "cpu", copies=4)


def test_a_container_has_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_GROUP", limit)
    whole = free_bytes("cpu")
    assert 0 < whole < 1 << 62
    limit.write_text("max\n")
    assert free_bytes("cpu") > 5 * GIB // 100
    limit.write_text("4096\n")
    assert free_bytes("cpu") == 4096


@pytest.mark.parametrize(("rank", "fits"), [(16, True), (0, False)])
def test_a_training_takes_four_numbers_for_each_weight_that_it_learns(
    model: Path, monkeypatch: pytest.MonkeyPatch, rank: int, fits: bool
) -> None:
    pytest.importorskip("trl")
    monkeypatch.setattr(memory, "free_bytes", lambda device: 5 * GIB)
    monkeypatch.setattr(starting, "model_path", lambda name: model)
    settings = TrainingSettings(lora_rank=rank, dtype="float32")
    if fits:
        assert check_start("any", settings, "trl") == model
        return
    with pytest.raises(UsageError, match=r"at least 16\.0 GiB"):
        check_start("any", settings, "trl")


def test_reporters_and_packages_are_looked_for_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv(REPORT_TO, "nowhere")
    with pytest.raises(UsageError, match="nowhere"):
        check_start("no such model", TrainingSettings())


def test_the_peak_is_of_what_is_done_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with memory.peak_memory() as before:
        pass
    with memory.peak_memory() as peak:
        # Of the kernel, not of the heap, which may have as much that was freed and never given back.
        held = mmap.mmap(-1, 64 << 20)
        held.write(b"1" * len(held))
    assert 48 << 20 < peak.size - before.size < 192 << 20
    held.close()
    with memory.peak_memory() as after:
        pass
    assert after.size < peak.size  # what was freed is forgotten
