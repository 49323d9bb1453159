"""From the string that names a policy to the policy: ``scheme:rest``.

=============  =======================================  ================================================
scheme         rest                                     example
=============  =======================================  ================================================
``hf``         model name, Hub id or folder, options    ``hf:qwen2.5-coder-0.5b?dtype=float32``
``scripted``   script file                              ``scripted:tests/golden/two_paths.json``
``fake``       options                                  ``fake:step_s=0.001&depth=3``
``openai``     base URLs (comma), options, ``#model``   ``openai:http://localhost:8000/v1#qwen``
``vllm``       as ``hf``                                ``vllm:qwen2.5-coder-0.5b``
=============  =======================================  ================================================

Further schemes come from the entry-point group ``o1coder_gym.policies``: its name is the scheme, its object
a function ``(rest, step_format) -> Policy``. Engines are shared: equal strings mean one engine per process.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.formats import StepFormat, load_format
from o1coder_gym.policies.engine import Engine
from o1coder_gym.policies.fake import FakeEngine, FakeSettings
from o1coder_gym.policies.hf import HFEngine, HFSettings
from o1coder_gym.policies.language_model import LanguageModelPolicy
from o1coder_gym.policies.openai import OpenAIEngine, OpenAISettings
from o1coder_gym.policies.scripted import ScriptedPolicy
from o1coder_gym.policies.vllm import VLLMEngine, VLLMSettings
from o1coder_gym.protocols import Policy

ENTRY_POINT_GROUP = "o1coder_gym.policies"

PolicyLoader = Callable[[str, StepFormat], Policy]
Settings = TypeVar("Settings")

_engines: dict[str, Engine] = {}
_engines_lock = threading.Lock()


def load_policy(spec: str, *, format: str = "pseudocode") -> Policy:
    """Returns the policy that `spec` names, writing steps in `format`.

    Raises:
        UnknownNameError: When the scheme or the format is not registered.
        UsageError: When an option is unknown or its value makes no sense.
        MissingExtraError: When its backend is not installed.
        PolicyError: When a script cannot be read.
    """
    scheme, colon, rest = spec.partition(":")
    loaders = {**{point.name: point.load for point in entry_points(group=ENTRY_POINT_GROUP)}}
    step_format = load_format(format)
    if scheme in _SCHEMES and colon:
        return _SCHEMES[scheme](rest, step_format)
    if scheme in loaders and colon:
        return loaders[scheme]()(rest, step_format)
    raise UnknownNameError("policy", spec, (f"{name}:" for name in {**_SCHEMES, **loaders}))


def shared_engine(key: str, make: Callable[[], Engine]) -> Engine:
    """Returns the process's engine called `key`; makes it the first time."""
    with _engines_lock:
        if key not in _engines:
            _engines[key] = make()
        return _engines[key]


def read_settings(kind: type[Settings], options: str) -> Settings:
    """Reads ``name=value&name=value`` into a dataclass of numbers and strings.

    Raises:
        UsageError: When an option is unknown or is not of the field's type.
    """
    fields = {field.name: field.default for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, text in parse_qsl(options, keep_blank_values=True):
        if name not in fields:
            raise UnknownNameError("option", name, fields)
        try:
            values[name] = type(fields[name])(text)
        except ValueError as error:
            raise UsageError(f"option {name}={text!r}: {error}") from error
    return kind(**values)


def _hf(rest: str, step_format: StepFormat) -> Policy:
    name, _, options = rest.partition("?")
    settings = read_settings(HFSettings, options)
    engine = shared_engine(f"hf:{rest}", lambda: HFEngine.from_name(name, settings))
    return LanguageModelPolicy(engine, step_format)


def _scripted(rest: str, step_format: StepFormat) -> Policy:
    return ScriptedPolicy.from_file(rest, step_format)


def _fake(rest: str, step_format: StepFormat) -> Policy:
    settings = read_settings(FakeSettings, rest)
    return LanguageModelPolicy(shared_engine(f"fake:{rest}", lambda: FakeEngine(settings)), step_format)


def _openai(rest: str, step_format: StepFormat) -> Policy:
    address, _, model = rest.rpartition("#")
    urls, _, options = address.partition("?")
    if not urls or not model:
        raise UsageError(f"openai:URL#MODEL names a server and a model; got openai:{rest}")
    settings = read_settings(OpenAISettings, options)
    engine = shared_engine(f"openai:{rest}", lambda: OpenAIEngine(urls.split(","), model, settings))
    return LanguageModelPolicy(engine, step_format)


def _vllm(rest: str, step_format: StepFormat) -> Policy:
    name, _, options = rest.partition("?")
    settings = read_settings(VLLMSettings, options)
    return LanguageModelPolicy(shared_engine(f"vllm:{rest}", lambda: VLLMEngine(name, settings)), step_format)


_SCHEMES = MappingProxyType(
    {"fake": _fake, "hf": _hf, "openai": _openai, "scripted": _scripted, "vllm": _vllm}
)
