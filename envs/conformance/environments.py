"""The part of the conformance kit that checks environments."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import data_equivalence

from o1coder_gym.envs import snapshot
from o1coder_gym.envs.conformance.clauses import broken, require, require_nothing_hidden
from o1coder_gym.envs.interactions.text import UnicodeText
from o1coder_gym.errors import UsageError
from o1coder_gym.types import Outcome

Env = gymnasium.Env[Any, Any]

INFO_KEYS = frozenset({"task_id", "is_success", "outcome", "passed", "total", "pass_ratio"}) | frozenset(
    {"tests", "feedback", "prm", "reward_terms", "tokens"}
)

TEXT_ACTIONS = (
    "### Step 1 (define)\nreturn the input\n",
    "no step at all",
    "### Step 3 (refine)\n```python\npass\n```\n",
    "### Step 4 (code)\n```python\ndef solve(*values):\n    return values\n```\n",
)
"""What is done in environments that take text: all types of action and a malformed one."""

CLOCKS = frozenset({"episode"})
"""Info keys of Gymnasium's wrappers that hold wall-clock times."""

RESTARTS = 16
"""Resets whose problems are compared: of two problems, all draws agree by chance once in 65,536."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one call returned; `reward` and ends are None for a reset."""

    observation: Any
    info: dict[str, Any]
    reward: Any = None
    terminated: bool = False
    truncated: bool = False


def check_environment(
    make: Callable[[], Env],
    *,
    actions: Sequence[Any] | None = None,
    reward_range: tuple[float, float] = (-1.0, 1.0),
    hidden: Sequence[str] = (),
    steps: int = 16,
) -> None:
    """Checks an environment, wrappers included.

    Args:
        make: Makes a new one whenever it is called.
        actions: The actions, in turn; None takes `TEXT_ACTIONS`, or samples of a numeric action space.
        reward_range: Bounds of a single reward.
        hidden: Texts that must not be reachable from the environment.
        steps: Steps taken; an episode that ends is followed by the next.

    Raises:
        ConformanceError: For the first clause that does not hold.
    """
    env = make()
    script = _script(env, actions, steps)
    records = _run(env, script, seed=0)
    _check_fresh(records)
    for record in records:
        _check_record(env, record, reward_range)
    # Another object with the same seed, then the same object again: hidden state shows in the second.
    require(_same(records, _run(make(), script, seed=0)), "env.seed", "two environments differ")
    require(_same(records, _run(env, script, seed=0)), "env.seed", "a second run of one environment differs")
    _check_clones(make(), script)
    require_nothing_hidden([env, *records], hidden)
    _check_close(env)


def _script(env: Env, actions: Sequence[Any] | None, steps: int) -> list[Any]:
    if actions is None and isinstance(env.action_space, UnicodeText):
        actions = TEXT_ACTIONS
    if actions is None:
        env.action_space.seed(0)
        return [env.action_space.sample() for _ in range(steps)]
    return list(itertools.islice(itertools.cycle(actions), steps))


def _run(env: Env, script: Sequence[Any], seed: int | None) -> list[Record]:
    """Resets with `seed` and takes the actions; an episode that ends is followed by a reset without one."""
    observation, info = env.reset(seed=seed)
    return [Record(observation, info), *_go_on(env, script)]


def _go_on(env: Env, script: Sequence[Any]) -> list[Record]:
    records = []
    for action in script:
        observation, reward, terminated, truncated, info = env.step(action)
        records.append(Record(observation, info, reward, bool(terminated), bool(truncated)))
        if terminated or truncated:
            observation, info = env.reset()
            records.append(Record(observation, info))
    return records


def _check_record(env: Env, record: Record, reward_range: tuple[float, float]) -> None:
    info = record.info
    require(record.observation in env.observation_space, "env.space", f"got {record.observation!r:.200}")
    missing = sorted(INFO_KEYS - set(info))
    require(not missing, "env.info", f"missing: {', '.join(missing)}")
    try:
        json.dumps({key: value for key, value in info.items() if key not in CLOCKS})
    except (TypeError, ValueError) as error:
        raise broken("env.json", str(error)) from error
    require(info["is_success"] is (info["outcome"] == Outcome.PASS.value), "env.success")
    require(record.terminated == bool(info["outcome"]), "env.end", f"outcome {info['outcome']!r}")
    if record.reward is not None:
        _check_reward(record.reward, info, reward_range)


def _check_reward(reward: Any, info: dict[str, Any], reward_range: tuple[float, float]) -> None:
    try:
        value = float(reward)
    except (TypeError, ValueError):
        raise broken("env.reward", f"got {reward!r}") from None
    failed = info["outcome"] == Outcome.INFRASTRUCTURE.value
    require(math.isnan(value) == failed, "env.reward", f"got {value} with outcome {info['outcome']!r}")
    low, high = reward_range
    require(failed or low <= value <= high, "env.reward", f"got {value}, expected {low} to {high}")


def _check_fresh(records: Sequence[Record]) -> None:
    # All pairs: a cached dict that comes back much later is shared as well.
    for one, other in itertools.combinations(records, 2):
        shared = _shares_data(one.observation, other.observation)
        require(not shared and not _shares_data(one.info, other.info), "env.fresh")


def _check_clones(env: Env, script: Sequence[Any]) -> None:
    """Forks, restores and continues in the middle of the script."""
    # In the middle of an episode, where a forgotten field would change what follows.
    half = len(script) // 2
    _run(env, script[:half], seed=1)
    try:
        state, twin = snapshot.get_state(env), snapshot.fork(env)
    except UsageError as error:
        raise broken("env.clone", str(error)) from error
    ahead = _go_on_and_restart(twin, script[half:])
    rest = _go_on_and_restart(env, script[half:])
    require(_same(ahead, rest), "env.parent", "the original and its clone part")
    snapshot.set_state(env, state)
    rest = _go_on_and_restart(env, script[half:])
    require(_same(ahead, rest), "env.clone", "a restored state parts from the original")


def _go_on_and_restart(env: Env, script: Sequence[Any]) -> list[Record]:
    # Dice that a state forgot show only where a problem is drawn; of few problems two draws often agree.
    return _go_on(env, script) + [Record(*env.reset()) for _ in range(RESTARTS)]


def _check_close(env: Env) -> None:
    env.close()
    try:
        env.close()
    except Exception as error:
        raise broken("env.close", repr(error)) from error


def _same(one: Sequence[Record], other: Sequence[Record]) -> bool:
    return data_equivalence(_comparable(one), _comparable(other), exact=True)


def _comparable(records: Sequence[Record]) -> list[Any]:
    return [
        [
            record.observation,
            _nan_by_name(record.reward),
            record.terminated,
            record.truncated,
            {key: _nan_by_name(value) for key, value in record.info.items() if key not in CLOCKS},
        ]
        for record in records
    ]


def _nan_by_name(value: Any) -> Any:
    """Returns a value of an info dict with NaN, which equals nothing, written out: unknown reward terms."""
    if isinstance(value, dict):
        return {key: _nan_by_name(inner) for key, inner in value.items()}
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def _shares_data(one: Any, other: Any) -> bool:
    """Whether two observations or infos share a dict, a list or an array, which a caller may change."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return bool(np.shares_memory(one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one is other or any(_shares_data(one[key], other[key]) for key in one.keys() & other.keys())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        same = one is other and isinstance(one, list)
        return same or any(itertools.starmap(_shares_data, zip(one, other, strict=False)))
    return False
