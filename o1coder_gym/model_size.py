"""How many weights the model behind a policy has, read without loading it."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

from o1coder_gym.errors import WeightsError
from o1coder_gym.models.lookup import KNOWN_MODELS, find_model
from o1coder_gym.specs import parse

_SCHEMES = ("hf", "vllm")


def parameters_of(policy: str) -> int | None:
    """Returns the number of weights of a policy's model, None where that cannot be told.

    Args:
        policy: Policy spec, e.g. ``"hf:qwen2.5-coder-0.5b?dtype=float32"``.
    """
    spec = parse(policy)
    name = spec.target or ""
    if spec.name not in _SCHEMES:
        return None
    if name in KNOWN_MODELS:
        return KNOWN_MODELS[name].parameters
    try:
        folder = find_model(name)
    except WeightsError:
        return None
    return count_parameters(folder) if folder is not None else None


def count_parameters(folder: Path) -> int | None:
    """Sums the sizes of all tensors in a folder's safetensors files; None if it has none."""
    files = sorted(folder.glob("*.safetensors"))
    return sum(map(_tensors, files)) if files else None


def _tensors(path: Path) -> int:
    """Reads a file's header: its length in 8 bytes, then JSON with the shape of each tensor."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
