"""Makes a policy from the string that names it: ``scheme:target?key=value&…``.

=============  ===================================  ==================================================
scheme         target                               example
=============  ===================================  ==================================================
``hf``         model name, Hub id or folder         ``hf:qwen2.5-coder-0.5b?dtype=float32``
``vllm``       as ``hf``                            ``vllm:qwen2.5-coder-0.5b``
``openai``     base URLs, commas between            ``openai:http://localhost:8000/v1?model=qwen``
``scripted``   script file                          ``scripted:tests/golden/two_paths.json``
``fake``       none                                 ``fake?step_s=0.001&depth=3``
=============  ===================================  ==================================================

``openai:URL?key=value#MODEL`` and ``fake:key=value`` are read too; ``openai:#MODEL`` takes the address from
``OPENAI_BASE_URL``. ``FILE.py:NAME`` and ``package.module:NAME`` name your own class or function. Packages
add schemes as plug-ins, see `registry`; those of the group ``o1coder_gym.policies`` are functions
``(rest, step_format) -> Policy`` that read what follows the colon themselves. Engines are shared: one per
process for the same target and settings.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from o1coder_gym.errors import UsageError
from o1coder_gym.models.lookup import BUNDLED_MODELS, KNOWN_MODELS, parameter_count
from o1coder_gym.policies.engine import Engine
from o1coder_gym.policies.fake import FakeEngine, FakeSettings
from o1coder_gym.policies.hf.engine import HFEngine, HFSettings
from o1coder_gym.policies.language_model import LanguageModelPolicy
from o1coder_gym.policies.openai_server import OpenAIEngine, OpenAISettings
from o1coder_gym.policies.scripted import ScriptedPolicy
from o1coder_gym.policies.server.abilities import Abilities
from o1coder_gym.policies.server.http import checked_addresses
from o1coder_gym.policies.vllm.engine import VLLMEngine, VLLMSettings
from o1coder_gym.runs.kept import OnDisk, on_disk
from o1coder_gym.specs import Spec, parse, registry
from o1coder_gym.specs.parameters import Count
from o1coder_gym.steps.formats import StepFormat, load_format
from o1coder_gym.types.protocols import Policy

_LOG = logging.getLogger(__name__)

ENTRY_POINT_GROUP = registry.KINDS["policy"].group

_FAKE, _HF, _OPENAI, _VLLM = FakeSettings(), HFSettings(), OpenAISettings(), VLLMSettings()


_engines: dict[str, tuple[OnDisk, Engine]] = {}
_engines_lock = threading.Lock()


def load_policy(spec: str, *, format: str = "pseudocode") -> Policy:
    """Returns the policy that `spec` names, writing steps in `format`.

    Raises:
        UnknownNameError: When the scheme, an option or the format is not known.
        UsageError: When an option makes no sense.
        MissingExtraError: When its backend is not installed.
        PluginError: When the package that it comes from does not work.
        PolicyError: When a script cannot be read.
    """
    step_format = load_format(format)
    _refuse_bare_model(spec)
    _LOG.info("policy %s, %s steps", spec, format)
    entry, _ = registry.entry_of("policy", policy_spec(spec), spec)
    # Plug-ins of the older entry-point group read the rest of the spec themselves.
    if entry.earlier and ":" in spec:
        return entry.object()(spec.partition(":")[2], step_format)
    named = policy_spec(spec)
    if named.name == "openai":
        _addresses(named.target or "")  # before its arguments: without an address a model's name is no use
    policy = registry.make("policy", named, spec, step_format=step_format)
    if not isinstance(policy, Policy):
        raise UsageError(f"policy {spec!r} is a {type(policy).__name__}, which has no propose method")
    return policy


def prepare(policy: Policy) -> None:
    """Loads a policy's engine now, not at its first request: a run without it fails at the start.

    Raises:
        O1CoderError: When it cannot be loaded.
    """
    engine = policy.engine if isinstance(policy, LanguageModelPolicy) else None
    if isinstance(engine, HFEngine | VLLMEngine | OpenAIEngine):
        engine.prepare()


def policy_spec(text: str) -> Spec:
    """Reads the spec of a policy, also one such as ``openai:URL#MODEL`` or ``fake:key=value``.

    Raises:
        UsageError: When an argument is not ``key=value``, or stands behind the model.
    """
    name, _, rest = text.partition(":")
    if name == "fake":
        return parse(f"fake?{rest}")
    if name == "scripted" and "?" in rest:
        return Spec(name, rest)  # it has no options, so this is the name of a file
    if name == "openai" and "#" in rest:
        address, _, model = rest.rpartition("#")
        if "?" in model:
            raise UsageError(f"policy {text}: options stand before the model; write openai:URL?options#MODEL")
        spec = parse(f"openai:{address}")
        return Spec(name, spec.target, (*spec.arguments, *((("model", model),) if model else ())))
    return parse(text)


def parameters_of(policy: str) -> int | None:
    """Returns the number of weights of a policy's model; None where nobody here knows it.

    Args:
        policy: Its spec, e.g. ``hf:qwen2.5-coder-0.5b?dtype=float32``.
    """
    spec = policy_spec(policy)
    return parameter_count(spec.target or "") if spec.name in ("hf", "vllm") else None


def hf_spec(model: str, template_arguments: Mapping[str, Any] | None = None, **options: str) -> str:
    """Returns the spec of a policy that a model of transformers writes.

    Args:
        model: Name, Hub id or folder.
        template_arguments: Variables of the chat template.
        options: Others of `HFSettings`.
    """
    options |= {"template_arguments": json.dumps(dict(template_arguments))} if template_arguments else {}
    return str(Spec("hf", model, tuple(options.items())))


def _refuse_bare_model(spec: str) -> None:
    name = spec.partition("?")[0]
    known = name in KNOWN_MODELS or name in BUNDLED_MODELS
    if known or (":" not in name and (Path(name) / "config.json").is_file()):
        raise UsageError(f"policy {spec!r} is a model, not what runs it; did you mean 'hf:{spec}'?")


def shared_engine(key: str, make: Callable[[], Engine], *names: str) -> Engine:
    """Returns the process's engine called `key`; makes it the first time, and when its files have changed.

    Args:
        key: Names the engine with all of its settings.
        make: Makes it.
        names: Folders, or names of models, that it is loaded from.
    """
    files = on_disk(*names)
    with _engines_lock:
        found = _engines.get(key)
        if found is None or found[0] != files:
            # Let go before the next one is loaded: two models would need the room of both.
            _engines.pop(key, None)
            del found
            _engines[key] = files, make()
        return _engines[key][1]


def hf(
    target: str,
    step_format: StepFormat,
    *,
    think_tokens: Count = 0,
    think_step: bool = False,
    settings: HFSettings = _HF,
) -> Policy:
    """A transformers model in this process writes the steps.

    Args:
        target: Model name, Hub id or folder.
        step_format: How steps are written.
        think_tokens: Tokens that a thought before each action may take; 0 closes thoughts.
        think_step: Whether the first step of a chain is a thought, and the only one.
        settings: How the model runs.
    """
    engine = shared_engine(f"hf:{target} {settings}", lambda: HFEngine.from_name(target, settings), target)
    return LanguageModelPolicy(engine, step_format, think_tokens=think_tokens, think_step=think_step)


def vllm(
    target: str,
    step_format: StepFormat,
    *,
    think_tokens: Count = 0,
    think_step: bool = False,
    settings: VLLMSettings = _VLLM,
) -> Policy:
    """A vLLM model in this process writes the steps.

    Args:
        target: Model name, Hub id or folder.
        step_format: How steps are written.
        think_tokens: Tokens that a thought before each action may take; 0 closes thoughts.
        think_step: Whether the first step of a chain is a thought, and the only one.
        settings: How the model runs.
    """
    engine = shared_engine(f"vllm:{target} {settings}", lambda: VLLMEngine(target, settings), target)
    return LanguageModelPolicy(engine, step_format, think_tokens=think_tokens, think_step=think_step)


def openai(
    step_format: StepFormat,
    *,
    model: str,
    target: str = "",
    think_tokens: Count = 0,
    think_step: bool = False,
    settings: OpenAISettings = _OPENAI,
) -> Policy:
    """A model behind one or several servers with OpenAI's HTTP interface writes the steps.

    Args:
        step_format: How steps are written.
        model: The model's name there.
        target: Base URLs, commas between; none: that of ``OPENAI_BASE_URL``.
        think_tokens: Tokens that a thought before each action may take, on servers that speak token ids; 0
            closes thoughts.
        think_step: Whether the first step of a chain is a thought, and the only one.
        settings: How the servers are spoken to.

    Raises:
        UsageError: When there is no address.
    """
    engine = _server(target, model, settings)
    return LanguageModelPolicy(engine, step_format, think_tokens=think_tokens, think_step=think_step)


def server_abilities(spec: str) -> Abilities:
    """Asks the server of a policy's spec, ``openai:URL#MODEL``, what it can do.

    Raises:
        UsageError: When the spec names no server.
        PolicyError: When no server answers, or it refuses the simplest request.
    """
    policy = load_policy(spec)
    engine = policy.engine if isinstance(policy, LanguageModelPolicy) else None
    if not isinstance(engine, OpenAIEngine):
        raise UsageError(f"{spec} names no server; write openai:URL?model=NAME")
    return engine.abilities()


def _server(target: str, model: str, settings: OpenAISettings) -> Engine:
    addresses = _addresses(target)
    key = f"openai:{','.join(addresses)}#{model} {settings}"
    return shared_engine(key, lambda: OpenAIEngine(addresses, model, settings))


def _addresses(target: str) -> list[str]:
    addresses = target or os.environ.get("OPENAI_BASE_URL", "")
    if not addresses:
        raise UsageError("policy openai: no address; write openai:URL?model=NAME, or set OPENAI_BASE_URL")
    return checked_addresses(addresses.split(","))


def scripted(target: str, step_format: StepFormat) -> Policy:
    """Repeats the actions of a JSON file: exact and free."""
    return ScriptedPolicy.from_file(target, step_format)


def fake(step_format: StepFormat, *, settings: FakeSettings = _FAKE) -> Policy:
    """Writes random words at a set speed."""
    engine = shared_engine(f"fake:{settings}", lambda: FakeEngine(settings))
    return LanguageModelPolicy(engine, step_format)
