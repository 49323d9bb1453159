"""Estimates, before a policy's training starts, what it takes: device memory, tokens, hours.

Estimates: memory is counted from the model's configuration and the batch, hours from the machine's arithmetic
and bandwidth. Judging is not in them; it depends on the programs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.models.checkpoints import activation_checkpointing, weight_type
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.models.memory import free_bytes
from o1coder_gym.models.sizes import Sizes, sizes_of
from o1coder_gym.models.training.starting import learns_in_float32
from o1coder_gym.settings import AtLeastOne, Checked
from o1coder_gym.settings.groups import AsJson
from o1coder_gym.specs import parse

_TILE = 4096 * 32_768 * 4
"""Bytes of the table of logits that TRL folds at once, at most: tokens by words, in float32."""
_LIBRARIES = 512 << 20
"""What torch, transformers and TRL take before there is a model."""
_SUSTAINED = 0.4
"""Share of its peak arithmetic that an accelerator sustains in training."""
_STREAMED = 0.6
"""Share of its peak bandwidth at which weights are read in decoding."""
HERE = "here"

LAUNCH = Path(__file__).parents[2] / "data" / "launch"
"""Configurations for ``accelerate launch --config_file``."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A device and its speed.

    Attributes:
        memory: Bytes of it.
        arithmetic: Floating-point operations a second that a training sustains.
        bandwidth: Bytes a second at which weights are read.
        dtype: Of weights where the settings say ``auto``.
    """

    memory: float
    arithmetic: float
    bandwidth: float
    dtype: str = "bfloat16"


def _accelerator(gib: float, teraflops: float, terabytes: float) -> Machine:
    """Returns a device by its data sheet: memory, dense bfloat16 arithmetic, bandwidth."""
    return Machine(gib * 2**30, _SUSTAINED * teraflops * 1e12, _STREAMED * terabytes * 1e12)


MACHINES: Mapping[str, Machine] = MappingProxyType(
    {
        "rtx4090": _accelerator(24, 165, 1.01),
        "l40s": _accelerator(48, 362, 0.86),
        "a100-40": _accelerator(40, 312, 1.56),
        "a100-80": _accelerator(80, 312, 2.04),
        "h100": _accelerator(80, 989, 3.35),
        "h200": _accelerator(141, 989, 4.8),
        "b200": _accelerator(180, 2250, 8.0),
    }
)
"""Accelerators by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings(Checked):
    """What is planned.

    Attributes:
        model: Known name, Hub id or folder; its configuration is read, its weights are not.
        machine: What a device is: here (measured now), rtx4090, l40s, a100-40, a100-80, h100, h200, b200.
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
        """Raises `UsageError` for a machine that is not known, or ranks that cannot share a batch."""
        Checked.__post_init__(self)
        if self.machine not in (HERE, *MACHINES):
            raise UnknownNameError("machine", self.machine, (HERE, *MACHINES))
        if self.training.batch % (self.devices * self.training.rows_at_once):
            raise UsageError(
                f"a batch of {self.training.batch} episodes cannot be shared by {self.devices} devices, "
                f"{self.training.rows_at_once} at once"
            )


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The estimated cost of a run.

    Attributes:
        parameters: Of the model.
        learned: Of them, those that are trained; adapters are on top.
        memory: Bytes on a device, by what they are for.
        there: Bytes that a device has.
        sampled: Tokens that are sampled in all.
        trained: Tokens that forward and backward passes compute in all, shared prompts once.
        hours: Without judging; by part.
        launch: How it is started.
    """

    parameters: int
    learned: int
    memory: Mapping[str, float]
    there: float
    sampled: int
    trained: int
    hours: Mapping[str, float]
    launch: str

    @property
    def device_memory(self) -> float:
        """Bytes that the run takes on a device."""
        return sum(self.memory.values())

    @property
    def fits(self) -> bool:
        """Whether a device has room."""
        return self.device_memory <= self.there

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        return {
            "parameters": self.parameters,
            "learned": self.learned,
            "memory": {**self.memory, "all": self.device_memory},
            "there": self.there,
            "fits": self.fits,
            "tokens": {"sampled": self.sampled, "trained": self.trained},
            "hours": {**self.hours, "all": sum(self.hours.values())},
            "launch": self.launch,
        }


def plan_run(settings: PlanSettings) -> RunPlan:
    """Estimates what a training by GRPO takes: ``o1coder rl plan`` without printing.

    Raises:
        WeightsError: When the model's configuration is not here and cannot be fetched.
        MissingExtraError: When what builds the model is not installed.
    """
    sizes = sizes_of(settings.model, settings.training.lora_rank)
    machine = measured_here() if settings.machine == HERE else MACHINES[settings.machine]
    asked = settings.training.dtype
    machine = machine if asked == "auto" else replace(machine, dtype=asked)
    sampled = settings.training.updates * settings.training.batch * settings.episode_tokens
    trained = settings.training.updates * _tokens_of_update(settings)
    return RunPlan(
        sizes.parameters,
        sizes.learned,
        memory_of(settings, sizes, machine.dtype),
        machine.memory,
        sampled,
        trained,
        _hours(settings, sizes, machine, trained),
        _launch(settings),
    )


