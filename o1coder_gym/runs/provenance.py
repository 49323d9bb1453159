"""Provenance: stage, settings and inputs of an artefact. Equal provenance means the work can be reused."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from o1coder_gym.errors import O1CoderError
from o1coder_gym.runs.files import write_json
from o1coder_gym.specs.grammar import parse
from o1coder_gym.specs.own_code import file_of

FILE = "provenance.json"
"""Lies in the folder of a finished artefact, written last."""

CALIBRATION = "calibration.json"
"""Lies beside the weights of a scorer."""

_DATA_SET = "dataset.json"

_WEIGHTS = "*.safetensors"
_OF_A_MODEL = (
    _WEIGHTS,
    "config.json",
    "generation_config.json",  # which tokens end a text
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "prm.json",
    CALIBRATION,
)
"""Files of a model on which its answers depend."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Everything that an artefact depends on.

    Attributes:
        stage: Name of the work, e.g. ``"prm train"``.
        config: All settings that the result depends on, the seed too; JSON-able.
        inputs: Hashes of the artefacts that went in, by role.
        versions: Versions of what did the work, by package.
    """

    stage: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    versions: Mapping[str, str]

    @property
    def hash(self) -> str:
        """SHA-256 of all of it, in hex."""
        return config_hash(asdict(self))

    def to_row(self) -> dict[str, Any]:
        """Returns what the work is and what it is made of, without versions, which may differ; JSON-able."""
        return {"stage": self.stage, "config": dict(self.config), "inputs": dict(self.inputs)}

    def write(self, folder: Path) -> None:
        """Writes ``provenance.json``, which marks the artefact as finished."""
        write_json(folder / FILE, {"hash": self.hash, **asdict(self)})

    def made(self, folder: Path) -> bool:
        """Returns whether the folder holds a finished artefact of exactly this provenance."""
        return artefact_hash(folder) == self.hash


def content_hash(value: Any, size: int | None = None) -> str:
    """Returns the hash of a value, in hex.

    Args:
        value: Bytes, a text (hashed as UTF-8), or anything JSON-able (hashed as JSON, keys in their order).
        size: Bytes of a BLAKE2b digest, where a short name will do; None means SHA-256.
    """
    if not isinstance(value, bytes):
        text = value if isinstance(value, str) else json.dumps(value)
        value = text.encode("utf-8", "surrogatepass")  # a program may hold half a surrogate pair
    made = hashlib.sha256(value) if size is None else hashlib.blake2b(value, digest_size=size)
    return made.hexdigest()


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    """Returns the values of nested dicts by their own names."""
    if not isinstance(value, dict):
        return {name: value}
    return {key: leaf for part in value for key, leaf in leaves(value[part], part).items()}


def config_hash(config: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of `config` as canonical JSON, in hex."""
    return content_hash(json.dumps(config, allow_nan=False, sort_keys=True))


def package_versions(*packages: str) -> dict[str, str]:
    """Returns the versions of the installed ones of some packages, and of this project."""
    from importlib.metadata import PackageNotFoundError, version  # slow, and seldom needed

    found = {}
    for package in ("o1coder-gym", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def cpu_features() -> tuple[str, ...]:
    """Returns what this machine's cores have of what makes the same weights give other numbers."""
    cpuinfo = Path("/proc/cpuinfo")
    words = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return tuple(name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "sve") if name in words)


