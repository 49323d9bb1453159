"""`o1coder serve`: agents as the models of an OpenAI-compatible endpoint."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from o1coder_gym.agents import load_agent
from o1coder_gym.cli.commands import command
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import MissingExtraError
from o1coder_gym.experiments.tools import acting_agents, acting_policies
from o1coder_gym.policies import load_policy
from o1coder_gym.policies.loading import policy_spec, prepare
from o1coder_gym.prm import load_scorer
from o1coder_gym.queries import Agent
from o1coder_gym.runs.progress import notes
from o1coder_gym.sandbox import default_judge
from o1coder_gym.settings import AtLeastOne, Checked, Count, Flag, NonNegative, Range
from o1coder_gym.settings.groups import DEFAULT_POLICY, PolicySpec, StepSettings
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import Problem

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
        origins: Web page that may ask from a browser (CORS), e.g. https://chat.example; * for all; may be
            repeated.
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
    """Offer agents to any OpenAI client: chat completions, the reasoning streamed.

    A model is called AGENT:POLICY, e.g. mcts:qwen2.5-coder-0.5b. Set O1CODER_API_KEY to ask for a key.
    """
    try:
        import uvicorn

        from o1coder_gym.cli.serving.app import Bounds, make_app
        from o1coder_gym.cli.serving.desk import Desk
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error
    console, steps, endpoint = notes(), settings.steps, settings.endpoint
    models, acting = offered(settings.agents, settings.policy), acting_agents(settings.agents)
    with console.status(f"loading {settings.policy}"):
        proposer = load_policy(settings.policy, format=steps.format)
        if len(acting) < len(settings.agents):
            prepare(proposer)
    model = ReasoningModel(
        [Problem("", "?")], default_judge(), format=load_format(steps.format), max_steps=steps.max_steps
    )
    scorer = load_scorer(steps.scorer or "heuristic")
    desk = Desk(model, proposer, scorer, live=endpoint.live, waiting=endpoint.waiting)
    bounds = Bounds(tokens=endpoint.tokens, n=endpoint.most_n, seconds=endpoint.seconds)
    own = acting_policies(acting, desk.questions)
    named = names(settings.agents, settings.policy)
    policies = {name: own[spec] for name, spec in named.items() if spec in own}
    served = make_app(
        desk, models, bounds, policies=policies, key=os.environ.get(KEY), origins=endpoint.origins
    )
    console.print(f"models: {', '.join(models)}", markup=False, soft_wrap=True)
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
        desk.close()


def offered(agents: Sequence[str], policy: str) -> Mapping[str, Agent]:
    """Returns the agents by the names of the models: ``AGENT:POLICY``, the policy in full and in short.

    Raises:
        UnknownNameError, UsageError: When there is no such agent, or it cannot be made so.
    """
    found = {spec: load_agent(spec) for spec in agents}
    return {name: found[spec] for name, spec in names(agents, policy).items()}


def names(agents: Sequence[str], policy: str) -> Mapping[str, str]:
    """Returns the specs of agents by the names of the models.

    A model that this project trained lies in a folder called model: the run's name stands before it.
    """
    asked = policy_spec(policy)
    model = dict(asked.arguments).get("model", asked.target or "")
    parts = [part for part in model.split("/") if part]
    short = "/".join(parts[-2:] if parts and parts[-1].startswith("model") else parts[-1:]) or policy
    return {f"{spec}:{called}": spec for called in (short, policy) for spec in agents}


app = command(ServeSettings, serve, name="serve")
