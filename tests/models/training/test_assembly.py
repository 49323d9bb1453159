from pathlib import Path

import pytest

from o1coder_gym.errors import O1CoderError, UsageError
from o1coder_gym.models.training.assembly import Assembly, read_result, train, write_result
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