def multiplies_bfloat16() -> bool:
    """Whether the cores do it in hardware; others emulate it, slower than float32."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(cpu_features())


def artefact_hash(folder: Path) -> str | None:
    """Returns the hash that a finished artefact carries: a model's, or a data set's; None if it has none.

    Raises:
        O1CoderError: When the file that has it is damaged.
    """
    for name in (FILE, _DATA_SET):
        path = folder / name
        if os.path.isfile(path):  # a path's own method raises for what is too long to be one
            try:
                return str(json.loads(path.read_text())["hash"])
            except (ValueError, KeyError, TypeError) as error:
                raise O1CoderError(f"{path}: has no hash; make the artefact again") from error
    return None


def input_hashes(*specs: str | None) -> dict[str, str]:
    """Returns the hashes of the artefacts that specs name, such as ``hf:RUN/model`` or ``prm:RUN/model``.

    Of ``FILE.py:NAME`` and ``scripted:FILE`` that of the file, of a model without provenance `model_hash`: a
    run does not continue with code, answers or weights that have changed. Each may be the value of an
    argument, as in ``choice_ppo?path=RUN``; a spec that names several has the hash of their hashes.
    """
    found = {}
    for spec in filter(None, specs):
        digests = [digest for path in artefact_paths(spec) if (digest := _hash_of(path)) is not None]
        if digests:
            found[spec] = digests[0] if len(digests) == 1 else content_hash(digests)
    return found


def continuing(config: Mapping[str, Any], begun: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration with the rows at once of the run that it continues, in all sections alike.

    How a batch is read changes no result, and other ranks or less memory may ask for fewer rows at once. But
    where rows with a common beginning are grouped, it says which rows make a batch, and stays as it is.

    Args:
        config: Of the run that goes on.
        begun: What it was begun with, as read from a file.
    """
    grouped = config.get("group_prefixes", False)
    found = dict(config)
    for name in found.keys() & begun.keys():
        if name == "rows_at_once" and not grouped:
            found[name] = begun[name]
        elif isinstance(found[name], Mapping) and isinstance(begun[name], Mapping):
            found[name] = continuing(found[name], begun[name])
    return found


def noted(inputs: Mapping[str, str], begun: Mapping[str, str]) -> dict[str, str]:
    """Returns those inputs of which the version that began the work noted a hash: of others nothing is known.

    So they are no reason to refuse what else is the same.
    """
    return {name: digest for name, digest in inputs.items() if name in begun}


def file_hashes(*names: str | None) -> dict[str, str]:
    """Returns the hashes of those names that are files, such as one's own problems or tests.

    Rows of a run that was begun with other ones do not belong to those of a run that goes on. Of a scorer it
    is the file of its calibration, which may be fitted anew beside the same weights.
    """
    files = {name: Path(name) for name in filter(None, names)}
    files |= {name: artefact_path(name) / CALIBRATION for name in files if name.startswith("prm:")}
    return {name: content_hash(file.read_bytes()) for name, file in files.items() if os.path.isfile(file)}


def _hash_of(path: Path) -> str | None:
    return file_hash(path) if os.path.isfile(path) else artefact_hash(path) or model_hash(path)


def model_hash(folder: Path) -> str | None:
    """Returns the hash of a model's weights, tokenizer and settings, in hex; None for any other folder."""
    if not os.path.isdir(folder) or not any(folder.glob(_WEIGHTS)):
        return None
    files = sorted({file for one in _OF_A_MODEL for file in folder.glob(one)})
    return content_hash([[file.name, file_hash(file)] for file in files])


def file_hash(path: Path) -> str:
    """Returns the SHA-256 of a file, in hex; read in parts, for weights may be larger than what is free."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def artefact_paths(spec: str) -> list[Path]:
    """Returns what a spec and the values of its arguments name, if anything; a value may be a spec too."""
    names = (spec, *map(unquote, re.findall(r"[?&]\w+=([^&]+)", spec)))
    return list(dict.fromkeys(path for name in names for path in (artefact_path(name), Path(name))))


def artefact_path(spec: str) -> Path:
    """Returns what a spec names, if anything: RUN/model of ``prm:RUN/model?…``, FILE.py of ``FILE.py:X``."""
    head = spec.partition("?")[0]
    name, target = parse(head).name, parse(head).target
    return file_of(spec) or Path(target if target is not None and re.fullmatch(r"\w+", name) else head)
