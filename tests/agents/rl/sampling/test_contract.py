"""What each sampler keeps: after an update the next samples come from the new weights."""

import copy
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents.rl.episodes import sample_episodes, token_row
from o1coder_gym.agents.rl.sampling.actors import Actor, Start
from o1coder_gym.agents.rl.sampling.making import make_actor
from o1coder_gym.models.lookup import model_path
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import Sampling
from tests.agents.rl.sampling.weight_server import serving
from tests.agents.rl.trainers import log_probabilities
from tests.policies.vllm.loopback import serving_vllm

pytest.importorskip("trl")

VLLM = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed: make vllm"),
    pytest.mark.filterwarnings("ignore"),  # vLLM's own imports warn
    pytest.mark.timeout(600),
]
KINDS = [
    ("hf", 0),
    ("hf", 2),
    ("openai", 0),
    ("openai", 2),
    ("openai?transfer=adapters", 2),
    pytest.param("vllm?kv_gib=1", 0, marks=VLLM),
    pytest.param("vllm?kv_gib=1", 2, marks=VLLM),
    pytest.param("openai?draws=own&model=vllm", 2, marks=VLLM),
    pytest.param("openai?transfer=adapters&model=vllm", 2, marks=VLLM),
]
FLAGS = (
    "--worker-extension-cls=o1coder_gym.policies.vllm.repacking.Repacks",
    "--logits-processors=o1coder_gym.policies.vllm.draws:OwnDraws",
)
OPEN = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}


@pytest.fixture
def folder(request: pytest.FixtureRequest, weights: Path) -> Path:
    """A model of a few thousand weights; vLLM needs larger heads."""
    return model_path("tiny") if "vllm" in request.node.callspec.params["sampler"] else weights


@pytest.fixture
def address(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Iterator[str]:
    """What stands between ``openai`` and its options: a server, where one is needed."""
    sampler = request.node.callspec.params["sampler"]
    if not sampler.startswith("openai"):
        yield ""
    elif "model=vllm" in sampler:
        adapters = ("--enable-lora", "--max-lora-rank=8") if "adapters" in sampler else ()
        with serving_vllm(folder, "vllm", tmp_path / "log", *FLAGS, *adapters, **OPEN) as (_, url):
            yield f":{url}"
    else:
        with serving(folder) as server:
            yield f":{server.url}"


def learner_of(model: Any, lora_rank: int) -> Any:
    from peft import get_peft_model

    from o1coder_gym.models.training.arguments import lora

    return get_peft_model(model, lora(lora_rank)) if lora_rank else model


def learn(learner: Any) -> None:
    """Changes what is trained, by much."""
    import torch

    torch.manual_seed(3)
    with torch.no_grad():
        for name, weight in learner.named_parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * (0.3 if "lora_" in name else 0.1))


def sampled(actor: Actor, process: Any, version: int) -> list[Any]:
    """Returns the rows of a few episodes, which have the version of their weights."""

    def draw(policy: Any) -> Any:
        return sample_episodes(process, policy, ["one", "two"], sampling=Sampling(1.0, 1.0, 0, 4), seed=5)

    episodes = actor.sample(draw)
    assert {episode.version for episode in episodes} == {version}
    return [token_row(actor.policy, episode) for episode in episodes]


def apart(model: Any, rows: list[Any]) -> float:
    """Returns how far the sampler's log-probabilities are from those of a model, at most."""
    found = []
    for row in rows:
        for mine, theirs, step in zip(log_probabilities(model, row), row.logprobs, row.step_of, strict=True):
            if step >= 0:
                found.append(abs(mine - theirs))
    assert len(found) > 12
    return max(found)


@pytest.mark.parametrize(("sampler", "lora_rank"), KINDS)
def test_after_an_update_samples_come_from_the_new_weights(
    sampler: str, lora_rank: int, folder: Path, address: str, process: Any
) -> None:
    from o1coder_gym.models.checkpoints import load_weights

    model, tokenizer = load_weights(folder, "float32")
    start = Start(str(folder), model, tokenizer, PSEUDOCODE, "float32", lora_rank, 2)
    name, _, options = sampler.partition("?")
    actor = make_actor(f"{name}{address}?{options}", start)
    try:
        learner = learner_of(model, lora_rank)
        learn(learner)  # a run that is resumed starts with other weights than the sampler
        actor.refresh(learner, 4)
        assert apart(learner, sampled(actor, process, 4)) < 5e-3
        before = copy.deepcopy(learner)
        learn(learner)
        actor.refresh(learner, 5)
        rows = sampled(actor, process, 5)
        assert apart(learner, rows) < 5e-3
        assert apart(before, rows) > 0.1
    finally:
        actor.close()


def test_weights_are_sent_without_a_copy_of_all(weights: Path) -> None:
    import torch

    from o1coder_gym.agents.rl.sampling.weights import merged_weights
    from o1coder_gym.models.checkpoints import load_weights

    model, _ = load_weights(weights, "float32")
    own = {name: value.clone() for name, value in model.named_parameters()}
    learner = learner_of(model, 2)
    learn(learner)
    added = {
        f"{name}.weight": module.get_delta_weight("default")
        for name, module in learner.get_base_model().named_modules()
        if hasattr(module, "get_delta_weight")
    }
    found = dict(merged_weights(learner))
    assert found.keys() == own.keys()  # tied weights once, by the names that the model started with
    assert added
    for name, value in found.items():
        assert torch.equal(value, own[name] + added[name] if name in added else own[name])
    untouched = "model.embed_tokens.weight"
    assert found[untouched].data_ptr() == model.get_parameter(untouched).data_ptr()
