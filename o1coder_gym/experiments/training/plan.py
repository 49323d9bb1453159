"""Estimates, before a policy's training starts, what it takes: device memory, tokens, hours.

Memory is counted from the model's configuration and the batch, hours from the machine's arithmetic and
bandwidth. Not counted: judging, which depends on the programs; process rewards and held-out measurements; the
arithmetic of attention between pairs of tokens; the time that a sampler ahead spares.

Shapes: a forward pass has G trees of N tokens, see `models.batches.shared_prefixes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from o1coder_gym.agents.rl.sampling.choice import GPU_SHARE, check_shared, read_sampler
from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.experiments.training.machines import HERE, MACHINES, Machine, measured_here
from o1coder_gym.models.batches.shared_prefixes import planned_shape
from o1coder_gym.models.checkpoints import computes_again
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.models.sizes import Sizes, sizes_of
from o1coder_gym.models.training.starting import learns_in_float32
from o1coder_gym.policies import VLLMSettings
from o1coder_gym.settings import AtLeastOne, Checked
from o1coder_gym.settings.groups import AsJson

_TILE = 4096 * 32_768 * 4
"""Bytes of the table of logits that TRL folds at once, at most: tokens by words, in float32."""
_LIBRARIES = 512 << 20
"""What torch, transformers and TRL take before there is a model."""
_IN_FLIGHT = 0.4
"""Gradients of activations that exist at once, in units of what a block keeps: with LoRA 0.25 to 0.46 for
blocks of Qwen2, by width and by whether they are computed again, counted on torch's meta device."""
_ZERO_BUCKET = 500_000_000
"""Gradients that DeepSpeed reduces at once, for which it has memory whatever is learned: its default."""

LAUNCH = Path(__file__).parents[2] / "data" / "launch"
"""Configurations for ``accelerate launch --config_file``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings(Checked):
    """What is planned.

    Attributes:
        model: Known name, Hub id or folder; its configuration is read, its weights are not.
        machine: What a device is: here (measured now; ranks share a CPU), rtx4090, l40s, a100-40, a100-80,
            h100, h200, b200.
        devices: Ranks that share a batch, one a device.
        shard: none: each rank has all (DDP); zero2: gradients and AdamW are spread over the ranks, by
            DeepSpeed. Weights are not spread: a policy samples with all of them.
        prompt_tokens: Tokens of a question with its instructions.
        episode_tokens: Tokens per episode, all steps together.
        training: How it is trained.
    """

    model: str = DEFAULT_MODEL
    machine: str = HERE
    devices: AtLeastOne = 1
    shard: Literal["none", "zero2"] = "none"
    prompt_tokens: AtLeastOne = 400
    episode_tokens: AtLeastOne = 400
    training: RLSettings = RLSettings()
    as_json: AsJson = False

    def __post_init__(self) -> None:
        """Raises `UsageError` for an unknown machine, or ranks that cannot share the batch or the sampler."""
        Checked.__post_init__(self)
        if self.machine not in (HERE, *MACHINES):
            raise UnknownNameError("machine", self.machine, (HERE, *MACHINES))
        if self.training.batch % (self.devices * self.training.rows_at_once):
            raise UsageError(
                f"a batch of {self.training.batch} episodes cannot be shared by {self.devices} devices, "
                f"{self.training.rows_at_once} at once"
            )
        check_shared(read_sampler(self.training.sampler), self.devices)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The estimated cost of a run.

    Attributes:
        parameters: Of the model.
        learned: Of them, those that are trained; adapters are on top.
        memory: Bytes on a device, by what they are for.
        device_memory: Bytes of them that are taken at once, at most.
        there: Bytes that a device has.
        fits: Whether a device has room, and what vLLM gets of it is enough for the model and an episode.
        sampled: Tokens that are sampled in all.
        trained: Tokens that are learned from in all, in forward and backward passes: shared prompts once,
            padding of trees too.
        scored: Tokens of forward passes alone: of the reference, and of the policy before its first step on a
            batch.
        hours: By part; see this module for what is not in them.
        launch: How it is started.
    """

    parameters: int
    learned: int
    memory: Mapping[str, float]
    device_memory: float
    there: float
    fits: bool
    sampled: int
    trained: int
    scored: int
    hours: Mapping[str, float]
    launch: str

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        return {
            "parameters": self.parameters,
            "learned": self.learned,
            "memory": {**self.memory, "all": self.device_memory},
            "there": self.there,
            "fits": self.fits,
            "tokens": {"sampled": self.sampled, "trained": self.trained, "scored": self.scored},
            "hours": {**self.hours, "all": sum(self.hours.values())},
            "launch": self.launch,
        }


