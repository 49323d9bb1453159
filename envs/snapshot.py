"""Saving, restoring and forking through wrappers, for which Gymnasium has no call.

`get_state(env)` is a value that holds the environment's own state and that of every wrapper around it
(TimeLimit's and RecordEpisodeStatistics' counters); `set_state` puts both back; `fork` gives an independent
copy. Single and vector environments, ours or any with `get_state` and `set_state` of their own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import gymnasium
from gymnasium.vector import SyncVectorEnv, VectorEnv, VectorWrapper

from o1coder_gym.errors import UsageError

AnyEnv = TypeVar("AnyEnv", gymnasium.Env[Any, Any], VectorEnv[Any, Any, Any])


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A saved stack of wrappers; a value, though its parts are not meant to be read.

    Attributes:
        layers: Class name and attributes of each wrapper, outermost first.
        core: State of the environment inside: its own, or a snapshot per environment of a `SyncVectorEnv`.
    """

    layers: tuple[tuple[str, dict[str, Any]], ...]
    core: Any


def get_state(env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> Snapshot:
    """Returns the state of an environment and of all wrappers around it.

    Raises:
        UsageError: When the environment inside has no `get_state`.
    """
    layers = tuple((type(layer).__name__, _attributes(layer)) for layer in _wrappers(env))
    core: Any = env.unwrapped
    if isinstance(core, SyncVectorEnv):
        own = (type(core).__name__, _attributes(core))
        return Snapshot((*layers, own), tuple(get_state(each) for each in core.envs))
    if not hasattr(core, "get_state"):
        raise UsageError(f"{type(core).__name__} has no get_state")
    return Snapshot(layers, core.get_state())


def set_state(env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any], state: Snapshot) -> None:
    """Restores what `get_state` returned for an environment with the same wrappers.

    Raises:
        UsageError: When the wrappers differ.
    """
    core: Any = env.unwrapped
    stack: list[Any] = list(_wrappers(env))
    if isinstance(core, SyncVectorEnv):
        stack.append(core)
    names = [type(layer).__name__ for layer in stack]
    saved = [name for name, _ in state.layers]
    if names != saved:
        raise UsageError(f"the state of {saved or 'a bare environment'} does not fit {names or 'a bare one'}")
    # The environment last: wrappers hold plain counters, the core restores itself.
    for layer, (_, attributes) in zip(stack, state.layers, strict=True):
        # Attributes that the wrapper got after the snapshot must go, or a restored state would differ.
        for name in set(vars(layer)) - set(attributes) - _LINKS:
            delattr(layer, name)
        vars(layer).update(copy.deepcopy(attributes))
    if isinstance(core, SyncVectorEnv):
        for each, one in zip(core.envs, state.core, strict=True):
            set_state(each, one)
    else:
        core.set_state(state.core)


def fork(env: AnyEnv) -> AnyEnv:
    """Returns an independent copy of an environment with all its wrappers; heavy handles are shared."""
    return copy.deepcopy(env)


_LINKS = {"env", "envs"}
"""Attributes that lead to the next layer; they are walked, not copied."""


def _attributes(layer: Any) -> dict[str, Any]:
    return copy.deepcopy({name: value for name, value in vars(layer).items() if name not in _LINKS})


def _wrappers(env: Any) -> Iterator[Any]:
    while isinstance(env, gymnasium.Wrapper | VectorWrapper):
        yield env
        env = env.env
