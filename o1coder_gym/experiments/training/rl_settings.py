"""What reinforcement learning of a policy's weights is told: model, problems, what is held out, how."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from o1coder_gym.agents.rl.settings import DPOSettings, RLSettings
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.experiments.training.rl import RLPlan
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.problems.likeness.overlap import SURE, in_training, overlaps
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.missing_tests import Warn
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.journal import begun_with
from o1coder_gym.runs.provenance import input_hashes
from o1coder_gym.settings import AtLeastOne, Checked
from o1coder_gym.settings.groups import DataFolder, GeneratedTests, ProblemSettings, RunSettings, StepSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutSettings(Checked):
    """Held-out problems.

    Attributes:
        held_out: Problems to measure on before and after: a split of the set, or the name or path of another
            set; training skips them.
        held_out_limit: First N held-out problems only.
        samples: Samples per held-out problem.
    """

    held_out: str | None = None
    held_out_limit: AtLeastOne | None = None
    samples: AtLeastOne = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardedSteps(StepSettings):
    """Steps.

    Attributes:
        scorer: Step scorer (PRM) whose scores are the process reward: prm:FOLDER, heuristic, …; none:
            there is no process reward.
    """

    scorer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RLPolicySettings(Checked):
    """Model.

    Attributes:
        model: Known name, Hub id or folder to start from.
    """

    model: str = DEFAULT_MODEL
    problems: ProblemSettings = ProblemSettings()
    held_out: HeldOutSettings = HeldOutSettings()
    steps: RewardedSteps = RewardedSteps()
    tests: GeneratedTests = GeneratedTests()
    training: RLSettings = RLSettings()
    run: RunSettings = RunSettings()

    def plan(self, rows: Sequence[ProblemRow]) -> RLPlan:
        """Returns what is trained, and how."""
        return RLPlan(
            model=self.model,
            problems=self.problems.problems,
            task_ids=tuple(row.problem.task_id for row in rows),
            settings=self.training,
            inputs=input_hashes(f"hf:{self.model}", self.steps.scorer, self.training.reward),
            **asdict(self.steps),
            **asdict(self.tests),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RLPairsSettings(Checked):
    """Model and data.

    Attributes:
        model: Known name, Hub id or folder to start from.
    """

    model: str
    data: DataFolder
    training: DPOSettings = DPOSettings()
    run: RunSettings = RunSettings()


def chosen_rows(
    settings: RLPolicySettings, on_warning: Warn
) -> tuple[Sequence[ProblemRow], Sequence[ProblemRow]]:
    """Reads the problems to learn from, and those that are held out from them.

    Args:
        settings: Which problems.
        on_warning: Called with a line about problems that are held out, and so left out of training.

    Raises:
        UnknownNameError: When there is no such problem set or split.
        UsageError: When no problem is left to learn from.
    """
    chosen, run = settings.problems, settings.run
    held_out = _held_out(settings)
    rows = load_rows(chosen.problems, split=chosen.split)[: chosen.limit]
    begun = begun_with(run.out).get("task_ids", ()) if run.resume and run.out else ()
    return _apart(rows, held_out, begun, on_warning), held_out


def _held_out(settings: RLPolicySettings) -> Sequence[ProblemRow]:
    asked = settings.held_out.held_out
    if asked is None:
        return ()
    own = load_rows(settings.problems.problems)
    try:
        found = own.of_split(asked) if asked in own.splits else load_rows(asked).rows
    except UnknownNameError as error:
        splits = f" ({', '.join(sorted(own.splits))})" if own.splits else ", which has none,"
        raise UsageError(
            f"--held-out: {asked!r} is neither a split of {own.name}{splits} nor a problem set or file"
        ) from error
    return found[: settings.held_out.held_out_limit]


def _apart(
    rows: Sequence[ProblemRow], held_out: Sequence[ProblemRow], begun: Collection[str], on_warning: Warn
) -> Sequence[ProblemRow]:
    """Leaves what is held out out of the training, but for problems that a resumed run began with."""
    found = [one for one in overlaps(rows, held_out, ways=SURE) if one.a not in begun]
    told, names = in_training(found, len(held_out)), {one.a for one in found}
    apart = [row for row in rows if row.problem.task_id not in names]
    if told and not apart:
        raise UsageError(f"{told}, and no other is left to train on; name others with --held-out")
    if told:
        on_warning(f"{told}; left out of training")
    return apart