def plan_run(settings: PlanSettings) -> RunPlan:
    """Estimates what a training by GRPO takes: ``o1coder rl plan`` without printing.

    Raises:
        WeightsError: When the model's configuration is not here and cannot be fetched.
        MissingExtraError: When what builds the model is not installed.
    """
    training = settings.training
    sizes = sizes_of(settings.model, training.lora_rank)
    found = measured_here() if settings.machine == HERE else MACHINES[settings.machine]
    machine = found.shared_by(settings.devices)
    machine = machine if training.dtype == "auto" else replace(machine, dtype=training.dtype)
    memory = memory_of(settings, sizes, machine)
    taken = peak_of(memory, settings, machine)
    trained, scored = tokens_of(settings, sizes)
    return RunPlan(
        sizes.parameters,
        sizes.learned,
        memory,
        taken,
        machine.memory,
        taken <= machine.memory and _vllm_fits(memory, settings, sizes, machine),
        training.updates * training.batch * settings.episode_tokens,
        trained,
        scored,
        hours_of(settings, sizes, machine),
        _launch(settings, machine),
    )


def memory_of(settings: PlanSettings, sizes: Sizes, machine: Machine) -> dict[str, float]:
    """Returns the bytes that a training takes on each device, by purpose; not all at once, see `peak_of`.

    Args:
        settings: What is planned.
        sizes: Of the model.
        machine: The device, or a rank's part of a CPU.
    """
    training, devices = settings.training, settings.devices
    size = _bytes(machine.dtype)
    held = 4 if learns_in_float32(training) else size
    copied, all_weights = sizes.parameters * size, sizes.parameters * held
    of_learned = 4 if training.lora_rank else held  # PEFT keeps adapters in float32
    learned = sizes.learned * of_learned
    # On a CPU accelerate shards nothing.
    sharded = settings.shard == "zero2" and machine.is_accelerator
    # DDP copies gradients into buckets of its own before it sums them over the ranks.
    buckets = _ZERO_BUCKET * of_learned if sharded else learned * (devices > 1)
    # A full training holds its reference beside it; adapters can be taken off instead.
    has_reference = bool(training.beta) and not training.lora_rank
    again = computes_again(machine.is_accelerator)
    rows, length = training.rows_at_once, settings.prompt_tokens + settings.episode_tokens
    shapes = _shapes(settings, sizes)
    # The blocks' inputs and one block, or all that is kept; and of one block the gradients.
    kept = (sizes.layers * sizes.width + sizes.kept_by_layer) if again else sizes.kept
    kept += _IN_FLIGHT * sizes.kept_by_layer
    pairs = max(trees * nodes**2 for trees, nodes in shapes)
    sampler = _sampler_memory(settings, sizes, machine)
    return {
        "weights": all_weights + (learned if training.lora_rank else 0),
        # Autocast makes it of weights in float32, once in a pass, and the backward pass reads it.
        "copy that multiplies": (held > size) * copied,
        "copy that samples": sampler[0],
        "reference": has_reference * all_weights,
        "gradients and AdamW": 3 * learned / (devices if sharded else 1),
        "gradient buckets": buckets,
        "activations": max(trees * nodes for trees, nodes in shapes) * kept * size,
        # Of bool, and for the kernel of each block whose activations exist as numbers.
        "attention masks": pairs * (1 + size * (1 if again else sizes.layers)),
        # Trees are taken apart into whole rows: these, or their gradients before and after.
        "hidden states": 2 * rows * length * sizes.width * held,
        "logits": min(_TILE, rows * settings.episode_tokens * sizes.vocabulary * 4),
        "keys and values": sampler[1],
        "libraries": _LIBRARIES,
    }


def _sampler_memory(settings: PlanSettings, sizes: Sizes, machine: Machine) -> tuple[float, float]:
    """Returns the bytes of weights, and of keys and values, that sampling takes on a training's device."""
    chosen = read_sampler(settings.training.sampler)
    copied = sizes.parameters * _bytes(_sampled_type(settings, machine))
    if chosen.urls:  # servers have devices of their own
        return 0, 0
    if not isinstance(chosen.settings, VLLMSettings):
        return copied, settings.training.batch // settings.devices * _cached(settings, sizes, machine)
    if not machine.is_accelerator:
        return copied, chosen.settings.kv_gib << 30
    # It takes its whole share when it starts: what the weights leave becomes room for keys and values.
    share = chosen.settings.gpu_share if "gpu_share" in chosen.set else GPU_SHARE
    return copied, max(0.0, share * machine.memory - copied)


def _vllm_fits(memory: Mapping[str, float], settings: PlanSettings, sizes: Sizes, machine: Machine) -> bool:
    """Whether vLLM, if it is the sampler, has room for one episode; others take what they need."""
    return not _is_vllm(settings) or memory["keys and values"] >= _cached(settings, sizes, machine)


def _cached(settings: PlanSettings, sizes: Sizes, machine: Machine) -> int:
    """Returns the bytes of an episode's keys and values."""
    length = settings.prompt_tokens + settings.episode_tokens
    return length * sizes.cached * _bytes(_sampled_type(settings, machine))


