"""The configuration of a self-play run: a TOML file of sections, each with the settings of a stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from o1coder_gym.agents.rl.settings import DPOSettings, RLSettings
from o1coder_gym.models.training.settings import PRM_SETTINGS, TrainingSettings
from o1coder_gym.settings import AtLeastOne, Checked, Count, Flag, Hint, Range, Section, read, to_row
from o1coder_gym.settings.groups import TemplateArguments

SFT = TrainingSettings(learning_rate=1e-4, epochs=2.0, lora_rank=16, max_length=2048)
_INIT = Hint("o1coder selfplay init mine.toml writes a file with all settings")
_METHODS = Section("method", (("grpo", RLSettings), ("dpo", DPOSettings)))


@dataclass(frozen=True, slots=True)
class RunSection(Checked):
    """The loop.

    Attributes:
        model: Known name, Hub id or folder of the first policy.
        iterations: Iterations of the loop at most.
        expert: Expert iteration: in every iteration, SFT of the first policy on all paths so far.
        patience: End after this many iterations without a gain on validation; 0: never.
        format: Step format.
        max_steps: Steps per episode.
        max_tokens: Tokens per step.
        samples: Samples per held-out problem when a policy is measured.
        executor: Where tests are made, problems searched and policies measured, and with GPUs all is
            trained: serial, processes:N, ray:N, ray:ADDRESS?cpus=8&gpus=1.
        dtype: Data type of the policy when it searches and is measured; float32 makes results independent of
            batching.
        seed: Seed of everything.
        template_arguments: Variables of the chat template, for searches and all trainings that have none.
    """

    model: Annotated[str, _INIT]
    iterations: AtLeastOne = 2
    expert: bool = False
    patience: Count = 0
    format: str = "pseudocode"
    max_steps: AtLeastOne = 8
    max_tokens: AtLeastOne = 384
    samples: AtLeastOne = 4
    executor: str = "serial"
    dtype: str = "auto"
    seed: Annotated[int, Flag("--seed")] = 0
    template_arguments: TemplateArguments = None


@dataclass(frozen=True, slots=True)
class ProblemSection(Checked):
    """Problems.

    Attributes:
        set: Name or path of a problem set.
        train: Split to learn from.
        validation: Split that decides when to stop.
        test: Split that is measured at the start and at the end only.
        limit: First N of the training split; 0: all. A small number makes it the RFT variant, with few
            reference solutions.
        held_out_limit: First N of the validation and of the test split; 0: all.
    """

    set: Annotated[str, _INIT]
    train: str = "train"
    validation: str = "validation"
    test: str = "test"
    limit: Count = 0
    held_out_limit: Count = 0


@dataclass(frozen=True, slots=True)
class SynthesisSection(Checked):
    """Search and data.

    Attributes:
        agent: Search agent.
        tokens: Budget per search; 0: none.
        generator: Makes tests in addition to the public ones: mutation, or a trained one.
        tests: Tests per problem, for search and RL; 0: none.
        problems: Training problems searched per iteration, the next ones each time; 0: all.
        scored: Whether searches after the first iteration have the PRM as their scorer.
        margin: Smallest difference of a pair's values.
        validation: Share of the problems whose rows are held out from training.
        rollouts: How often each prefix is completed after its search, outside of the budget; the mean is its
            value. 0: the search's own W / N.
        credit_kept: Do not blame a step of a failing program that a passing one keeps.
    """

    agent: str = "mcts:simulations=32,width=4"
    tokens: Count = 4096
    generator: str = "mutation"
    tests: Count = 16
    problems: Count = 0
    scored: bool = False
    margin: float = 0.2
    validation: Annotated[float, Range(0, 0.9)] = 0.1
    rollouts: Count = 0
    credit_kept: bool = False


@dataclass(frozen=True, slots=True)
class PRMStage(TrainingSettings):
    """Training of the PRM.

    Attributes:
        objective: Labels of the PRM.
    """

    objective: Literal["soft", "hard", "pairwise"] = "soft"


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
        seed_rule: How seeds of stages and samples are made of the run's: ``all_stages`` by hash. Runs of
            earlier versions continue as they began: ``derived`` by hash, but for SFT, PRM and DPO, which
            have their sections' own, or ``added`` likewise without a hash.
    """

    run: RunSection
    problems: ProblemSection
    synthesis: SynthesisSection
    sft: TrainingSettings | None
    prm: TrainingSettings | None
    objective: str
    rl: RLSettings | DPOSettings | None
    seed_rule: Literal["all_stages", "derived", "added"] = "all_stages"

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict; runs of earlier versions have no `seed_rule` in theirs."""
        row = to_row(self)
        if isinstance(self.rl, RLSettings):
            row["rl"] = self.rl.to_row()  # without addresses of servers
        if self.seed_rule == "added":
            del row["seed_rule"]
        return row

    def told(self) -> SelfPlayConfig:
        """Returns the configuration with the run's template arguments in all trainings that have none."""
        arguments = self.run.template_arguments
        stages: dict[str, Any] = {
            name: replace(stage, template_arguments=arguments)
            for name in ("sft", "prm", "rl")
            if (stage := getattr(self, name)) is not None and stage.template_arguments is None
        }
        return replace(self, **stages) if arguments else self

    def as_begun(self, started: Mapping[str, Any] | None) -> SelfPlayConfig:
        """Returns the configuration with the seed rule of a run that has begun.

        Args:
            started: Configuration row of that run; None where there is none.
        """
        # Its rows, finished stages and seeds were made by its rule; another one would mix two runs.
        return self if started is None else replace(self, seed_rule=started.get("seed_rule", "added"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfPlaySettings(Checked):
    """Self-play.

    Attributes:
        run: The loop.
        problems: What is learned from and measured on.
        synthesis: Search and data.
        sft: SFT on D⁺; without it this is the RFT variant.
        prm: Training of the PRM.
        rl: GRPO, or DPO on sibling pairs.
    """

    run: Annotated[RunSection, Section()]
    problems: Annotated[ProblemSection, Section()]
    synthesis: Annotated[SynthesisSection, Section()] = SynthesisSection()
    sft: TrainingSettings | None = SFT
    prm: PRMStage | None = PRMStage(**asdict(PRM_SETTINGS))
    rl: Annotated[RLSettings | DPOSettings | None, _METHODS] = RLSettings()

    @property
    def config(self) -> SelfPlayConfig:
        """What a run is configured with, in the form that run folders keep."""
        prm, objective = None, "soft"
        if self.prm is not None:
            given = {one.name: getattr(self.prm, one.name) for one in fields(TrainingSettings)}
            prm, objective = TrainingSettings(**given), self.prm.objective
        return SelfPlayConfig(self.run, self.problems, self.synthesis, self.sft, prm, objective, self.rl)


def read_config(path: Path, *, seed: int | None = None) -> SelfPlayConfig:
    """Reads a configuration; `seed` replaces that of the file.

    Raises:
        UsageError: When the file cannot be read, or a section, a key or a value is none; names it.
    """
    return read(SelfPlaySettings, path, {} if seed is None else {"run.seed": seed}).config
