"""Adapters that ship with this package: small folders that turn a base model into another model.

A folder ``data/adapters/BASE+NAME`` holds ``card.json`` and what differs from the base: LoRA as PEFT saves it
(``adapter_config.json``, ``adapter_model.safetensors``; PEFT loads the folder as it is), for a process reward
model its head (``score.safetensors``) and description. What is not of PEFT lies beside the merged weights.
``benchmarks/evidence/bundle.py adapter`` writes such folders.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast, get_args

from o1coder_gym.errors import WeightsError
from o1coder_gym.runs.provenance import content_hash

ADAPTERS = Path(str(files("o1coder_gym.data"))) / "adapters"
"""Folder of all of them."""

CARD = "card.json"
LORA = ("adapter_config.json", "adapter_model.safetensors")
"""What PEFT saves of adapters."""

Role = Literal["policy", "prm", "tcg"]


@dataclass(frozen=True, slots=True)
class ShippedAdapter:
    """An adapter of this package.

    Attributes:
        name: Of the model that it makes: ``BASE+NAME``, as in ``hf:BASE+NAME``.
        base: Known or bundled name of the base model.
        role: What the model is: a policy, a process reward model, a test case generator.
        title: What it is, for people.
        license: SPDX id.
        dtype: Type of the merged weights.
        card: All that its card says: data, settings, figures, versions.
        folder: Where it lies.
    """

    name: str
    base: str
    role: Role
    title: str
    license: str
    dtype: str
    card: Mapping[str, Any]
    folder: Path

    @property
    def digest(self) -> str:
        """Hash of the adapter's files: a merged model belongs to one state of them."""
        return content_hash([[path.name, content_hash(path.read_bytes())] for path in self._files()], 6)

    @property
    def has_lora(self) -> bool:
        """Whether the adapter changes weights of the base rather than only adding some."""
        return (self.folder / LORA[0]).is_file()

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.is_file())


def shipped_adapters() -> dict[str, ShippedAdapter]:
    """Returns the shipped adapters by name.

    Raises:
        WeightsError: When a card is damaged.
    """
    return {path.parent.name: _read(path) for path in sorted(ADAPTERS.glob(f"*+*/{CARD}"))}


def shipped_prm(name: str) -> str | None:
    """Returns the name of the model of the process reward model ``prm:NAME``, None if none ships."""
    found = (one for one in shipped_adapters().values() if one.role == "prm")
    return next((one.name for one in found if one.name.partition("+")[2] == name), None)


def write_merged(adapter: ShippedAdapter, base: Path, target: Path) -> None:
    """Writes the model that an adapter makes of its base; needs torch, and PEFT where weights change.

    Weights that do not change are links to those of the base.

    Args:
        adapter: The adapter to apply.
        base: Folder of the base model.
        target: A folder, made here.
    """
    target.mkdir()
    if adapter.has_lora:
        _merge(adapter, base, target)
    for path in base.iterdir():
        place = target / path.name
        weights = path.suffix == ".safetensors" or path.name.endswith(".index.json")
        if place.exists() or (weights and adapter.has_lora):
            continue
        if weights:
            os.symlink(path.resolve(), place)
        else:
            shutil.copyfile(path, place)
    for path in adapter.folder.iterdir():
        if path.name not in LORA:
            shutil.copyfile(path, target / path.name)


def _merge(adapter: ShippedAdapter, base: Path, target: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, adapter.dtype))
    merged: Any = PeftModel.from_pretrained(model, str(adapter.folder)).merge_and_unload()  # pyright: ignore
    merged.save_pretrained(target)


def _read(path: Path) -> ShippedAdapter:
    name = path.parent.name
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        role = card["role"]
        if role not in get_args(Role) or card["base"] != name.partition("+")[0]:
            raise ValueError(f"it is a {role} of {card['base']}")
        return ShippedAdapter(
            name=name,
            base=card["base"],
            role=cast(Role, role),
            title=card["title"],
            license=card["license"],
            dtype=card["dtype"],
            card=card,
            folder=path.parent,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path}: not the card of an adapter: {error!r}") from error
