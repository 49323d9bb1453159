"""Hidden-state cache of the frozen backbone: states at the step tokens of process data, journaled.

Computing them takes minutes on a CPU, so a kill loses only the rows in progress. D hidden size, K marks.
"""

from __future__ import annotations

import base64
import contextlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from o1coder_gym.models.lookup import model_path
from o1coder_gym.prm.model import StepModel, load_backbone
from o1coder_gym.prm.step_text import EncodedSteps
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.progress import tracked
from o1coder_gym.runs.provenance import config_hash, content_hash, input_hashes, package_versions

_AT_ONCE = 16
_PREFIX_MIB = 1024
_STATES = "states"


class Reading:
    """The hidden states of a language model, each computed once. Mutable; open with `open_reading`."""

    def __init__(self, model: str, dtype: str, kept: RunFolder) -> None:
        """Use `open_reading`."""
        self._model = model
        self._dtype = dtype
        self._kept = kept
        self._known = {row["prefix"]: _decoded(row["state"]) for row in kept.rows(_STATES)}

    def states(self, chains: Sequence[EncodedSteps]) -> Tensor:
        """Returns the states at all marks, [K, D], float32; computes and journals missing ones.

        Args:
            chains: Encoded steps with K ≥ 1 marks in all.

        Raises:
            JournalError: When the disk is full.
            WeightsError: When the model cannot be found.
        """
        prefixes = [[_prefix(chain.ids[: mark + 1]) for mark in chain.marks] for chain in chains]
        if places := self._unread(prefixes):
            reader = StepModel(load_backbone(model_path(self._model), self._dtype), nn.Identity(), pad=0)
            reader.keep_prefixes(_PREFIX_MIB)
            batches = [places[start : start + _AT_ONCE] for start in range(0, len(places), _AT_ONCE)]
            for batch in tracked(batches, len(batches), "reading"):
                reader.forget()  # it moves last digits, and a stopped reading must end the same
                found = reader.states([chains[place] for place in batch])
                self._keep([prefixes[place] for place in batch], [states.cpu() for states in found])
        # [K, D]
        return torch.stack([self._known[name] for names in prefixes for name in names])

    def _unread(self, prefixes: Sequence[Sequence[str]]) -> list[int]:
        """Returns the indices of chains that together contain every missing state, in order."""
        covered, places = set(self._known), []
        for place in sorted(range(len(prefixes)), key=lambda place: -len(prefixes[place])):
            if not covered.issuperset(prefixes[place]):
                covered.update(prefixes[place])
                places.append(place)
        return sorted(places)

    def _keep(self, prefixes: Sequence[Sequence[str]], found: Sequence[Tensor]) -> None:
        new = {
            name: state
            for names, states in zip(prefixes, found, strict=True)
            for name, state in zip(names, states, strict=True)
            if name not in self._known
        }
        self._known |= new
        self._kept.append(_STATES, *({"prefix": name, "state": _encoded(new[name])} for name in new))


@contextlib.contextmanager
def open_reading(model: str, dtype: str, out: Path) -> Iterator[Reading]:
    """Opens the hidden-state cache of a model, in a folder of `out` named after model, dtype and versions.

    Args:
        model: Known name, Hub id or folder of a language model.
        dtype: Of its weights; auto is float32, on a GPU too, as in the trainings that begin at the states.
        out: Run folder.

    Raises:
        JournalError: When the folder is in use, or cannot be written.
    """
    versions = package_versions("torch", "transformers")
    precise = "float32" if dtype == "auto" else dtype
    config = {"model": model, "dtype": precise, "inputs": input_hashes(model), "versions": versions}
    with RunFolder.open(out / f"reading-{config_hash(config)[:12]}", config, resume=True) as kept:
        yield Reading(model, precise, kept)


def _prefix(ids: Sequence[int]) -> str:
    """Returns the key of a state: a digest of the tokens up to its mark, on which alone it depends."""
    return content_hash(array("q", ids).tobytes())


def _encoded(state: Tensor) -> str:
    return base64.b64encode(state.numpy().tobytes()).decode()


def _decoded(text: str) -> Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.float32)
