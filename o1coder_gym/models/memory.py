"""Checks that a model fits into memory before it is loaded: a kernel without memory kills without a word.

And what memory was taken in the end.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from o1coder_gym.errors import UsageError
from o1coder_gym.models.lookup import count_parameters

_GROUP = Path("/sys/fs/cgroup/memory.max")
"""The limit of a container."""


def check_memory(folder: Path, dtype: str, device: str = "auto", *, copies: int = 1) -> None:
    """Refuses a model that is larger than the free memory.

    A lower bound: what is computed comes on top. Models of other files than safetensors are not looked at.

    Args:
        folder: Of the model.
        dtype: Of its weights: ``"float32"``, or any of two bytes.
        device: Where it goes, as torch names it; ``"auto"`` is a GPU where there is one.
        copies: How often there is a number for each weight.

    Raises:
        UsageError: When it has no room; says how much it takes and how much there is.
    """
    size = copies * (count_parameters(folder) or 0) * (4 if dtype == "float32" else 2)
    free = free_bytes(device)
    if size > free:
        raise UsageError(
            f"{folder.name} takes at least {gib(size)} in {dtype}, and {gib(free)} are free"
            + ("; LoRA takes less: --lora-rank 16" if copies > 1 else "")
        )


def free_bytes(device: str = "auto") -> int:
    """Returns the free memory: of a GPU, or of the machine within a container's limit."""
    import torch

    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        if not torch.cuda.is_available():
            return 1 << 62  # loading says better what is wrong
        return torch.cuda.mem_get_info(None if device == "auto" else device)[0]
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    kib = {name: int(number) for name, number, *_ in lines}
    return min(1024 * (kib["MemAvailable:"] + kib["SwapFree:"]), _limit())


def _limit() -> int:
    try:
        return int(_GROUP.read_text())
    except (OSError, ValueError):  # no container, or one without a limit: "max"
        return 1 << 62


def gib(size: float) -> str:
    """Returns a size in GiB as text."""
    return f"{size / (1 << 30):.1f} GiB"


@dataclass(slots=True)
class Peak:
    """Peak memory. Mutable.

    Attributes:
        size: In bytes.
    """

    size: int = 0


@contextlib.contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measures the peak memory of the block: of the GPU if there is one, else of this process."""
    import torch

    found, on_gpu = Peak(), torch.cuda.is_available()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    else:
        _forget_peak()
    try:
        yield found
    finally:
        found.size = torch.cuda.max_memory_reserved() if on_gpu else _peak_of_process()


def _forget_peak() -> None:
    """Makes the kernel measure from here on; where it must not, it measures from the start of the process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_of_process() -> int:
    try:
        (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in one)
        return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
