"""The settings of environments as strings and numbers, and the shared handles that those name.

Gymnasium copies an environment's arguments whenever its `spec` is read, and `spec.to_json` writes them
down. So they are plain values here, and what they name (problems, models, clients) is opened on first use
and shared by all environments of the process that are made before a file behind a name changes. What opens
them is imported on first use too, so that `import o1coder_gym` costs little more than `import gymnasium`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any

from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.rewards import RewardConstants, RewardFunction, load_reward
from o1coder_gym.runs.kept import OnDisk, on_disk
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import Submission, Tests, Verdict
from o1coder_gym.types.protocols import Policy, StepScorer

TESTS = ("public", "generated")
"""What a program may be run against: the public tests, or generated ones beside them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments that all environments share; see the environments for their meaning.

    Attributes:
        scorer: Names a step scorer, or is one; an object makes a spec that is no JSON.
    """

    problems: str = ""
    split: str | None = None
    format: str = "pseudocode"
    max_steps: int = 8
    reward: str = "outcome"
    alpha: float = 0.5
    gamma: float = 0.9
    alpha_compile: float = 0.0
    tau_pass: float = 1.0
    tau_fail: float = 0.0
    scorer: str | StepScorer | None = None
    tests: str = "public"
    generator: str = "mutation"
    # The named files when the settings were made: an environment goes on with what it plays, one that is made
    # after a change plays the new files. Kept by `replace`.
    _files: OnDisk | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises `UsageError` for every mistake that shows without opening anything."""
        if self._files is None:
            scorer = self.scorer if isinstance(self.scorer, str) else None
            generator = self.generator if self.tests == "generated" else None
            object.__setattr__(self, "_files", on_disk(str(self.problems), scorer, generator))
        if not self.problems:
            raise UsageError("problems= is needed: the name of a problem set or the path of a JSONL file")
        if self.max_steps < 1:
            raise UsageError(f"max_steps must be at least 1, got {self.max_steps}")
        if self.tests not in TESTS:
            raise UnknownNameError("tests", self.tests, TESTS)
        load_format(self.format)
        self.reward_function()

    def reward_function(self) -> RewardFunction:
        """Returns the reward of `reward` with the constants given."""
        constants = RewardConstants(self.alpha_compile, self.alpha, self.gamma, self.tau_pass, self.tau_fail)
        return load_reward(self.reward, constants)


def read_settings(arguments: Mapping[str, Any], *own: str) -> Settings:
    """Returns the settings among the arguments of an environment.

    Args:
        arguments: By name.
        own: Names of the arguments that the environment has beside the settings.

    Raises:
        UnknownNameError: When one is not an argument of the environment.
        UsageError: When a value makes no sense.
    """
    known = [one.name for one in fields(Settings) if not one.name.startswith("_")]
    for name in arguments:
        if name not in known:
            raise UnknownNameError("environment argument", name, (*known, *own, "render_mode"))
    return Settings(**arguments)


class SharedJudge:
    """The process-wide default judge as a value: pickles and copies, and starts with its first batch."""

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Verdict]:
        """Judges a batch with `default_judge()`."""
        from o1coder_gym.sandbox import default_judge

        return default_judge().evaluate(submissions)


@lru_cache(maxsize=128)
def shared_model(settings: Settings) -> ReasoningModel:
    """Returns the reasoning model of `settings`; equal settings share problems, scorer and caches."""
    return _shared_process(replace(settings, **_REWARD_DEFAULTS)).with_reward(settings.reward_function())


@lru_cache(maxsize=16)
def shared_policy(spec: str, format: str, files: OnDisk) -> Policy:
    """Returns the policy that `spec` names, one per process and what is `on_disk` for it."""
    from o1coder_gym.policies import load_policy

    return load_policy(spec, format=format)


_REWARD_DEFAULTS: dict[str, Any] = {
    one.name: one.default
    for one in fields(Settings)
    if one.name in ("reward", "alpha", "gamma", "alpha_compile", "tau_pass", "tau_fail")
}
"""Settings that differ in these only share a process."""


@lru_cache(maxsize=32)
def _shared_process(settings: Settings) -> ReasoningModel:
    from o1coder_gym.prm import load_scorer
    from o1coder_gym.problems.loading import load_problems

    scorer = settings.scorer or None
    return ReasoningModel(
        load_problems(settings.problems, split=settings.split),
        SharedJudge(),
        format=load_format(settings.format),
        max_steps=settings.max_steps,
        scorer=load_scorer(scorer) if isinstance(scorer, str) else scorer,
        tests=_generated(settings) if settings.tests == "generated" else None,
    )


def _generated(settings: Settings) -> Mapping[str, Tests]:
    from o1coder_gym.tcg.store import reference_tests

    return reference_tests(settings.problems, split=settings.split, generator=settings.generator)
