"""Groups of settings that several commands share: called and explained the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from o1coder_gym.settings.fields import Checked, Flag
from o1coder_gym.specs.parameters import AtLeastOne, Count, Meaning, NonNegative

DEFAULT_POLICY = "hf:qwen2.5-coder-0.5b"

AsJson: TypeAlias = Annotated[bool, Flag("--json"), Meaning("Print JSON on standard output.")]
DataFolder: TypeAlias = Annotated[Path, Meaning("Folder made by o1coder synthesize.")]
Dtype: TypeAlias = Literal["auto", "float32", "bfloat16"]
ExecutorSpec: TypeAlias = Annotated[
    str,
    Meaning(
        "Where it runs: serial, processes:N, ray:N, ray:ADDRESS?cpus=2&gpus=1 (o1coder list executors); "
        "same rows."
    ),
]
FirstN: TypeAlias = Annotated[AtLeastOne | None, Meaning("First N problems only.")]
MaxSteps: TypeAlias = Annotated[AtLeastOne, Meaning("Steps per episode.")]
ModelName: TypeAlias = Annotated[str, Meaning("Known name, Hub id or folder.")]
PolicySpec: TypeAlias = Annotated[
    str, Meaning("What proposes steps: hf:NAME, scripted:FILE, … (o1coder list policies)")
]
SetName: TypeAlias = Annotated[str, Meaning("Name or path of a problem set.")]
PushToHub: TypeAlias = Annotated[str | None, Meaning("Repository to push the model to.")]
Resume: TypeAlias = Annotated[bool, Meaning("Continue the run in --out, reusing all that it has computed.")]
ScorerSpec: TypeAlias = Annotated[
    str | None,
    Meaning("Step scorer (PRM) for agents that use one: heuristic (default), prm:FOLDER, …"),
]
Seed: TypeAlias = Annotated[int, Meaning("Seed of the run.")]
SkipBad: TypeAlias = Annotated[
    bool, Meaning("Count and report malformed rows instead of stopping at the first.")
]
Split: TypeAlias = Annotated[str | None, Meaning("Split of the set, e.g. test.")]
TemplateArguments: TypeAlias = Annotated[
    Mapping[str, Any] | None,
    Meaning("Variables of the chat template, a JSON object; the trained model's template keeps them."),
]
FormatName: TypeAlias = Annotated[str, Meaning("Step format: pseudocode, functions or vanilla.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings(Checked):
    """Output."""

    as_json: AsJson = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLines(Checked):
    """Output.

    Attributes:
        as_json: Accepted as by all commands; this one always prints JSON lines.
    """

    as_json: Annotated[bool, Flag("--json")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings(Checked):
    """Run folder.

    Attributes:
        out: Run folder.
    """

    out: Path | None = None
    resume: Resume = False
    as_json: AsJson = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutFolder(Checked):
    """Run folder.

    Attributes:
        out: Folder of what is made: rows, checkpoints, logs, the model.
    """

    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRun(OutFolder):
    """Run folder."""

    as_json: AsJson = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun(FitRun):
    """Run folder."""

    resume: Resume = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemSettings(Checked):
    """Problem set."""

    problems: SetName = "starter"
    split: Split = None
    limit: FirstN = None


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
    """Steps."""

    format: FormatName = "pseudocode"
    max_steps: MaxSteps = 8
    scorer: ScorerSpec = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedTests(Checked):
    """Generated tests.

    Attributes:
        generator: Makes tests in addition to the public ones: mutation, hf:NAME, …
        tests: Tests it makes per problem; 0: none.
    """

    generator: str = "mutation"
    tests: Count = 16
