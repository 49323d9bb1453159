"""Agents by name: ``load_agent("mcts?width=4&c=1.4&evaluate=scored&select=codet")``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from functools import partial
from typing import Any

from o1coder_gym.agents.beam import by_likelihood, by_scorer
from o1coder_gym.agents.choosing import choosing, choosing_by_scorer
from o1coder_gym.agents.choosing.adversary import ADVERSARIES, Adversary, against
from o1coder_gym.agents.search.expansion import all_at_once, growing, progressive
from o1coder_gym.agents.search.leaf_values import (
    AGGREGATES,
    Aggregate,
    Evaluate,
    by_path_scores,
    mixed,
    rollout,
    scored,
    scored_path,
)
from o1coder_gym.agents.search.priors import by_count, by_logprob, by_score
from o1coder_gym.agents.search.selection import puct as select_by_puct
from o1coder_gym.agents.search.selection import uct, uct_virtual_loss
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.specs import Spec, parse, registry
from o1coder_gym.specs.own_code import is_place
from o1coder_gym.specs.parameters import Hints, Range
from o1coder_gym.tcg.checking.selection import SCORES, Score
from o1coder_gym.types import Problem, State
from o1coder_gym.types.queries import Agent, Search

AGENTS: MutableMapping[str, Callable[..., Any]] = registry.BuiltIn("agent")
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
    "widening": {"all_at_once": all_at_once, "progressive": progressive, "growing": growing},
    "prior": {"by_logprob": by_logprob, "by_count": by_count, "by_score": by_score},
    "rank": {
        "by_likelihood": by_likelihood,
        "by_scorer": by_scorer,
        **{f"by_scorer_{name}": partial(by_path_scores, aggregate=AGGREGATES[name]) for name in _OTHERS},
    },
}
"""What a spec may say for the arguments that are functions."""

HINTS = Hints(
    names=STRATEGIES,
    ranges={
        "temperature": Range(0),
        "top_p": Range(0, 1, above=True),
        "top_k": Range(0),
        "max_tokens": Range(1),
    },
)
"""What the signatures of agents do not say: the names of strategies, and the ranges of `Sampling`."""

SCORER_SELECTORS: Mapping[str, Aggregate] = {
    f"prm_{name}": aggregate for name, aggregate in AGGREGATES.items()
}
"""What ``select=`` may say, of any agent, beside `SCORES`: the step scorer chooses the answer."""


def load_agent(spec: str) -> Agent:
    """Returns the agent that a spec names, with its arguments bound. Nothing of the agent runs.

    Args:
        spec: ``NAME`` or ``NAME?key=value&…``; ``NAME:key=value,…`` is read too; NAME may be that of your own
            function, ``FILE.py:NAME`` or ``package.module:NAME``. Keys are the agent's
            keyword arguments, and the fields of `Sampling` (``temperature``, ``top_p``, ``top_k``,
            ``max_tokens``) for agents that sample. ``select=`` and a selector
            (`tcg.checking.selection.SCORES`) says, for any agent, which of the programs found is the answer;
            a second one breaks ties, and ``select=["public","codet"]`` is both. ``select=prm_last``
            (``prm_min``, ``prm_product``, ``prm_mean``) lets the step scorer choose, after the
            selectors given. ``adversary=mutation`` (``policy``, ``both``) puts a second player beside any
            agent: it looks for inputs on which programs part that pass all tests, and decides among them,
            after the selectors given; with ``select=prm_last`` the step scorer weighs its votes.
            A tree search's own ``select=uct`` says which way down it takes.
            Both may stand in one spec.

    Raises:
        UnknownNameError: When there is no such agent, argument or strategy.
        UsageError: When an argument is malformed, missing or out of range.
        PluginError: When the package that the agent comes from does not work.
    """
    asked = agent_spec(spec)
    scores: list[Score] = []
    aggregates: list[Aggregate] = []
    adversaries: list[Adversary] = []
    arguments: list[tuple[str, str]] = []
    for key, value in _single_selectors(asked):
        if key == "adversary":
            adversaries.append(_adversary(value, spec))
            continue
        if key == "select" and value in SCORES:
            scores.append(SCORES[value])
        elif key == "select" and value in SCORER_SELECTORS:
            aggregates.append(SCORER_SELECTORS[value])
        else:
            arguments.append((key, value))
    # `select=` is a selector of any agent or an argument of tree searches; what is neither is refused here.
    _check_selectors(asked, arguments, spec)
    bound: Agent = registry.bound("agent", replace(asked, arguments=tuple(arguments)), spec)
    if adversaries:
        return against(bound, adversaries[0], *scores, aggregate=next(iter(aggregates), None))
    if aggregates:
        return choosing_by_scorer(bound, aggregates[0], *scores)
    return choosing(bound, *scores) if scores else bound


def agent_spec(text: str) -> Spec:
    """Reads the spec of an agent, also one such as ``mcts:width=4,c=1.4``.

    Raises:
        UsageError: When an argument is not ``key=value``.
    """
    name, _, rest = text.partition(":")
    if ":" not in text.partition("?")[0] or is_place(text):
        return parse(text)
    arguments: dict[str, str] = {}
    selectors: list[tuple[str, str]] = []
    for item in filter(None, rest.split(",")):
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise UsageError(f"agent {text}: expected key=value, got {item!r}")
        if key == "select":
            selectors.append((key, value))
        else:
            arguments[key] = value
    return Spec(name, None, (*arguments.items(), *selectors))


def choice_ppo(problem: Problem, root: State, *, path: str) -> Search:
    """Follows a chooser that PPO trained to take one of K proposals.

    Args:
        problem: The question.
        root: Where to start.
        path: Folder written by: o1coder rl choice.

    Returns:
        The program at the end; when the budget ends the search, the best one on offer so far.
    """
    from o1coder_gym.agents.rl.choice_ppo import choice_ppo as search

    return (yield from search(problem, root, path=path))


def _single_selectors(spec: Spec) -> Iterator[tuple[str, str]]:
    """Yields the arguments, a list of selectors one by one."""
    for key, value in spec.arguments:
        if key == "select" and value.startswith("["):
            try:
                yield from ((key, str(name)) for name in json.loads(value))
            except ValueError as error:
                raise UsageError(f"agent {spec}: select is not a JSON list: {value}") from error
        else:
            yield key, value


def _adversary(name: str, shown: str) -> Adversary:
    if name not in ADVERSARIES:
        raise UnknownNameError("adversary", name, ADVERSARIES, where=f"agent {shown}: ")
    return ADVERSARIES[name]


def _check_selectors(asked: Spec, arguments: list[tuple[str, str]], shown: str) -> None:
    """Refuses a `select` that is neither a selector nor an argument of the agent itself."""
    value = dict(arguments).get("select")
    if value is None:
        return
    where = f"agent {shown}: "
    if all(one.name != "select" for one in registry.entry_of("agent", asked, shown)[0].parameters()):
        raise UnknownNameError("selector", value, [*SCORES, *SCORER_SELECTORS], where=where)
