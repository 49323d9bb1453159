"""The choice of a sampler: ``hf``, ``vllm?kv_gib=1``, ``openai:URL,URL?draws=own``, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.policies import HFSettings, OpenAISettings, VLLMSettings
from o1coder_gym.specs import parse
from o1coder_gym.specs.parameters import bind, field_parameters


@dataclass(frozen=True, slots=True)
class ServerSettings(OpenAISettings):
    """Settings of servers that sample for a training.

    Attributes:
        model: The model's name there; "" takes the only one.
        transfer: How weights get there. ``files``: files that the servers read. ``adapters``: LoRA adapters
            alone, in files; the servers hold the model that the training starts from. ``nccl``: from GPU to
            GPU.
        folder: Where files are put, one that the servers see; "" takes memory of this machine.
    """

    api: Literal["tokens"] = "tokens"
    model: str = ""
    transfer: Literal["files", "adapters", "nccl"] = "files"
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A sampler.

    Attributes:
        settings: How it runs; its class says what it is.
        set: Names of the settings that were given.
        urls: Of the servers; none for the others.
    """

    settings: HFSettings | VLLMSettings | ServerSettings
    set: frozenset[str]
    urls: tuple[str, ...] = ()


GPU_SHARE = 0.45
"""Of a GPU's memory for vLLM, where none is asked for; the trainer needs the rest."""

KINDS = {"hf": HFSettings, "vllm": VLLMSettings, "openai": ServerSettings}


def read_sampler(text: str) -> Chosen:
    """Reads the spec of a sampler.

    Raises:
        UsageError: When the kind or an option is not known, or servers have no address.
    """
    spec = parse(text)
    if spec.name not in KINDS:
        raise UnknownNameError("sampler", spec.name, KINDS)
    urls = tuple(url for url in (spec.target or "").split(",") if url)
    if (spec.name == "openai") != bool(urls):
        raise UsageError(f"sampler {text!r}: write hf, vllm or openai:http://HOST:PORT/v1,…")
    kind, named = KINDS[spec.name], frozenset(name for name, _ in spec.arguments)
    if kind is HFSettings and (of_training := named & {"dtype", "device", "template_arguments"}):
        raise UsageError(
            f"sampler {text!r}: {min(of_training)} is set by the training, whose model the sampler copies"
        )
    given = bind(field_parameters(kind), spec.arguments, f"sampler {text!r}: ")
    return Chosen(kind(**given), named, urls)


def check_shared(chosen: Chosen, ranks: int) -> None:
    """Checks that ranks can share a sampler.

    Raises:
        UsageError: When there are several and it is vLLM in this process, which would take them for its own.
    """
    if ranks > 1 and isinstance(chosen.settings, VLLMSettings):
        raise UsageError(
            f"sampler vllm in {ranks} processes: start a vLLM server for each GPU that is to sample, and "
            "give --sampler openai:URL,URL"
        )
