"""`o1coder rl policy` and `o1coder rl dpo`: reinforcement learning on the weights of a policy."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from o1coder_gym.agents.rl.settings import DPOSettings, RLSettings
from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.run_folders import resumable, run_folder
from o1coder_gym.errors import UsageError
from o1coder_gym.experiments.training.rl import RLPlan, TrainedPolicy, train_on_pairs, train_policy
from o1coder_gym.metrics.estimates import ROUGH_LEGEND
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.problems.likeness.overlap import SURE, in_training, overlaps
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.tables.terminal_table import legend_text
from o1coder_gym.runs import ranks
from o1coder_gym.runs.journal import begun_with
from o1coder_gym.runs.progress import warn
from o1coder_gym.runs.provenance import input_hashes
from o1coder_gym.settings import AtLeastOne, Checked
from o1coder_gym.settings.groups import DataFolder, GeneratedTests, ProblemSettings, RunSettings, StepSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutSettings(Checked):
    """Held-out problems.

    Attributes:
        held_out: What is measured before and after: a split of the set, or the name or path of another set;
            training leaves its problems out.
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


def policy(settings: RLPolicySettings) -> None:
    """Train a policy on φ: GRPO and PPO-clip with credit per step, or the outcome-only control."""
    chosen, watched, run = settings.problems, settings.held_out, settings.run
    held_out = _held_out(settings)
    rows = load_rows(chosen.problems, split=chosen.split)[: chosen.limit]
    begun = begun_with(run.out).get("task_ids", ()) if run.resume and run.out else ()
    rows = _apart(rows, held_out, begun)
    plan = RLPlan(
        model=settings.model,
        problems=chosen.problems,
        task_ids=tuple(row.problem.task_id for row in rows),
        settings=settings.training,
        inputs=input_hashes(f"hf:{settings.model}", settings.steps.scorer, settings.training.reward),
        **asdict(settings.steps),
        **asdict(settings.tests),
    )
    out = ranks.from_first(lambda: run_folder("rl-policy", run.out, resume=run.resume))
    with resumable(out):
        result = train_policy(
            plan,
            out,
            rows=rows,
            held_out=held_out,
            samples=watched.samples,
            resume=run.resume,
            on_warning=warn,
        )
    _show(result, run.as_json)


def _held_out(settings: RLPolicySettings) -> Sequence[ProblemRow]:
    watched, problems = settings.held_out, settings.problems.problems
    if watched.held_out is None:
        return ()
    own = load_rows(problems)
    here = watched.held_out in own.splits
    found = own.of_split(watched.held_out) if here else load_rows(watched.held_out).rows
    return found[: watched.held_out_limit]


def _apart(
    rows: Sequence[ProblemRow], held_out: Sequence[ProblemRow], begun: Collection[str]
) -> Sequence[ProblemRow]:
    """Leaves what is held out out of the training, but for problems that a resumed run began with."""
    found = [one for one in overlaps(rows, held_out, ways=SURE) if one.a not in begun]
    told, names = in_training(found, len(held_out)), {one.a for one in found}
    apart = [row for row in rows if row.problem.task_id not in names]
    if told and not apart:
        raise UsageError(f"{told}, and no other is left to train on; name others with --held-out")
    if told:
        warn(f"{told}; left out of training")
    return apart


def dpo(settings: RLPairsSettings) -> None:
    """Train a policy on sibling pairs: one round of iterative DPO; synthesize again for the next."""
    run = settings.run
    out = ranks.from_first(lambda: run_folder("rl-dpo", run.out, resume=run.resume))
    with resumable(out):
        trained = train_on_pairs(settings.model, settings.data, out, settings.training, resume=run.resume)
    _show(trained, run.as_json)


def _show(trained: TrainedPolicy, as_json: bool) -> None:
    if as_json:
        print(to_json({**trained.to_row(), "model": str(trained.model)}))
        return
    if trained.gains:
        table = Table("held out", "before", "after", "gain", "95 % interval", box=None)
        for name, one in trained.gains.items():
            table.add_row(
                name.replace("_", " "),
                f"{one.before:.1%}",
                f"{one.after:.1%}",
                f"{one.gain:+.1%}",
                one.ends,
            )
        Console().print(table, legend_text(ROUGH_LEGEND))
    print(trained.model)


policy_app = command(RLPolicySettings, policy, name="policy")
dpo_app = command(RLPairsSettings, dpo, name="dpo")
