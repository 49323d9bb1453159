"""`o1coder serve`: agents as the models of an OpenAI-compatible endpoint."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from typing import Annotated

from o1coder_gym.cli.commands import command
from o1coder_gym.errors import MissingExtraError
from o1coder_gym.experiments.serving.offers import open_service
from o1coder_gym.runs.progress import notes
from o1coder_gym.settings import AtLeastOne, Checked, Count, Flag, NonNegative, Range
from o1coder_gym.settings.groups import DEFAULT_POLICY, PolicySpec, StepSettings

KEY = "O1CODER_API_KEY"
"""Environment variable with the key that clients must send; without it everyone is let in."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def allow_connections() -> None:
    """Lets this process hold as many connections as it may: each is a file, and the usual limit is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSettings(Checked):
    """Endpoint.

    Attributes:
        host: Address to listen at.
        port: Port; 0 takes a free one.
        tokens: Generated tokens per completion, the default and the most.
        seconds: Most seconds per completion.
        most_n: Most completions per request.
        live: Searches at the same time.
        waiting: Searches that may wait; more get 429.
        origins: Origin of web pages that may send requests (CORS), e.g. https://chat.example; * for all; may
            be repeated.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Range(0, 65535)] = 8080
    tokens: AtLeastOne = 4096
    seconds: NonNegative | None = None
    most_n: AtLeastOne = 8
    live: AtLeastOne = 64
    waiting: Count = 256
    origins: Annotated[tuple[str, ...], Flag("--origin")] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings(Checked):
    """What is offered.

    Attributes:
        agents: An agent to offer, e.g. mcts?c=1.4; may be repeated.
    """

    agents: Annotated[tuple[str, ...], Flag("--agent")] = ("greedy", "best_of_n", "mcts")
    policy: PolicySpec = DEFAULT_POLICY
    steps: StepSettings = StepSettings()
    endpoint: EndpointSettings = EndpointSettings()


def serve(settings: ServeSettings) -> None:
    """Serve agents to any OpenAI client, with their reasoning streamed.

    A model is called AGENT:POLICY, e.g. mcts:qwen2.5-coder-0.5b. Set O1CODER_API_KEY to ask for a key.
    """
    try:
        import uvicorn

        from o1coder_gym.experiments.serving.app import Bounds, make_app
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error
    console, steps, endpoint = notes(), settings.steps, settings.endpoint
    with console.status(f"loading {settings.policy}"):
        service = open_service(
            settings.agents,
            settings.policy,
            format=steps.format,
            max_steps=steps.max_steps,
            scorer=steps.scorer,
            live=endpoint.live,
            waiting=endpoint.waiting,
        )
    bounds = Bounds(tokens=endpoint.tokens, n=endpoint.most_n, seconds=endpoint.seconds)
    served = make_app(
        service.desk,
        service.agents,
        bounds,
        policies=service.policies,
        key=os.environ.get(KEY),
        origins=endpoint.origins,
    )
    console.print(f"models: {', '.join(service.agents)}", markup=False, soft_wrap=True)
    if endpoint.host not in LOOPBACK:
        console.print(
            "listening beyond this machine: the sandbox is made for programs of models, not of strangers"
        )
    allow_connections()
    try:
        uvicorn.run(
            served, host=endpoint.host, port=endpoint.port, log_level="info", timeout_graceful_shutdown=5
        )
    finally:
        service.desk.close()


app = command(ServeSettings, serve, name="serve")
