"""The devices that a training may run on: accelerators by their data sheets, or this machine, measured."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from o1coder_gym.models.checkpoints import weight_type
from o1coder_gym.models.memory import free_bytes

_SUSTAINED = 0.4
"""Share of its peak arithmetic that an accelerator sustains in training."""
_STREAMED = 0.6
"""Share of its peak bandwidth at which weights are read in decoding."""
HERE = "here"


@dataclass(frozen=True, slots=True)
class Machine:
    """A device and its speed.

    Attributes:
        memory: Bytes of it.
        arithmetic: Floating-point operations a second that a training sustains.
        bandwidth: Bytes a second at which weights are read.
        dtype: Of weights where the settings say ``auto``.
        threads: That a CPU multiplies with; 0 for an accelerator.
    """

    memory: float
    arithmetic: float
    bandwidth: float
    dtype: str = "bfloat16"
    threads: int = 0

    @property
    def is_accelerator(self) -> bool:
        """Whether each rank has one of its own; ranks on a CPU share it."""
        return not self.threads

    def shared_by(self, ranks: int) -> Machine:
        """Returns what each of so many ranks has: an accelerator, or its part of the CPU and its memory."""
        if self.is_accelerator:
            return self
        return replace(
            self,
            memory=self.memory / ranks,
            arithmetic=self.arithmetic / ranks,
            bandwidth=self.bandwidth / ranks,
            threads=max(1, self.threads // ranks),
        )


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


def measured_here() -> Machine:
    """Measures, in a second, the device that a training would take here."""
    import torch

    on_gpu = torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu"
    dtype = weight_type("auto")
    table = torch.ones(2048, 2048, dtype=getattr(torch, dtype), device=device)
    long = torch.ones(64 << 20, dtype=torch.uint8, device=device)

    def seconds(work: Any) -> float:
        begun = time.perf_counter()
        work()
        if on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    multiplied, read = (
        min(seconds(work) for _ in range(3)) for work in (lambda: table @ table, lambda: long.sum())
    )
    threads = 0 if on_gpu else torch.get_num_threads()
    return Machine(free_bytes(), 2 * 2048**3 / multiplied, len(long) / read, dtype, threads)
