"""Sizes from a configuration alone are those of the model."""

import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft")

from o1coder_gym.errors import O1CoderError
from o1coder_gym.models.sizes import sizes_of
from o1coder_gym.models.training.arguments import lora


@pytest.fixture(scope="module")
def bare(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration and no weights."""
    folder = tmp_path_factory.mktemp("bare")
    shutil.copy(model / "config.json", folder)
    return folder


@pytest.mark.parametrize("rank", [0, 4])
def test_weights_are_counted_without_weights(model: Path, bare: Path, rank: int) -> None:
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    loaded: Any = AutoModelForCausalLM.from_pretrained(model)
    whole = sum(weight.numel() for weight in loaded.parameters())
    trained = get_peft_model(loaded, lora(rank)) if rank else loaded
    learned = sum(weight.numel() for weight in trained.parameters() if weight.requires_grad)
    found = sizes_of(str(bare), rank)
    assert (found.parameters, found.learned) == (whole, learned)
    assert (found.layers, found.width, found.vocabulary) == (2, 32, loaded.config.vocab_size)
    assert found.cached == 2 * 2 * 1 * 16  # keys and values of two layers, of one head with 16 numbers


def test_what_is_kept_grows_with_the_blocks_and_is_what_autograd_keeps(bare: Path) -> None:
    # Two blocks keep at least their inputs, queries, outputs of attention and the two sides of the gate.
    kept = sizes_of(str(bare)).kept
    assert 2 * (4 * 32 + 2 * 64) < kept < 2 * 20 * (32 + 64)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nobody/nothing", "it is not on this machine and the Hugging Face Hub cannot be reached"),
        ("nothing", "unknown model 'nothing'"),
    ],
)
def test_a_configuration_that_is_not_here_is_one_line(
    name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(O1CoderError, match=told) as raised:
        sizes_of(name)
    assert "\n" not in str(raised.value)
