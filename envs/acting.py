"""Acting agents under a driver: an agent that plays the environment, wrapped as a policy of single steps.

So it is metered, journaled, judged on hidden tests and compared at equal budgets like any search. Its
search, `agents.acting`, takes one chain of its steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from o1coder_gym.envs.interactions.interaction import Cursor, FirstTerms, base_info
from o1coder_gym.envs.interactions.text import messages, observation
from o1coder_gym.errors import PolicyError
from o1coder_gym.steps.formats import StepFormat
from o1coder_gym.types import ActionType, PolicyRequest, Problem, Proposal, State
from o1coder_gym.types.protocols import LONGEST_ACTION, ActingAgent

_KEPT = 1024
"""Agents that are kept, for the problems of a server never end. A problem that comes again gets a new one,
which does the same: `act` depends on its arguments alone."""


class Process(FirstTerms, Protocol):
    """What an acting agent is shown comes from; a `ReasoningModel` is one."""

    @property
    def format(self) -> StepFormat:
        """The step format."""
        ...

    def problem(self, task_id: str, /) -> Problem:
        """Returns the problem of this name."""
        ...


class ActingPolicy:
    """An acting agent as a policy (implements `protocols.Policy`)."""

    def __init__(self, make: Callable[[], ActingAgent], model: Process) -> None:
        """Makes an agent for each problem, when its first action is asked for.

        Args:
            make: Makes one, e.g. its class.
            model: The process that it acts in.
        """
        self._make = make
        self._model = model
        self._agents: dict[str, ActingAgent] = {}

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        """Asks for one action per sample; one that costs more tokens than granted has ``finish="length"``.

        Raises:
            PolicyError: When the agent fails, returns no text, or does not count what a budget limits.
        """
        return [tuple(self._act(request) for _ in range(request.n)) for request in requests]

    def _act(self, request: PolicyRequest) -> Proposal:
        name, most = request.problem.task_id, request.sampling.max_tokens
        if name not in self._agents:
            if len(self._agents) >= _KEPT:
                del self._agents[next(iter(self._agents))]
            self._agents[name] = self._make()
        agent = self._agents[name]
        # Counted by difference: the agent keeps one total, and only a budget of tokens needs it.
        before = _tokens_of(agent, needed=most < LONGEST_ACTION)
        action = agent.act(*self._seen(request.state))
        if not isinstance(action, str):
            raise PolicyError(f"{name}: act returned a {type(action).__name__}, not the text of a step")
        cost = _tokens_of(agent, needed=False) - before
        if cost < 0:
            raise PolicyError(f"{name}: the agent's count of tokens fell from {before} by {-cost}")
        return Proposal(action, min(cost, most), finish="length" if cost > most else "stop")

    def _seen(self, state: State) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns observation and info of the environment in this state."""
        model = self._model
        last = state.steps[-1] if state.steps else None
        malformed = last is not None and last.type is ActionType.MALFORMED
        feedback = model.format.complaint(last.text) if malformed and last is not None else ""
        problem = model.problem(state.problem_id)
        shown = {"feedback": feedback, "messages": messages(problem, model.format, state)}
        return observation(problem, model.format, state, feedback), base_info(model, Cursor(state)) | shown


def _tokens_of(agent: ActingAgent, *, needed: bool) -> int:
    count = getattr(agent, "tokens", None)
    if count is None and needed:
        raise PolicyError(
            f"{type(agent).__name__} has no attribute tokens, so a token budget cannot be enforced; "
            "count them, or give a budget of calls, executions or seconds"
        )
    return int(count or 0)
