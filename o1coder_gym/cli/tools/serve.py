"""`o1coder serve`: agents as the models of an OpenAI-compatible endpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.console import Console

from o1coder_gym.agents import load_agent
from o1coder_gym.cli.options import DEFAULT_POLICY, FormatOption, MaxStepsOption, PolicyOption, ScorerOption
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import MissingExtraError
from o1coder_gym.policies import load_policy
from o1coder_gym.policies.loading import policy_spec
from o1coder_gym.prm import load_scorer
from o1coder_gym.queries import Agent
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import Problem

KEY = "O1CODER_API_KEY"
"""Environment variable with the key that clients must send; without it everyone is let in."""

DEFAULT_AGENTS = ["greedy", "best_of_n", "mcts"]
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    agent: Annotated[
        list[str], typer.Option("--agent", help="An agent to offer, e.g. mcts?width=4; may be repeated.")
    ] = DEFAULT_AGENTS,
    policy: PolicyOption = DEFAULT_POLICY,
    format: FormatOption = "pseudocode",
    scorer: ScorerOption = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
    tokens: Annotated[
        int,
        typer.Option("--tokens", min=1, help="Generated tokens per completion, the default and the most."),
    ] = 4096,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0, help="Most seconds per completion.")
    ] = None,
    most_n: Annotated[int, typer.Option("--most-n", min=1, help="Most completions per request.")] = 8,
    live: Annotated[int, typer.Option("--live", min=1, help="Searches at the same time.")] = 64,
    waiting: Annotated[
        int, typer.Option("--waiting", min=0, help="Searches that may wait; more get 429.")
    ] = 256,
    max_steps: MaxStepsOption = 8,
) -> None:
    """Offer agents to any OpenAI client: chat completions, the reasoning streamed.

    A model is called AGENT:POLICY, e.g. mcts:qwen2.5-coder-0.5b. Set O1CODER_API_KEY to ask for a key.
    """
    try:
        import uvicorn

        from o1coder_gym.cli.serving.app import Bounds, make_app
        from o1coder_gym.cli.serving.desk import Desk
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error
    console = Console(stderr=True)
    models = offered(agent, policy)
    with console.status(f"loading {policy}"):
        proposer = load_policy(policy, format=format)
    model = ReasoningModel(
        [Problem("", "?")], default_judge(), format=load_format(format), max_steps=max_steps
    )
    desk = Desk(model, proposer, load_scorer(scorer or "heuristic"), live=live, waiting=waiting)
    bounds = Bounds(tokens=tokens, n=most_n, seconds=seconds)
    app = make_app(desk, models, bounds, key=os.environ.get(KEY))
    console.print(f"models: {', '.join(models)}", markup=False, soft_wrap=True)
    if host not in LOOPBACK:
        console.print(
            "listening beyond this machine: the sandbox is made for programs of models, not of strangers"
        )
    try:
        uvicorn.run(app, host=host, port=port, log_level="info", timeout_graceful_shutdown=5)
    finally:
        desk.close()


def offered(agents: Sequence[str], policy: str) -> Mapping[str, Agent]:
    """Returns the agents by the names of the models: ``AGENT:POLICY``, the policy in full and in short.

    Raises:
        UnknownNameError, UsageError: When there is no such agent, or it cannot be made so.
    """
    found = {spec: load_agent(spec) for spec in agents}
    asked = policy_spec(policy)
    model = dict(asked.arguments).get("model", asked.target or "")
    short = model.rpartition("/")[2] or policy
    names = {f"{spec}:{short}": agent for spec, agent in found.items()}
    return names | {f"{spec}:{policy}": agent for spec, agent in found.items()}
