"""The weights of a policy in training, as those who sample take them."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from o1coder_gym.errors import PolicyError

if TYPE_CHECKING:
    from torch import Tensor

MEMORY = Path("/dev/shm")
"""A file system in memory."""
SHARD_BYTES = 1 << 26
"""A file of weights ends with the tensor that makes it so large."""
_PREFIX, _LOCK = "o1coder-weights-", "in_use"


def merged_weights(learner: Any) -> Iterator[tuple[str, Tensor]]:
    """Yields weights by their names in the model that training started from, LoRA adapters added.

    One layer is in memory at a time; weights that are tied come once. Every process of a training must
    consume it whole: parts of a sharded weight are gathered on the way.

    Args:
        learner: The model in training, plain or wrapped by PEFT.
    """
    # PEFT wraps layers: a weight is called …base_layer.weight there, and BA·α/r comes on top of it.
    peft = hasattr(learner, "get_base_model")
    source = learner.get_base_model() if peft else learner
    added = {
        f"{name}.weight": module.get_delta_weight
        for name, module in source.named_modules()
        if peft and hasattr(module, "get_delta_weight")
    }
    seen: set[int] = set()
    for inner, value in source.state_dict().items():
        # Tied weights (embedding and head) are one tensor under two names; who loads them ties them again.
        if "lora_" in inner or value.data_ptr() in seen:
            continue
        seen.add(value.data_ptr())
        name = inner.replace(".base_layer.", ".")
        # A DTensor is sharded over the ranks: all of them take part in gathering it, and so all must come by
        # here.
        whole = value.full_tensor() if hasattr(value, "full_tensor") else value
        yield name, whole + added[name]("default") if name in added else whole


def write_weights(weights: Iterable[tuple[str, Tensor]], folder: Path) -> None:
    """Writes weights to safetensors files, whose names sort as they were written.

    Of weights that are made on the way, such as merged ones, those of one file are in memory at a time.

    Raises:
        PolicyError: When there is no room for them.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    shard: dict[str, Tensor] = {}
    written = size = 0

    def write() -> None:
        nonlocal written, size
        try:
            save_file(shard, folder / f"model-{written:05}.safetensors")
        except (OSError, SafetensorError) as error:
            raise PolicyError(f"the weights for the samplers cannot be written: {error}") from error
        shard.clear()
        written, size = written + 1, 0

    for name, value in weights:
        # safetensors refuses tensors that share memory or are not contiguous.
        shard[name] = value.detach().cpu().contiguous()
        size += value.nbytes
        if size >= SHARD_BYTES:
            write()
    if shard:
        write()


def save_adapter(learner: Any, folder: Path) -> None:
    """Writes the LoRA adapters of a model in training, a few MB.

    Raises:
        PolicyError: When there is no room for them.
    """
    try:
        learner.save_pretrained(folder)
    except OSError as error:
        raise PolicyError(f"the adapters for the samplers cannot be written: {error}") from error


@contextmanager
def passing_folder(learner: Any, where: str = "") -> Iterator[Path]:
    """Yields a folder that is gone afterwards; removes those of processes that were killed.

    Args:
        learner: The model in training, for all of whose weights there has to be room.
        where: Below which folder; "" takes memory where the system has such a file system, with room.
    """
    size = sum(weight.numel() * weight.element_size() for weight in learner.parameters())
    root = Path(where or tempfile.gettempdir())
    if MEMORY.is_dir() and not where:
        _remove_abandoned(MEMORY)  # first: what they hold is missing from the room
        # Twice the size: the old file may still be read when the new one is written.
        root = MEMORY if shutil.disk_usage(MEMORY).free > 2 * size else root
    if root != MEMORY:
        _remove_abandoned(root)
    with (
        tempfile.TemporaryDirectory(prefix=_PREFIX, dir=root) as folder,
        (Path(folder) / _LOCK).open("w") as lock,
    ):
        # The system releases the lock when the process ends, however it does; a number of a process would
        # mean another one in another container.
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(folder)


def _remove_abandoned(root: Path) -> None:
    """Removes weights that no living process holds: in memory nothing else would, up to a restart."""
    for folder in root.glob(f"{_PREFIX}*"):
        try:
            with (folder / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # One that is just being made is empty, and its process waits for the lock.
                if any(file.name != _LOCK for file in folder.iterdir()):
                    shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # in use, of another user, or gone meanwhile
            continue
