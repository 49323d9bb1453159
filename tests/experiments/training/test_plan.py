"""What a run takes is told before it starts, and is what it takes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.experiments.training.plan import LAUNCH, MACHINES, PlanSettings, memory_of, plan_run
from o1coder_gym.models.sizes import Sizes
from o1coder_gym.models.training.assembly import PEAK
from o1coder_gym.policies.token_text import TokenText
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import State
from tests.agents.rl.conftest import SETTINGS, LetterModel
from tests.command_line import call
from tests.ranks import run

pytest.importorskip("peft")

SIZES = Sizes(1000, 10, layers=4, width=8, vocabulary=50, cached=64, kept=400, kept_by_layer=100)
TRAINING = RLSettings(problems=2, episodes=8, rows_at_once=8, beta=0.02, lora_rank=2)
PLAN = PlanSettings(prompt_tokens=100, episode_tokens=30, training=TRAINING)


def test_memory_by_hand() -> None:
    found = memory_of(PLAN, SIZES, "bfloat16")
    del found["libraries"]
    assert found == {
        "weights": 2000 + 40,  # two bytes each; adapters have four
        "copy that samples": 2000,
        "reference": 0,  # adapters are taken off
        "gradients and AdamW": 3 * 40,
        "activations": (100 + 8 * 30) * 400 * 2,  # the prompt of a group once
        "logits": 8 * 30 * 50 * 4,
        "keys and values": 16 * 130 * 64 * 2,
    }


def test_a_full_training_holds_its_reference_and_spreads_what_is_sharded() -> None:
    whole = replace(PLAN, devices=2, training=replace(TRAINING, lora_rank=0))
    sizes = replace(SIZES, learned=1000)
    plain, zero2 = (memory_of(replace(whole, shard=shard), sizes, "float32") for shard in ("none", "zero2"))
    names = ("weights", "reference", "gradients and AdamW")
    assert [plain[name] for name in names] == [4000, 4000, 12_000]
    assert [zero2[name] for name in names] == [4000, 4000, 6000]
    assert plain["keys and values"] == 8 * 130 * 64 * 4  # half of the batch


@pytest.mark.parametrize(("dtype", "size"), [("auto", 4), ("bfloat16", 2)])
def test_all_weights_are_learned_in_float32_and_sampled_in_what_multiplies_fast(
    dtype: Any, size: int
) -> None:
    whole = replace(PLAN, training=replace(TRAINING, lora_rank=0, dtype=dtype))
    found = memory_of(whole, replace(SIZES, learned=1000), "bfloat16")
    names = ("weights", "reference", "gradients and AdamW", "copy that samples")
    assert [found[name] for name in names] == [1000 * size, 1000 * size, 3000 * size, 2000]


def test_servers_sample_in_devices_of_their_own() -> None:
    served = replace(PLAN, training=replace(TRAINING, sampler="openai:http://a:1/v1,http://b:1/v1"))
    found, copied = memory_of(served, SIZES, "bfloat16"), memory_of(PLAN, SIZES, "bfloat16")
    assert (found.pop("copy that samples"), found.pop("keys and values")) == (0, 0)
    assert found.items() < copied.items()


def test_activations_computed_again_are_inputs_and_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O1CODER_ACTIVATIONS", "again")
    assert memory_of(PLAN, SIZES, "float32")["activations"] == (100 + 8 * 30) * (4 * 8 + 100) * 4
    monkeypatch.setenv("O1CODER_ACTIVATIONS", "never")
    with pytest.raises(UnknownNameError, match="value of O1CODER_ACTIVATIONS 'never'"):
        memory_of(PLAN, SIZES, "float32")


def test_tokens_and_hours_follow_batch_and_machine(model: Path) -> None:
    asked = replace(PLAN, model=str(model), machine="h100")
    found = plan_run(asked)
    assert found.sampled == 40 * 16 * 30
    assert found.trained == 40 * (2 * 100 + 16 * 30)
    faster = plan_run(replace(asked, machine="b200"))
    assert faster.hours["training"] == pytest.approx(found.hours["training"] * 989 / 2250)
    assert faster.hours["sampling"] < found.hours["sampling"]
    assert found.there == MACHINES["h100"].memory
    assert found.fits
    two = plan_run(replace(asked, devices=2))
    assert two.hours["training"] == pytest.approx(found.hours["training"] / 2)
    # each reads the prompt of one of the two groups, and decodes its rows in the time of one reading
    parameters = found.parameters
    spared = 40 * 100 * 2 * parameters / MACHINES["h100"].arithmetic / 3600
    assert found.hours["sampling"] - two.hours["sampling"] == pytest.approx(spared, rel=1e-6)
    assert two.launch.startswith("torchrun --nproc-per-node 2 -m o1coder_gym rl policy")


def test_a_plan_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="16 episodes cannot be shared by 4 devices, 8 at once"):
        replace(PLAN, devices=4)
    with pytest.raises(UnknownNameError, match="did you mean 'h100'"):
        replace(PLAN, machine="h10")


def test_the_command_tells_a_table_or_json(model: Path) -> None:
    words = ["rl", "plan", "--model", model, "--machine", "l40s", "--lora-rank", "2"]
    told = json.loads(call(*words, "--json").stdout)
    assert told["fits"]
    assert told["memory"]["all"] == pytest.approx(
        sum(size for name, size in told["memory"].items() if name != "all")
    )
    shown = call(*words).stdout
    assert "l40s: 48.0 GiB, has room" in shown
    assert "judging not counted" in shown


@pytest.mark.parametrize("shard", ["fsdp2", "zero2"])
def test_accelerate_reads_the_configurations(shard: str) -> None:
    from accelerate.commands.config import load_config_from_file

    found: Any = load_config_from_file(str(LAUNCH / f"{shard}.yaml"))
    assert found.distributed_type.value == {"fsdp2": "FSDP", "zero2": "DEEPSPEED"}[shard]


def test_a_plan_says_how_the_run_is_started(model: Path) -> None:
    settings = replace(PLAN, model=str(model), machine="h100", devices=2, shard="zero2")
    assert f"--config_file {LAUNCH / 'zero2.yaml'} --num_processes 2" in plan_run(settings).launch


def train(weights: Path, out: Path, settings: RLSettings) -> None:
    """Trains a policy and prints the peak of memory, in GiB."""
    from o1coder_gym.agents.rl.grpo import train_policy

    folder = train_policy(
        str(weights), LetterModel(), LetterModel.task_ids, out, settings, step_format=PSEUDOCODE
    )
    (line,) = (one for one in (folder / "README.md").read_text().splitlines() if PEAK in one)
    print(line.split("|")[2])


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 4])
def test_a_run_takes_what_was_planned_within_a_quarter(model: Path, tmp_path: Path, rank: int) -> None:
    pytest.importorskip("trl")
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=300,
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=2,
        num_attention_heads=12,
        num_key_value_heads=4,
        tie_word_embeddings=True,
    )
    weights = tmp_path / "weights"
    Qwen2ForCausalLM(config).save_pretrained(weights)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.save_pretrained(weights)
    prompt = PSEUDOCODE.prompt(LetterModel().problem("one"), State("one"))
    tokens = len(TokenText(tokenizer).encode(prompt))  # some 2,000, each of a byte: most of the memory
    # the second update has moments of AdamW beside its activations
    training = replace(SETTINGS, updates=2, lora_rank=rank, dtype="float32")
    plan = plan_run(
        PlanSettings(
            model=str(weights), machine="h100", prompt_tokens=tokens, episode_tokens=30, training=training
        )
    )
    (ended,) = run(1, train, weights, tmp_path / "out", training)
    assert ended.status == 0, ended.stderr[-3000:]
    assert 3 / 4 < plan.device_memory / 2**30 / float(ended.stdout) < 5 / 4
