"""The configuration of a self-play run: a TOML file of sections, each with the settings of a stage."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from o1coder_gym.agents.rl.settings import DPOSettings, RLSettings
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.models.trainers import PRM_SETTINGS, TrainingSettings

Section = TypeVar("Section")

SFT = TrainingSettings(learning_rate=1e-4, epochs=2.0, lora_rank=16, max_length=2048)


@dataclass(frozen=True, slots=True)
class RunSection:
    """``[run]``.

    Attributes:
        model: Known name, Hub id or folder of the first policy.
        iterations: Turns of the loop at most.
        patience: Ends after so many iterations without a gain on validation; 0: never.
        format: Step format.
        max_steps: Steps per episode.
        max_tokens: Tokens per step.
        samples: Samples per held-out problem when a policy is measured.
        executor: Where searches run, see `runs.executors.load_executor`.
        dtype: Of the policy when it searches and is measured; float32 makes results independent of batching.
        seed: Of everything.
    """

    model: str
    iterations: int = 2
    patience: int = 0
    format: str = "pseudocode"
    max_steps: int = 8
    max_tokens: int = 384
    samples: int = 4
    executor: str = "serial"
    dtype: str = "auto"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ProblemSection:
    """``[problems]``.

    Attributes:
        set: Name or path of a problem set.
        train: Split to learn from.
        validation: Split that decides when to stop.
        test: Split that is measured at the start and at the end only.
        limit: First N of the training split; 0: all. Few of them are the few gold codes of the RFT variant.
        held_out_limit: First N of the validation and of the test split; 0: all.
    """

    set: str
    train: str = "train"
    validation: str = "validation"
    test: str = "test"
    limit: int = 0
    held_out_limit: int = 0


@dataclass(frozen=True, slots=True)
class SynthesisSection:
    """``[synthesis]``.

    Attributes:
        agent: Search agent.
        tokens: Budget per search; 0: none.
        generator: Makes tests beside the public ones: mutation, or a trained one.
        tests: Tests per problem, for search and RL; 0: none.
        problems: Training problems searched per iteration, the next ones each time; 0: all.
        scored: Whether searches after the first iteration have the PRM as their scorer.
        margin: Least difference of a pair's values.
        validation: Share of the problems whose rows are held out from training.
    """

    agent: str = "mcts:simulations=32,width=4"
    tokens: int = 4096
    generator: str = "mutation"
    tests: int = 16
    problems: int = 0
    scored: bool = False
    margin: float = 0.2
    validation: float = 0.1


@dataclass(frozen=True, slots=True)
class SelfPlayConfig:
    """A whole run; a stage that is None is skipped.

    Attributes:
        run: The loop.
        problems: What is learned from and measured on.
        synthesis: Search and data.
        sft: Settings of SFT on D⁺; None is the RFT variant.
        prm: Settings of the PRM.
        objective: Labels of the PRM: soft, hard or pairwise.
        rl: Settings of GRPO, or of DPO on sibling pairs.
        seed_rule: How seeds of stages and samples are made of the run's: ``derived`` by hash, or ``added``
            as in runs of earlier versions, which go on as they began.
    """

    run: RunSection
    problems: ProblemSection
    synthesis: SynthesisSection
    sft: TrainingSettings | None
    prm: TrainingSettings | None
    objective: str
    rl: RLSettings | DPOSettings | None
    seed_rule: Literal["derived", "added"] = "derived"

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict; runs of earlier versions have no `seed_rule` in theirs."""
        row = asdict(self)
        if self.seed_rule == "added":
            del row["seed_rule"]
        return row

    def as_begun(self, started: Mapping[str, Any] | None) -> SelfPlayConfig:
        """Returns the configuration with the seed rule of a run that has begun.

        Args:
            started: Configuration row of that run; None where there is none.
        """
        earlier = started is not None and "seed_rule" not in started
        return replace(self, seed_rule="added") if earlier else self


def read_config(path: Path, *, seed: int | None = None) -> SelfPlayConfig:
    """Reads a configuration; `seed` replaces that of the file.

    Raises:
        UsageError: When the file cannot be read, or a section, a key or a value is none; names it.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    known = ("run", "problems", "synthesis", "sft", "prm", "rl")
    for name, table in raw.items():
        if name not in known or not isinstance(table, dict):
            raise UnknownNameError(f"section of {path}", name, known)
    reader = _Reader(path)
    run = dict(raw.get("run", {})) | ({} if seed is None else {"seed": seed})
    prm = dict(raw.get("prm", {}))
    objective = prm.pop("objective", "soft")
    rl = dict(raw.get("rl", {}))
    method = rl.pop("method", "grpo")
    if method not in ("grpo", "dpo"):
        raise UnknownNameError(f"method in [rl] of {path}", str(method), ("grpo", "dpo"))
    return SelfPlayConfig(
        run=reader.section("run", RunSection, run),
        problems=reader.section("problems", ProblemSection, raw.get("problems", {})),
        synthesis=reader.section("synthesis", SynthesisSection, raw.get("synthesis", {})),
        sft=reader.stage("sft", TrainingSettings, raw.get("sft", {}), asdict(SFT)),
        prm=reader.stage("prm", TrainingSettings, prm, asdict(PRM_SETTINGS)),
        objective=objective,
        rl=reader.stage("rl", RLSettings if method == "grpo" else DPOSettings, rl, {}),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads sections of one file."""

    path: Path

    def stage(
        self, name: str, kind: type[Section], table: Mapping[str, Any], defaults: Mapping[str, Any]
    ) -> Section | None:
        """Reads a section that ``skip = true`` leaves out."""
        given = dict(table)
        if given.pop("skip", False):
            return None
        return self.section(name, kind, given, defaults)

    def section(
        self, name: str, kind: type[Section], table: Mapping[str, Any], defaults: Mapping[str, Any] = {}
    ) -> Section:
        """Reads a section into its dataclass."""
        where = f"{self.path}, [{name}]"
        types = {field.name: field.type for field in fields(kind)}  # pyright: ignore[reportArgumentType]
        for key, value in table.items():
            if key not in types:
                raise UnknownNameError(f"key in {where}", key, types)
            if not _fits(value, str(types[key])):
                raise UsageError(f"{where}: {key} must be {types[key]}, got {value!r}")
        try:
            return kind(**{**defaults, **table})
        except TypeError as error:
            raise UsageError(f"{where}: {str(error).partition(') ')[2] or error}") from error
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error


def _fits(value: Any, kind: str) -> bool:
    kinds = {"int": int, "float": int | float, "bool": bool, "str": str}
    return isinstance(value, kinds.get(kind, object)) and (kind == "bool" or not isinstance(value, bool))
