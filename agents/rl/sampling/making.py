"""Makes an actor from the string that names a sampler."""

from __future__ import annotations

from dataclasses import replace

from o1coder_gym.agents.rl.sampling.actors import Actor, Start
from o1coder_gym.agents.rl.sampling.choice import ServerSettings, check_shared, read_sampler
from o1coder_gym.errors import require
from o1coder_gym.policies import HFSettings, VLLMSettings
from o1coder_gym.runs import ranks


def make_actor(sampler: str, start: Start, *, sleeps: bool = True) -> Actor:
    """Returns the actor of a sampler.

    Args:
        sampler: A spec for `choice.read_sampler`.
        start: The start of the training.
        sleeps: Whether the device's memory is the trainer's alone between two batches.

    Raises:
        UsageError: When it cannot sample for this training.
    """
    # Each is imported where it is chosen: they need torch, vLLM or httpx.
    chosen = read_sampler(sampler)
    # A policy must be shown prompts as the trainer encodes them, unless the user asked for others.
    if "template_arguments" not in chosen.set:
        told = replace(chosen.settings, template_arguments=start.template_arguments)
        chosen = replace(chosen, settings=told)
    if isinstance(chosen.settings, HFSettings):
        from o1coder_gym.agents.rl.sampling.hf import HFActor

        settings = chosen.settings
        if "max_rows" not in chosen.set:
            settings = replace(settings, max_rows=start.rows)
        return HFActor(start.model, start.tokenizer, start.step_format, settings, dtype=start.dtype)
    if isinstance(chosen.settings, VLLMSettings):
        from o1coder_gym.agents.rl.sampling.vllm import make_vllm_actor

        return make_vllm_actor(start, chosen, sleeps=sleeps)
    from o1coder_gym.agents.rl.sampling.servers import ServersActor

    return ServersActor(chosen.urls, chosen.settings, start)


def check_sampler(sampler: str) -> None:
    """Checks, before a run folder exists, that a sampler is available to all ranks.

    Raises:
        UsageError: When the spec makes no sense, or as by `check_shared`.
        MissingExtraError: When a package is not installed.
        PolicyError: When a server does not answer, or takes no weights.
    """
    chosen = read_sampler(sampler)
    check_shared(chosen, ranks.count())
    if isinstance(chosen.settings, VLLMSettings):
        require("vllm", "vllm")
    if isinstance(chosen.settings, ServerSettings):
        from o1coder_gym.agents.rl.sampling.servers import check_servers

        check_servers(chosen.urls, chosen.settings)
