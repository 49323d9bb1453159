"""The offer of an endpoint: agents under the names of models, and the desk that runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from o1coder_gym.agents import load_agent
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.experiments.serving.desk import Desk
from o1coder_gym.experiments.tools import acting_agents, acting_policies
from o1coder_gym.policies import load_policy
from o1coder_gym.policies.loading import policy_spec, prepare
from o1coder_gym.prm import load_scorer
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import Problem
from o1coder_gym.types.protocols import Policy
from o1coder_gym.types.queries import Agent


@dataclass(frozen=True, slots=True)
class Service:
    """Agents that are ready for requests.

    Attributes:
        desk: Runs the searches; whoever opened the service closes it.
        agents: By the names of the models.
        policies: Of the agents that bring their own, by the same names.
    """

    desk: Desk
    agents: Mapping[str, Agent]
    policies: Mapping[str, Policy]


def open_service(
    agents: Sequence[str],
    policy: str,
    *,
    format: str,
    max_steps: int,
    scorer: str | None,
    live: int,
    waiting: int,
) -> Service:
    """Loads what searches need, and opens a desk for them.

    Args:
        agents: Agent specs.
        policy: Policy spec of those that bring none.
        format: Step format.
        max_steps: Reasoning steps per question, ≥ 1.
        scorer: Step scorer spec; None takes the heuristic one.
        live: Searches at the same time, ≥ 1.
        waiting: Searches that may wait beside them, ≥ 0.

    Raises:
        O1CoderError: When something cannot be loaded; the message says what.
    """
    found, acting = offered(agents, policy), acting_agents(agents)
    proposer = load_policy(policy, format=format)
    if len(acting) < len(agents):
        prepare(proposer)
    model = ReasoningModel(
        [Problem("", "?")], default_judge(), format=load_format(format), max_steps=max_steps
    )
    desk = Desk(model, proposer, load_scorer(scorer or "heuristic"), live=live, waiting=waiting)
    own = acting_policies(acting, desk.questions)
    named = names(agents, policy).items()
    return Service(desk, found, {name: own[spec] for name, spec in named if spec in own})


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