def memory_of(settings: PlanSettings, sizes: Sizes, dtype: str) -> dict[str, float]:
    """Returns the bytes that a training takes on each device, by purpose.

    Args:
        settings: What is planned.
        sizes: Of the model.
        dtype: Of its products, and of the copy that samples.
    """
    training, devices = settings.training, settings.devices
    size = 4 if dtype == "float32" else 2
    held = 4 if learns_in_float32(training) else size
    # PEFT keeps adapters in float32.
    copied, all_weights = sizes.parameters * size, sizes.parameters * held
    learned = sizes.learned * (4 if training.lora_rank else held)
    spread = devices if settings.shard == "zero2" else 1
    # A full training holds its reference beside it; adapters can be taken off instead.
    has_reference = bool(training.beta) and not training.lora_rank
    rows, episode = training.rows_at_once, settings.episode_tokens
    at_once = -(-rows // training.episodes) * settings.prompt_tokens + rows * episode
    # Servers have weights, keys and values in devices of their own.
    samples = parse(training.sampler).name != "openai"
    sampled_at_once = samples * (training.batch // devices) * (settings.prompt_tokens + episode)
    return {
        "weights": all_weights + (learned if training.lora_rank else 0),
        "copy that samples": samples * copied,
        "reference": has_reference * all_weights,
        "gradients and AdamW": 3 * learned / spread,
        "activations": at_once * _kept(sizes) * size,
        "logits": min(_TILE, rows * episode * sizes.vocabulary * 4),
        "keys and values": sampled_at_once * sizes.cached * size,
        "libraries": _LIBRARIES,
    }


def _kept(sizes: Sizes) -> int:
    """Returns the numbers that a token leaves: all, or inputs and one block where blocks are redone."""
    again = any(activation_checkpointing().values())
    return sizes.layers * sizes.width + sizes.kept_by_layer if again else sizes.kept


def _tokens_of_update(settings: PlanSettings) -> int:
    """Returns the tokens of the forward passes of an update: prompts of a group once in each pass."""
    training = settings.training
    passes = training.batch // training.rows_at_once
    prompts = max(training.problems, passes)
    return training.iterations * (prompts * settings.prompt_tokens + training.batch * settings.episode_tokens)


def _hours(settings: PlanSettings, sizes: Sizes, machine: Machine, trained: int) -> dict[str, float]:
    training, devices = settings.training, settings.devices
    size = 4 if machine.dtype == "float32" else 2
    pass_of_token = 2 * sizes.parameters
    rows = training.batch // devices
    # All rows are decoded together: a token of each takes one reading of the weights, or its arithmetic.
    step = max(sizes.parameters * size / machine.bandwidth, rows * pass_of_token / machine.arithmetic)
    prompts = -(-training.problems // devices)  # of a device; a group is decoded from one
    prefill = prompts * settings.prompt_tokens * pass_of_token / machine.arithmetic
    sampling = training.updates * (settings.episode_tokens * step + prefill)
    # Forward, and backward to the activations; to all weights where they are learned; again where kept not.
    times = 2 + (not training.lora_rank) + any(activation_checkpointing().values()) + bool(training.beta)
    learning = trained * times * pass_of_token / machine.arithmetic / devices
    return {"sampling": sampling / 3600, "training": learning / 3600}


def _launch(settings: PlanSettings) -> str:
    command = f"o1coder_gym rl policy --model {settings.model} …"
    if settings.shard != "none":
        config = LAUNCH / f"{settings.shard}.yaml"
        return f"accelerate launch --config_file {config} --num_processes {settings.devices} -m {command}"
    if settings.devices > 1:
        return f"torchrun --nproc-per-node {settings.devices} -m {command}"
    return f"python -m {command}"


def measured_here() -> Machine:
    """Measures, in a second, the device that a training would take here."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = weight_type("auto")
    table = torch.ones(2048, 2048, dtype=getattr(torch, dtype), device=device)
    long = torch.ones(64 << 20, dtype=torch.uint8, device=device)

    def seconds(work: Any) -> float:
        begun = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    multiplied, read = (
        min(seconds(work) for _ in range(3)) for work in (lambda: table @ table, lambda: long.sum())
    )
    return Machine(free_bytes(), 2 * 2048**3 / multiplied, len(long) / read, dtype)
