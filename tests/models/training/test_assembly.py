import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from o1coder_gym.errors import O1CoderError, UsageError
from o1coder_gym.models.training import assembly
from o1coder_gym.models.training.assembly import PEAK, Assembly, read_result, run, train, write_result
from o1coder_gym.models.training.starting import provenance
from o1coder_gym.problems.likeness.trained_on import keys_of, trained_on, write_trained_on
from o1coder_gym.types import Problem

OLD, NEW, OTHER = (Problem(name, f"Return {name}.", "f") for name in ("one", "two", "three"))


@pytest.mark.parametrize("start", ["{}", "hf:{}"])
def test_a_model_has_learned_what_its_first_model_had(tmp_path: Path, start: str) -> None:
    first, out = tmp_path / "first", tmp_path / "run"
    for folder in (first, out / "model"):
        folder.mkdir(parents=True)
    write_trained_on(first, [OLD])
    made = provenance("sft", start.format(first), "data", {"seed": 0, "objective": "soft"})
    result = write_result(out, made, {"loss": 0.5, "none": float("nan")}, keys_of([NEW]))
    assert trained_on(str(result.model), [OLD, NEW, OTHER]) == ["one", "two"]
    assert result.metrics == {"loss": 0.5}
    assert read_result(out) == result


def test_a_folder_without_a_finished_training_says_so(tmp_path: Path) -> None:
    with pytest.raises(O1CoderError, match="holds no finished training"):
        read_result(tmp_path)


def test_one_process_does_not_multiply_its_batch_by_the_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    made = provenance("prm", "tiny", "data", {"batch_size": 16})
    out = tmp_path / "run"
    training = Assembly(made=made, out=out, resume=False, assemble=lambda _: pytest.fail("it began"))
    with pytest.raises(UsageError, match=r"sees 2 GPUs .* --nproc-per-node 2 .* CUDA_VISIBLE_DEVICES=0"):
        train(training)
    assert not out.exists()


@pytest.mark.parametrize(
    ("checkpoint", "told"), [(None, "peak memory: "), ("checkpoint-2", "peak memory since the resumption: ")]
)
def test_a_resumed_training_says_of_which_part_its_peak_of_memory_is(
    monkeypatch: pytest.MonkeyPatch, checkpoint: str | None, told: str
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")

    class Trainer:
        model: Any = torch.nn.Linear(1, 1)
        eval_dataset = None
        state = SimpleNamespace(log_history=[], max_steps=2, global_step=2)

        def add_callback(self, callback: Any) -> None: ...

        def remove_callback(self, kind: type) -> None: ...

        def _run_epoch(self) -> None: ...

        def train(self, resume_from_checkpoint: str | None) -> Any:
            return SimpleNamespace(metrics={"train_runtime": 1.0})

    log = io.StringIO()
    monkeypatch.setattr(assembly, "notes", lambda: Console(file=log, width=80))
    found = run(Trainer(), checkpoint)
    assert log.getvalue() == f"{told}{found[PEAK]:.1f} GiB\n"
