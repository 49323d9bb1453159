"""A trained model that was saved: transformers, TRL and vLLM load it, and it weighs tokens as before."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", exc_type=ImportError)
pytest.importorskip("peft", exc_type=ImportError)

import torch

from o1coder_gym.models.checkpoints import load_weights, quiet, save_merged
from o1coder_gym.models.lookup import model_path
from o1coder_gym.models.training.arguments import lora
from o1coder_gym.policies import Generate, HFEngine, HFSettings, VLLMEngine, VLLMSettings
from o1coder_gym.steps.formats import Prompt
from o1coder_gym.types import Sampling

IDS = tuple(range(10, 40))


def trained(rank: int) -> tuple[Any, Any]:
    """The tiny model after a training: with adapters that say something, or with other weights."""
    from peft import get_peft_model

    torch.manual_seed(0)  # before the adapters, which begin at random
    model, tokenizer = load_weights(model_path("tiny"), "float32")
    model = get_peft_model(model, lora(rank)) if rank else model
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad and weight.ndim == 2:
                weight.add_(torch.randn_like(weight) * (0.1 if "lora_" in name else 0.02))
    return model.eval(), tokenizer


@torch.inference_mode()
def log_probabilities(model: Any, ids: tuple[int, ...]) -> torch.Tensor:
    """Of each next token, ``[T, V]``."""
    return model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)


@pytest.fixture(scope="module", params=[0, 2], ids=["weights", "adapters"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The folder, and what the model said before."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    model, tokenizer = trained(request.param)
    expected = log_probabilities(model, IDS)
    untrained, _ = load_weights(model_path("tiny"), "float32")
    assert float((log_probabilities(untrained.eval(), IDS) - expected).abs().max()) > 0.1
    save_merged(model, tokenizer, folder)
    return folder, expected


def test_in_transformers_and_trl(saved: tuple[Path, Any], tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    folder, expected = saved
    with quiet():
        data = Dataset.from_dict({"prompt": ["a"], "completion": ["b"]})
        arguments = SFTConfig(output_dir=str(tmp_path), report_to=[], use_cpu=True, bf16=False)
        trainer = SFTTrainer(str(folder), args=arguments, train_dataset=data)
        plain = AutoModelForCausalLM.from_pretrained(folder)
    assert trainer.model is not None
    for model in (plain, trainer.model):
        assert torch.allclose(log_probabilities(model.eval(), IDS), expected, atol=1e-4)


def check_draws(engine: Any, expected: torch.Tensor) -> None:
    """First tokens have the log-probabilities that the model gave them before it was saved."""
    sampling = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_tokens=1)
    request = Generate(Prompt((("user", ""),), "", ""), IDS, 8, sampling, 3, lambda text: None)
    found = {one.token_ids[0]: one.logprob for one in engine.generate([request])[0] if one.token_ids}
    assert found
    for token, logprob in found.items():
        assert logprob == pytest.approx(float(expected[-1, token]), abs=1e-3)


def test_in_our_engine(saved: tuple[Path, Any]) -> None:
    folder, expected = saved
    check_draws(HFEngine.from_name(str(folder), HFSettings(dtype="float32")), expected)


@pytest.mark.vllm
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed: make vllm")
@pytest.mark.filterwarnings("ignore")  # vLLM's own imports warn
@pytest.mark.timeout(600)
def test_in_vllm(saved: tuple[Path, Any]) -> None:
    folder, expected = saved
    engine = VLLMEngine(str(folder), VLLMSettings(dtype="float32", context=512, kv_gib=1))
    check_draws(engine, expected)
