"""Agents by name: ``load_agent("mcts:width=4,c=1.4,evaluate=scored,select=codet")``."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from importlib.metadata import entry_points
from typing import Any

from o1coder_gym.agents.ab_mcts import ab_mcts
from o1coder_gym.agents.answers import choosing, choosing_by_scorer
from o1coder_gym.agents.beam import beam, by_likelihood, by_scorer
from o1coder_gym.agents.best_of_n import best_of_n, best_of_n_random
from o1coder_gym.agents.diverse_beam import diverse_beam
from o1coder_gym.agents.greedy import greedy
from o1coder_gym.agents.leaf_values import Evaluate, mixed, rollout, scored
from o1coder_gym.agents.mcts import mcts
from o1coder_gym.agents.priors import by_count, by_logprob, by_score
from o1coder_gym.agents.puct import puct
from o1coder_gym.agents.selection import puct as select_by_puct
from o1coder_gym.agents.selection import uct, uct_virtual_loss
from o1coder_gym.agents.self_repair import self_repair
from o1coder_gym.agents.step_scores import AGGREGATES, Aggregate, by_path_scores, scored_path
from o1coder_gym.agents.widening import all_at_once, progressive
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.queries import Agent
from o1coder_gym.tcg.selection import SCORES, Score
from o1coder_gym.types import Problem, Sampling, State

ENTRY_POINTS = "o1coder_gym.agents"
"""Group of entry points under which packages offer agents of their own."""

AGENTS: Mapping[str, Callable[..., Any]] = {
    "greedy": greedy,
    "best_of_n": best_of_n,
    "best_of_n_random": best_of_n_random,
    "beam": beam,
    "diverse_beam": diverse_beam,
    "mcts": mcts,
    "puct": puct,
    "ab_mcts": ab_mcts,
    "self_repair": self_repair,
}
"""The agents of this project by name."""

_OTHERS = ("min", "product", "mean")
_PATH_VALUES: Mapping[str, Evaluate] = {
    name: partial(scored_path, aggregate=AGGREGATES[name]) for name in _OTHERS
}

STRATEGIES: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "select": {"uct": uct, "uct_virtual_loss": uct_virtual_loss, "puct": select_by_puct},
    "evaluate": {
        "rollout": rollout,
        "scored": scored,
        "mixed": mixed,
        **{f"scored_{name}": value for name, value in _PATH_VALUES.items()},
        **{f"mixed_{name}": partial(mixed, estimate=value) for name, value in _PATH_VALUES.items()},
    },
    "widening": {"all_at_once": all_at_once, "progressive": progressive},
    "prior": {"by_logprob": by_logprob, "by_count": by_count, "by_score": by_score},
    "rank": {
        "by_likelihood": by_likelihood,
        "by_scorer": by_scorer,
        **{f"by_scorer_{name}": partial(by_path_scores, aggregate=AGGREGATES[name]) for name in _OTHERS},
    },
}
"""What a spec may say for the arguments that are functions."""

SELECTORS: Mapping[str, Score] = {f"select={name}": score for name, score in SCORES.items()}
"""What a spec may say, of any agent, about its answer."""

SCORER_SELECTORS: Mapping[str, Aggregate] = {
    f"select=prm_{name}": aggregate for name, aggregate in AGGREGATES.items()
}
"""What a spec may say, of any agent, about its answer, where the step scorer is to choose it."""

_SAMPLING = frozenset(field.name for field in fields(Sampling))


def load_agent(spec: str) -> Agent:
    """Returns the agent that a spec names, with its arguments bound.

    Args:
        spec: ``NAME`` or ``NAME:key=value,…``. Keys are the agent's keyword arguments, and the fields
            of `Sampling` (``temperature``, ``top_p``, ``top_k``, ``max_tokens``) for agents that sample.
            ``select=`` and a selector (`tcg.selection.SCORES`) says, for any agent, which of the programs
            found is the answer; a second one breaks ties. ``select=prm_last`` (``prm_min``, ``prm_product``,
            ``prm_mean``) lets the step scorer choose, after the selectors given. A tree search's own
            ``select=uct`` says which way down it takes, and may stand beside it.

    Raises:
        UnknownNameError: When there is no such agent or strategy.
        UsageError: When an argument is unknown, malformed or out of range.
    """
    name, _, rest = spec.partition(":")
    agent = _find(name)
    items = [item for item in rest.split(",") if item]
    selectors = [item for item in items if item in SELECTORS or item in SCORER_SELECTORS]
    arguments = _arguments(name, agent, [item for item in items if item not in selectors])
    bound: Agent = partial(agent, **arguments) if arguments else agent
    scores = [SELECTORS[item] for item in selectors if item in SELECTORS]
    if aggregates := [SCORER_SELECTORS[item] for item in selectors if item in SCORER_SELECTORS]:
        bound = choosing_by_scorer(bound, aggregates[0], *scores)
    elif scores:
        bound = choosing(bound, *scores)
    _try(spec, bound)
    return bound


def _find(name: str) -> Callable[..., Any]:
    if name in AGENTS:
        return AGENTS[name]
    offered = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in offered:
        raise UnknownNameError("agent", name, [*AGENTS, *offered])
    return offered[name].load()


def _arguments(name: str, agent: Callable[..., Any], items: Sequence[str]) -> dict[str, Any]:
    parameters = {
        key: parameter
        for key, parameter in inspect.signature(agent).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    arguments: dict[str, Any] = {}
    sampling: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"agent {name}: expected key=value, got {item!r}")
        if key in parameters and key != "sampling":
            arguments[key] = _read(f"agent {name}: {key}", key, value, parameters[key].default)
        elif key in _SAMPLING and "sampling" in parameters:
            sampling[key] = _read(f"agent {name}: {key}", key, value, getattr(Sampling(), key))
        elif key == "select":
            raise UnknownNameError("selector", value, [*SCORES, *(f"prm_{name}" for name in AGGREGATES)])
        else:
            known = ", ".join(sorted({*parameters} - {"sampling", "tree"}))
            raise UsageError(f"agent {name}: unknown argument {key!r}; known: {known}")
    if sampling:
        arguments["sampling"] = Sampling(**sampling)
    return arguments


def _read(where: str, key: str, text: str, default: Any) -> Any:
    """Reads a value of the type of the default."""
    if key in STRATEGIES:
        if text not in STRATEGIES[key]:
            raise UnknownNameError(key, text, STRATEGIES[key])
        return STRATEGIES[key][text]
    if isinstance(default, bool):
        if text not in ("true", "false"):
            raise UsageError(f"{where} must be true or false, got {text!r}")
        return text == "true"
    if isinstance(default, str):
        return text
    if not isinstance(default, int | float):
        raise UsageError(f"{where} cannot be given in a spec")
    try:
        number = type(default)(text)
    except ValueError as error:
        raise UsageError(f"{where} must be {_KINDS[type(default)]}, got {text!r}") from error
    if not 0 <= number < math.inf:
        raise UsageError(f"{where} must be at least 0 and finite, got {text}")
    return number


_KINDS = {int: "a whole number", float: "a number"}


def _try(spec: str, agent: Agent) -> None:
    """Starts the agent on an empty problem, so that arguments out of range are told at once."""
    try:
        search = agent(Problem("", ""), State(""))
        next(search)
        search.close()
    except StopIteration:
        return
    except UsageError as error:
        raise UsageError(f"agent {spec}: {error}") from error
