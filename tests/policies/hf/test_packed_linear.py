"""Weights in the order of a CPU's matrix units: the same products, and only where nobody trains them."""

import weakref

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from o1coder_gym.policies.hf import packed_linear
from o1coder_gym.policies.hf.causal_model import CausalModel
from o1coder_gym.policies.hf.packed_linear import PackedLinear, pack_linear_layers
from o1coder_gym.runs.provenance import multiplies_bfloat16
from tests.policies.hf.test_architectures import tiny_model

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available() or not multiplies_bfloat16(), reason="nothing is packed here"
)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1,), (3, 1), (40, 1), (2, 50)])
def test_products_are_those_of_the_plain_layer(bias, shape):
    torch.manual_seed(0)
    plain = torch.nn.Linear(48, 80, bias=bias, dtype=torch.bfloat16)
    packed, states = PackedLinear(plain), torch.randn(*shape, 48, dtype=torch.bfloat16)
    with torch.inference_mode():
        assert torch.allclose(packed(states), plain(states), atol=0.02, rtol=0.02)
    assert packed.weight.equal(plain.weight)


def linear_layers(model):
    return {type(module) for module in model.modules() if isinstance(module, (torch.nn.Linear, PackedLinear))}


@pytest.mark.parametrize(("dtype", "kind"), [("bfloat16", PackedLinear), ("float32", torch.nn.Linear)])
def test_a_model_of_a_folder_is_packed_in_bfloat16(dtype, kind, tiny, tmp_path):
    model, tokenizer = tiny
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = CausalModel.from_folder(tmp_path, dtype, "cpu")
    assert linear_layers(loaded.model) == {kind}
    assert linear_layers(model) == {torch.nn.Linear}  # in memory it may be trained


def test_weights_are_not_held_twice_while_a_model_is_packed(monkeypatch):
    model = tiny_model("qwen2", {}).bfloat16()
    plain = [weakref.ref(one.weight) for one in model.modules() if type(one) is torch.nn.Linear]
    alive = []

    class Counted(PackedLinear):
        def __init__(self, layer):
            super().__init__(layer)
            alive.append(sum(weight() is not None for weight in plain))

    monkeypatch.setattr(packed_linear, "PackedLinear", Counted)
    pack_linear_layers(model)
    assert len(alive) == len(plain)
    # An output layer may share its weight with the embeddings, which stay.
    assert alive == sorted(alive, reverse=True)
    assert alive[-1] <= 2


def test_cores_that_emulate_bfloat16_keep_plain_layers(monkeypatch):
    monkeypatch.setattr(packed_linear, "multiplies_bfloat16", lambda: False)
    model = tiny_model("qwen2", {}).bfloat16()
    pack_linear_layers(model)
    assert linear_layers(model) == {torch.nn.Linear}


def test_packed_logits_are_the_models_own():
    model = tiny_model("qwen2", {}).bfloat16()
    ids = torch.arange(2, 40)[None]
    with torch.inference_mode():
        before = model(input_ids=ids).logits.float()
        pack_linear_layers(model)
        after = model(input_ids=ids).logits.float()
    assert linear_layers(model) == {PackedLinear}
    assert float((after - before).norm() / before.norm()) < 0.02