def _sampled_type(settings: PlanSettings, machine: Machine) -> str:
    """Returns the type of the weights that sample: the training's, unless vLLM was asked for another."""
    chosen = read_sampler(settings.training.sampler)
    if isinstance(chosen.settings, VLLMSettings) and "dtype" in chosen.set:
        return chosen.settings.dtype
    return machine.dtype


def _is_vllm(settings: PlanSettings) -> bool:
    return isinstance(read_sampler(settings.training.sampler).settings, VLLMSettings)


_OF_LEARNING = ("copy that multiplies", "activations", "attention masks", "hidden states", "logits")
"""Purposes that take memory only while a batch is learned from."""
_OF_SAMPLING = ("copy that samples", "keys and values")


def peak_of(memory: Mapping[str, float], settings: PlanSettings, machine: Machine) -> float:
    """Returns the bytes that are taken at once, at most.

    Args:
        memory: By purpose, see `memory_of`.
        settings: What is planned.
        machine: The device.
    """
    # vLLM can sleep on a GPU alone, and does not where it samples while the trainer learns. Others keep their
    # weights, and keys and values of prompts.
    sleeps = _is_vllm(settings) and machine.is_accelerator and not settings.training.staleness
    # A third of the optimizer's part are gradients, which are freed after each step.
    learning = sum(memory[name] for name in _OF_LEARNING) + memory["gradients and AdamW"] / 3
    sampling = sum(memory[name] for name in _OF_SAMPLING)
    return sum(memory.values()) - sleeps * min(learning, sampling)


def _shapes(settings: PlanSettings, sizes: Sizes) -> list[tuple[int, int]]:
    """Returns G and N of each forward pass of a batch, over all devices."""
    training = settings.training
    at_once = training.rows_at_once
    cuts = [_groups(start, start + at_once, training.episodes) for start in range(0, training.batch, at_once)]
    lengths = settings.prompt_tokens, settings.episode_tokens
    # Most passes cut the groups alike.
    shapes = {cut: planned_shape(cut, *lengths, sizes.token_cost) for cut in set(cuts)}
    return [shapes[cut] for cut in cuts]


def _groups(start: int, end: int, episodes: int) -> tuple[int, ...]:
    """Returns how many of a batch's rows from `start` to `end` are of each group: a pass may cut groups."""
    edges = [start, *range(start - start % episodes + episodes, end, episodes), end]
    return tuple(after - before for before, after in pairwise(edges))


def tokens_of(settings: PlanSettings, sizes: Sizes) -> tuple[int, int]:
    """Returns the tokens that a run learns from, and those that it scores, see `RunPlan`."""
    training = settings.training
    tokens = training.updates * sum(trees * nodes for trees, nodes in _shapes(settings, sizes))
    # Once a batch: TRL keeps both for all of its steps. The policy is scored before the first of several, and
    # where the sampler's likelihoods are held against its own.
    as_sampled = training.iterations > 1 or training.importance_cap > 0
    return training.iterations * tokens, (bool(training.beta) + as_sampled) * tokens


def hours_of(settings: PlanSettings, sizes: Sizes, machine: Machine) -> dict[str, float]:
    """Returns the hours of sampling and of training.

    Args:
        settings: What is planned.
        sizes: Of the model.
        machine: The device, or a rank's part of a CPU. Servers are taken for such devices.
    """
    training, devices = settings.training, settings.devices
    pass_of_token = 2 * sizes.parameters
    rows = training.batch // devices
    # All rows are decoded together: a token of each takes one reading of the weights, or its arithmetic.
    read = sizes.parameters * _bytes(machine.dtype) / machine.bandwidth
    step = max(read, rows * pass_of_token / machine.arithmetic)
    prompts = -(-training.problems // devices)  # of a device; a group is decoded from one
    prefill = prompts * settings.prompt_tokens * pass_of_token / machine.arithmetic
    sampling = training.updates * (settings.episode_tokens * step + prefill)
    trained, scored = tokens_of(settings, sizes)
    # Forward, and backward to the activations; to all weights where they are learned; again where kept not.
    times = 2 + (not training.lora_rank) + computes_again(machine.is_accelerator)
    learning = (times * trained + scored) * pass_of_token / machine.arithmetic / devices
    return {"sampling": sampling / 3600, "training": learning / 3600}


def _launch(settings: PlanSettings, machine: Machine) -> str:
    command = f"o1coder_gym rl policy --model {settings.model} …"
    if settings.shard != "none":
        config = LAUNCH / f"{settings.shard}.yaml"
        return f"accelerate launch --config_file {config} --num_processes {settings.devices} -m {command}"
    if settings.devices > 1:
        # torchrun gives each rank one thread unless it is told otherwise.
        threads = "" if machine.is_accelerator else f"OMP_NUM_THREADS={machine.threads} "
        return f"{threads}torchrun --nproc-per-node {settings.devices} -m {command}"
    return f"python -m {command}"


def _bytes(dtype: str) -> int:
    return 4 if dtype == "float32" else 2
