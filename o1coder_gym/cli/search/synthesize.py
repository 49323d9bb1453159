"""`o1coder synthesize`: search over a problem set → trees → D_process (Algorithm 1, steps 2 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console
from rich.table import Table

from o1coder_gym.cli.bars import search_shown
from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.run_folders import resumable, run_folder
from o1coder_gym.errors import O1CoderError, UnknownNameError
from o1coder_gym.experiments import synthesis
from o1coder_gym.experiments.synthesis import FailedSearchesError, HarvestRules, SynthesisPlan
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.process_data import LabelRule, PairRule, ProcessData
from o1coder_gym.process_data.exports import EXPORTS, export
from o1coder_gym.process_data.store import data_hash
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.progress import notes, warn
from o1coder_gym.settings import AtLeastOne, Checked, Count, Flag, Range, Share
from o1coder_gym.settings.groups import (
    DEFAULT_POLICY,
    BudgetSettings,
    ExecutorSpec,
    GeneratedTests,
    PolicySpec,
    ProblemSettings,
    RunSettings,
    Seed,
    SkipBad,
    StepSettings,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSettings(Checked):
    """Labels, pairs, exports.

    Attributes:
        hard: Hard label: any (a passing end below) or value (v ≥ --threshold).
        threshold: Threshold of --hard value.
        credit_kept: Do not blame a step of a failing program that a passing one keeps.
        margin: Smallest difference of a pair's values.
        min_visits: Fewest visits of each step of a pair.
        validation: Share of the problems held out.
        add: Earlier data to merge with (D ∪ D'), the newest first; may be repeated.
        decay: Weight of each run's visits relative to the next newer one's; 0 drops all but the new.
        exports: Write it as stepwise, math_shepherd, preferences, demonstrations, parquet, datasets too; may
            be repeated.
    """

    hard: Literal["any", "value"] = "any"
    threshold: Share = 0.5
    credit_kept: bool = False
    margin: float = 0.2
    min_visits: AtLeastOne = 1
    validation: Annotated[float, Range(0, 0.9)] = 0.1
    add: tuple[Path, ...] = ()
    decay: Share = 1.0
    exports: Annotated[tuple[str, ...], Flag("--export")] = ()

    @property
    def rules(self) -> HarvestRules:
        """How trees become rows."""
        label = LabelRule(self.hard, self.threshold, self.credit_kept)
        pair = PairRule(self.margin, self.min_visits)
        return HarvestRules(label, pair, self.validation, self.decay)


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesizeSettings(Checked):
    """Search.

    Attributes:
        agent: The search.
        seeds: Searches per problem.
        rollouts: How often each prefix is completed after its search, outside of the budget; the mean is its
            value. 0: the search's own W / N.
    """

    problems: ProblemSettings = ProblemSettings()
    agent: str = "mcts:simulations=32,width=4"
    policy: PolicySpec = DEFAULT_POLICY
    executor: ExecutorSpec = "serial"
    seed: Seed = 0
    seeds: AtLeastOne = 1
    rollouts: Count = 0
    skip_bad: SkipBad = False
    budget: BudgetSettings = BudgetSettings(tokens=4096)
    steps: StepSettings = StepSettings()
    tests: GeneratedTests = GeneratedTests()
    rows: RowSettings = RowSettings()
    run: RunSettings = RunSettings()

    def plan(self, rows: Sequence[ProblemRow]) -> SynthesisPlan:
        """Returns what is searched, and how."""
        return SynthesisPlan(
            problems=self.problems.problems,
            task_ids=tuple(row.problem.task_id for row in rows),
            agent=self.agent,
            policy=self.policy,
            budget=Budget(**asdict(self.budget)),
            seeds=tuple(range(self.seed, self.seed + self.seeds)),
            rollouts=self.rollouts,
            **asdict(self.steps),
            **asdict(self.tests),
        )


def synthesize(settings: SynthesizeSettings) -> None:
    """Search problems and turn the search trees into training data for policy and PRM."""
    chosen, run = settings.problems, settings.run
    for name in settings.rows.exports:
        if name not in EXPORTS:
            raise UnknownNameError("export", name, EXPORTS)
    rows = load_rows(chosen.problems, split=chosen.split, skip_bad=settings.skip_bad)[: chosen.limit]
    out = run_folder("synthesize", run.out, resume=run.resume)
    failure: FailedSearchesError | None = None
    try:
        with resumable(out):
            data = synthesis.synthesize(
                settings.plan(rows),
                out,
                rows=rows,
                rules=settings.rows.rules,
                add=settings.rows.add,
                executor=settings.executor,
                resume=run.resume,
                on_warning=warn,
                search=search_shown,
            )
    except FailedSearchesError as error:
        data, failure = error.data, error
    for name in settings.rows.exports:
        export(data, name, out / "exports" / name)
    _show(data, out, run.as_json)
    if failure is not None:
        raise O1CoderError(f"{failure}; try them again with: --out {out} --resume")


def _show(data: ProcessData, out: Path, as_json: bool) -> None:
    counts = {
        "problems": len(data.problems),
        "solved": len({path.state.problem_id for path in data.paths}),
        "prefixes": len(data.prefixes),
        "paths": len(data.paths),
        "pairs": len(data.pairs),
    }
    if as_json:
        print(to_json({**counts, "out": str(out), "hash": data_hash(out)}))
        return
    table = Table(*counts, box=None)
    table.add_row(*map(str, counts.values()))
    Console().print(table)
    notes().print(f"data: {out} (see {out / 'README.md'})", soft_wrap=True)


app = command(SynthesizeSettings, synthesize, name="synthesize")
