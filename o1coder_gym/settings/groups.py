"""Groups of settings that several commands share: called and explained the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from o1coder_gym.parameters import AtLeastOne, Count, NonNegative
from o1coder_gym.settings.fields import Checked, Flag

DEFAULT_POLICY = "hf:qwen2.5-coder-0.5b"

AsJson: TypeAlias = Annotated[bool, Flag("--json")]
Dtype: TypeAlias = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings(Checked):
    """Output.

    Attributes:
        as_json: Print JSON on standard output.
    """

    as_json: AsJson = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings(Checked):
    """Run folder.

    Attributes:
        out: Run folder.
        resume: Go on with the run in --out; nothing paid for is paid again.
        as_json: Print JSON on standard output.
    """

    out: Path | None = None
    resume: bool = False
    as_json: AsJson = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRun(Checked):
    """Run folder.

    Attributes:
        out: Run folder: checkpoints, logs, and the model.
        as_json: Print JSON on standard output.
    """

    out: Path
    as_json: AsJson = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun(FitRun):
    """Run folder.

    Attributes:
        resume: Go on with the run in --out; nothing paid for is paid again.
    """

    resume: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemSettings(Checked):
    """Problem set.

    Attributes:
        problems: Name or path of a problem set.
        split: Split of the set, e.g. test.
        limit: First N problems only.
    """

    problems: str = "starter"
    split: str | None = None
    limit: AtLeastOne | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSettings(Checked):
    """Budget per problem.

    Attributes:
        tokens: Generated tokens, or none.
        calls: Sampled steps, or none.
        executions: Judged programs, or none.
        seconds: Wall-clock seconds, or none.
    """

    tokens: Count | None = None
    calls: Count | None = None
    executions: Count | None = None
    seconds: NonNegative | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettings(Checked):
    """Steps.

    Attributes:
        format: Step format: pseudocode or vanilla.
        max_steps: Steps per episode.
        scorer: Step scorer (PRM) of agents that ask for one: heuristic (default), prm:FOLDER, …
    """

    format: str = "pseudocode"
    max_steps: AtLeastOne = 8
    scorer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedTests(Checked):
    """Generated tests.

    Attributes:
        generator: Makes tests beside the public ones: mutation, hf:NAME, …
        tests: Tests it makes per problem; 0: none.
    """

    generator: str = "mutation"
    tests: Count = 16
