"""What a run takes is told before it starts, and is what it takes."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.experiments.training import plan as planning
from o1coder_gym.experiments.training.machines import MACHINES, Machine
from o1coder_gym.experiments.training.plan import (
    LAUNCH,
    PlanSettings,
    memory_of,
    peak_of,
    plan_run,
    tokens_of,
)
from o1coder_gym.models.sizes import Sizes
from o1coder_gym.models.training.assembly import PEAK
from o1coder_gym.policies.token_text import TokenText
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import State
from tests.agents.rl.conftest import SETTINGS, LetterModel
from tests.command_line import call
from tests.ranks import run

pytest.importorskip("peft")

SIZES = Sizes(
    1000, 10, layers=4, width=8, vocabulary=50, cached=64, kept=400, kept_by_layer=100, token_cost=1e5
)
TRAINING = RLSettings(problems=2, episodes=8, rows_at_once=8, beta=0.02, lora_rank=2)
PLAN = PlanSettings(prompt_tokens=100, episode_tokens=30, training=TRAINING)


CPU = Machine(2.0**34, 1e12, 1e11, "float32", threads=8)
H100 = MACHINES["h100"]


def planned(**training: Any) -> PlanSettings:
    """The plan with other settings of the training."""
    return replace(PLAN, training=replace(TRAINING, **training))


def test_memory_by_hand() -> None:
    found = memory_of(PLAN, SIZES, replace(CPU, dtype="bfloat16"))
    del found["libraries"]
    tree = 100 + 8 * 30  # the prompt of a group once
    assert found == {
        "weights": 2000 + 40,  # two bytes each; adapters have four
        "copy that multiplies": 0,
        "copy that samples": 2000,
        "reference": 0,  # adapters are taken off
        "gradients and AdamW": 3 * 40,
        "gradient buckets": 0,
        "activations": tree * (400 + 0.4 * 100) * 2,
        "attention masks": tree**2 * (1 + 4 * 2),
        "hidden states": 2 * 8 * 130 * 8 * 2,
        "logits": 8 * 30 * 50 * 4,
        "keys and values": 16 * 130 * 64 * 2,
    }


def test_a_full_training_holds_its_reference_and_spreads_what_is_sharded() -> None:
    whole = replace(PLAN, devices=2, training=replace(TRAINING, lora_rank=0))
    sizes = replace(SIZES, learned=1000)
    machine = replace(H100, dtype="float32")
    plain, zero2 = (memory_of(replace(whole, shard=shard), sizes, machine) for shard in ("none", "zero2"))
    names = ("weights", "reference", "gradients and AdamW")
    assert [plain[name] for name in names] == [4000, 4000, 12_000]
    assert [zero2[name] for name in names] == [4000, 4000, 6000]
    assert plain["keys and values"] == 8 * 130 * 64 * 4  # half of the batch
    # on a CPU accelerate shards nothing
    assert memory_of(replace(whole, shard="zero2"), sizes, CPU) == memory_of(whole, sizes, CPU)


def test_several_ranks_hold_gradients_in_buckets_too() -> None:
    sizes, alone = replace(SIZES, learned=1000), planned(lora_rank=0)
    assert memory_of(alone, sizes, H100)["gradient buckets"] == 0
    two = replace(alone, devices=2)
    assert memory_of(two, sizes, H100)["gradient buckets"] == 4000
    assert memory_of(replace(PLAN, devices=2), SIZES, H100)["gradient buckets"] == 40  # of adapters
    # DeepSpeed's own, of 500 million numbers
    assert memory_of(replace(two, shard="zero2"), sizes, H100)["gradient buckets"] == 2e9


@pytest.mark.parametrize(("dtype", "size", "multiplied"), [("auto", 4, 2000), ("bfloat16", 2, 0)])
def test_all_weights_are_learned_in_float32_and_sampled_in_what_multiplies_fast(
    dtype: Any, size: int, multiplied: int
) -> None:
    found = memory_of(planned(lora_rank=0, dtype=dtype), replace(SIZES, learned=1000), H100)
    names = ("weights", "reference", "gradients and AdamW", "copy that samples", "copy that multiplies")
    assert [found[name] for name in names] == [1000 * size, 1000 * size, 3000 * size, 2000, multiplied]


def test_servers_sample_in_devices_of_their_own() -> None:
    served = planned(sampler="openai:http://a:1/v1,http://b:1/v1")
    found, copied = memory_of(served, SIZES, H100), memory_of(PLAN, SIZES, H100)
    assert (found.pop("copy that samples"), found.pop("keys and values")) == (0, 0)
    assert found.items() < copied.items()


@pytest.mark.parametrize(("spec", "share"), [("vllm", 0.45), ("vllm?gpu_share=0.9", 0.9)])
def test_vllm_takes_its_share_and_sleeps_unless_it_is_ahead(spec: str, share: float) -> None:
    synchronous, ahead = planned(sampler=spec), planned(sampler=spec, staleness=1, importance_cap=2.0)
    machine = replace(H100, memory=1e6)
    memory = memory_of(synchronous, SIZES, machine)
    samples = memory["copy that samples"] + memory["keys and values"]
    assert samples == pytest.approx(share * 1e6)
    assert memory_of(ahead, SIZES, machine) == memory
    assert peak_of(memory, ahead, machine) == sum(memory.values())
    # All but the adapters' weights and moments has its turn: 4 and 8 bytes each, and the frozen weights 2.
    always = 2000 + 40 + 2 * 40 + memory["libraries"]
    learns = sum(memory.values()) - samples - always
    assert peak_of(memory, synchronous, machine) == pytest.approx(always + max(samples, learns))


def test_vllm_on_a_cpu_has_the_memory_that_it_is_given_and_never_sleeps() -> None:
    asked = planned(sampler="vllm?kv_gib=2&dtype=bfloat16")
    memory = memory_of(asked, SIZES, CPU)
    assert (memory["copy that samples"], memory["keys and values"]) == (2000, 2 << 30)
    assert peak_of(memory, asked, CPU) == sum(memory.values())


def test_a_plan_tells_whether_vllm_has_room_in_its_share(model: Path) -> None:
    asked = replace(
        planned(sampler="vllm", staleness=1, importance_cap=2.0), model=str(model), machine="h100"
    )
    assert plan_run(asked).fits
    full = replace(asked, training=replace(asked.training, sampler="vllm?gpu_share=1.0"))
    assert not plan_run(full).fits  # nothing is left for the trainer, which learns meanwhile
    full = replace(full, training=replace(full.training, staleness=0))
    assert not plan_run(full).fits  # nor for its weights
    tiny = replace(asked, training=replace(asked.training, sampler="vllm?gpu_share=0.00000001"))
    assert not plan_run(tiny).fits  # 859 bytes


def test_vllm_in_several_ranks_is_refused() -> None:
    told = "sampler vllm in 2 processes: start a vLLM server for each GPU"
    with pytest.raises(UsageError, match=told):
        replace(planned(sampler="vllm?gpu_share=0.3"), devices=2)
    replace(planned(sampler="openai:http://a:1/v1"), devices=2)


@pytest.mark.parametrize(
    ("said", "machine", "again"),
    [
        ("auto", CPU, False),
        ("auto", H100, True),  # a GPU's default, wherever the plan is made
        ("again", CPU, True),
        ("kept", H100, False),
    ],
)
def test_activations_computed_again_are_inputs_and_one_block(
    monkeypatch: pytest.MonkeyPatch, said: str, machine: Machine, again: bool
) -> None:
    monkeypatch.setenv("O1CODER_ACTIVATIONS", said)
    found, size = memory_of(PLAN, SIZES, machine), 4 if machine is CPU else 2
    kept = 4 * 8 + 100 if again else 400
    assert found["activations"] == (100 + 8 * 30) * (kept + 40) * size
    assert found["attention masks"] == (100 + 8 * 30) ** 2 * (1 + size * (1 if again else 4))
    forward, times = 40 * 2 * 340, 4 if again else 3  # with the pass of the reference
    hours = planning.hours_of(PLAN, SIZES, machine)["training"]
    assert hours == pytest.approx(forward * times * 2 * 1000 / machine.arithmetic / 3600)
    monkeypatch.setenv("O1CODER_ACTIVATIONS", "never")
    with pytest.raises(UnknownNameError, match="value of O1CODER_ACTIVATIONS 'never'"):
        memory_of(PLAN, SIZES, machine)


@pytest.mark.parametrize(
    ("settings", "learned", "scored"),
    [
        ({"beta": 0.0}, 1, 0),
        ({"beta": 0.02}, 1, 1),
        ({"beta": 0.0, "importance_cap": 2.0}, 1, 1),
        ({"beta": 0.0, "iterations": 3}, 3, 1),  # TRL keeps the likelihoods before the first step
        ({"beta": 0.0, "iterations": 3, "importance_cap": 2.0}, 3, 1),  # which the cap takes too
        ({"beta": 0.02, "iterations": 3, "importance_cap": 2.0}, 3, 2),  # the reference once a batch
    ],
)
def test_passes_of_a_batch_are_counted_apart_from_those_of_a_step(
    settings: dict[str, Any], learned: int, scored: int
) -> None:
    batches = 40 * 2 * (100 + 8 * 30)
    assert tokens_of(planned(**settings), SIZES) == (learned * batches, scored * batches)
    # forward and to the activations, and again on a GPU
    hours = planning.hours_of(planned(**settings), SIZES, H100)["training"]
    assert hours * 3600 == pytest.approx((3 * learned + scored) * batches * 2000 / H100.arithmetic)


@pytest.mark.parametrize(
    ("problems", "episodes", "at_once", "passes"),
    [
        (2, 8, 8, 2 * [340]),
        (2, 8, 4, 4 * [100 + 4 * 30]),  # each half of a group has the prompt
        (3, 8, 12, 2 * [2 * 340]),  # 8 + 4 and 4 + 8; the smaller tree is padded
        (3, 8, 6, [280, 2 * 220, 2 * 220, 280]),  # 6, 2 + 4, 4 + 2, 6
        (2, 8, 1, 16 * [130]),
        (1, 8, 2, 4 * [160]),
    ],
)
def test_groups_that_passes_cut_have_their_prompt_in_each(
    problems: int, episodes: int, at_once: int, passes: list[int]
) -> None:
    asked = planned(problems=problems, episodes=episodes, rows_at_once=at_once, updates=1, beta=0.0)
    assert tokens_of(asked, SIZES) == (sum(passes), 0)
    assert memory_of(asked, SIZES, CPU)["activations"] == max(passes) * 440 * 4


def test_rows_whose_attention_is_dear_share_nothing() -> None:
    asked = replace(planned(updates=1, beta=0.0), episode_tokens=101)
    assert tokens_of(asked, SIZES) == (2 * (100 + 8 * 101), 0)
    # a pair costs as much as a weight's part of a token: 302² + 302 are more than twice 201² + 201
    assert tokens_of(asked, replace(SIZES, token_cost=1.0)) == (16 * 201, 0)


def test_ranks_share_a_cpu_and_have_a_gpu_each(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "measured_here", lambda: CPU)
    here = replace(PLAN, model=str(model))
    one, two = (plan_run(replace(here, devices=devices)) for devices in (1, 2))
    assert (one.there, two.there) == (2**34, 2**33)
    assert two.hours["training"] == pytest.approx(one.hours["training"])
    assert two.hours["sampling"] >= one.hours["sampling"]
    # torchrun would give each of them one thread
    assert two.launch.startswith("OMP_NUM_THREADS=4 torchrun --nproc-per-node 2 ")
    monkeypatch.setattr(planning, "measured_here", lambda: H100)
    assert plan_run(replace(here, devices=2)).there == H100.memory


def test_tokens_and_hours_follow_batch_and_machine(model: Path) -> None:
    asked = replace(PLAN, model=str(model), machine="h100")
    found = plan_run(asked)
    assert found.sampled == 40 * 16 * 30
    assert (found.trained, found.scored) == 2 * (
        40 * 2 * 2 * (100 + 4 * 30),
    )  # so small a model makes two trees of a group
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


def train(weights: Path, out: Path, settings: RLSettings, activations: str) -> None:
    """Trains a policy and prints the peak of memory, in GiB."""
    from o1coder_gym.agents.rl.grpo import train_policy

    os.environ["O1CODER_ACTIVATIONS"] = activations
    folder = train_policy(
        str(weights), LetterModel(), LetterModel.task_ids, out, settings, step_format=PSEUDOCODE
    )
    (line,) = (one for one in (folder / "README.md").read_text().splitlines() if PEAK in one)
    print(line.split("|")[2])


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "activations"), [(0, "again"), (4, "kept")])
def test_a_run_takes_what_was_planned_within_a_quarter(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int, activations: str
) -> None:
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
    # as the run below, which is on this machine
    monkeypatch.setenv("O1CODER_ACTIVATIONS", activations)
    # the second update has moments of AdamW beside its activations
    training = replace(SETTINGS, updates=2, lora_rank=rank, dtype="float32")
    plan = plan_run(
        PlanSettings(
            model=str(weights), machine="h100", prompt_tokens=tokens, episode_tokens=30, training=training
        )
    )
    (ended,) = run(1, train, weights, tmp_path / "out", training, activations)
    assert ended.status == 0, ended.stderr[-3000:]
    assert 3 / 4 < plan.device_memory / 2**30 / float(ended.stdout) < 5 / 4
