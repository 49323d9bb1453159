"""Self-play (Algorithm 1): the policy makes the data that it learns from, again and again.

    synthesize → (SFT, in the first iteration) → PRM → RL → synthesize with the new policy → …

With expert iteration SFT comes in every iteration, of the first policy on all paths so far (STaR, Zelikman et
al. 2022; ReST-EM, Singh et al. 2023): what was learned is one small adapter beside that policy, and what a
bad iteration has taught is not kept.

`self_play` does all of it in a folder. `run_stages` is the loop alone: which stage comes when, what is done
already, when to stop; what a stage does is in stages.py. A stage that ended has ``stage.json`` in its folder,
written last; a run that was killed does the stage it was in again, from that stage's own checkpoints, and
nothing before it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from o1coder_gym.agents import load_agent
from o1coder_gym.errors import O1CoderError, UsageError
from o1coder_gym.experiments.measures.held_out import Gain, gains
from o1coder_gym.experiments.self_play.config import SelfPlayConfig
from o1coder_gym.experiments.self_play.stages import Learned, RealStages, Stage, Stages, StagesOnGPUs
from o1coder_gym.experiments.shards import Search, search_all
from o1coder_gym.models.lookup import BUNDLED_MODELS, KNOWN_MODELS, find_model
from o1coder_gym.models.training.starting import check_start
from o1coder_gym.problems.likeness.overlap import Likeness
from o1coder_gym.problems.missing_tests import Warn
from o1coder_gym.reporting.figures import PICTURE, draw_curve, markdown_curve
from o1coder_gym.reporting.results import counted
from o1coder_gym.runs.executors import has_gpus, load_executor
from o1coder_gym.runs.files import write_json
from o1coder_gym.runs.journal import FILES, RunFolder, begun_with
from o1coder_gym.runs.provenance import config_hash, file_hashes, input_hashes

MARK = "stage.json"
CURVE = "curve"
"""Name of the file of measurements."""

TESTED = "tested"
"""Name of the file of results on the test split, one row per policy and problem."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The stages of a run, and its stopping rule.

    Attributes:
        iterations: At most.
        patience: k: end after k iterations without a gain of the pass rate; 0 never ends early.
        fine_tune: Whether the first iteration has SFT; without it this is the RFT variant.
        expert: Whether every iteration has SFT, of the first policy.
        train_scorer: Whether the PRM is trained, anew in every iteration.
        reinforce: Whether there is RL.
    """

    iterations: int = 2
    patience: int = 0
    fine_tune: bool = True
    expert: bool = False
    train_scorer: bool = True
    reinforce: bool = True


_NAMED = 8
"""Problems in two splits that the report names."""

Tell = Callable[[str], None]
"""Called with a line per event."""


@dataclass(frozen=True, slots=True)
class SelfPlayResult:
    """The result of a run.

    Attributes:
        learned: Its last policy, scorer and data.
        out: The run folder.
        problems: Problems of the test split.
        gains: From the first policy to the last one on the test split, by measure (``pass_rate``,
            ``greedy``, ``format_compliance``).
    """

    learned: Learned
    out: Path
    problems: int
    gains: Mapping[str, Gain]

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        row = {"policy": self.learned.policy, "scorer": self.learned.scorer, "out": str(self.out)}
        measured = {name: gain.to_row() for name, gain in self.gains.items()}
        return {**row, "problems": self.problems, **measured}


def self_play(
    config: SelfPlayConfig,
    out: Path,
    *,
    resume: bool = False,
    tell: Tell | None = None,
    on_warning: Warn = warnings.warn,
    search: Search = search_all,
) -> SelfPlayResult:
    """Runs self-play in a folder and writes its report: ``o1coder selfplay`` without printing.

    Args:
        config: Of the run, e.g. from `read_config`.
        out: The run folder: a folder per stage, curve.jsonl, tested.jsonl, report.md, curve.png.
        resume: Whether to continue the run that `out` holds; finished stages are not done again.
        tell: Called with each stage and measurement, in a line.
        on_warning: Called with a line about problems without public tests.
        search: Runs searches, for a caller that shows them.

    Raises:
        UsageError: When neither SFT nor RL is to be done.
        O1CoderError: When a stage fails, or the artefact of a finished stage is missing.
        JournalError: When `out` holds a run and `resume` is false, or a run of another configuration.
        MissingExtraError: When torch or TRL is not installed.
    """
    # What can be wrong in the configuration is found out first, before hours of search.
    load_executor(config.run.executor)
    if config.sft is None and config.rl is None:
        raise UsageError("sft and rl are both skipped, so nothing would be learned")
    if config.run.expert and config.sft is None:
        raise UsageError("expert iteration is SFT in every iteration, and sft is skipped")
    for stage in filter(None, (config.sft, config.prm, config.rl)):
        check_start(config.run.model, stage, "trl", "peft", "datasets")
    load_agent(config.synthesis.agent)
    config = config.as_begun(begun_with(out) or None)
    with RunFolder.open(out, {**config.to_row(), FILES: _files(config)}, resume=resume) as folder:
        kind = StagesOnGPUs if has_gpus(config.run.executor) else RealStages
        stages = kind(config, out, on_warning=on_warning, search=search)
        start = Learned(_first_model(config))
        learned = run_stages(stages, start, _schedule(config), folder, tell or (lambda line: None))
        # The test split is looked at twice, after everything: no stage and no stop depends on it.
        before = _tested(stages, "before", start.policy, folder)
        after = _tested(stages, "after", learned.policy, folder)
        result = SelfPlayResult(learned, out, len(before), gains(before, after))
        _write_report(folder, config, result, stages.overlap)
    return result


def run_stages(stages: Stages, start: Learned, schedule: Schedule, folder: RunFolder, tell: Tell) -> Learned:
    """Runs the loop of Algorithm 1; skips what the folder already has.

    Args:
        stages: The work.
        start: What there is before.
        schedule: Which stages, how often.
        folder: Of the run; one folder per stage in ``iteration-NN/``, measurements in ``curve.jsonl``.
        tell: Called with each stage.

    Returns:
        What was learned last.

    Raises:
        O1CoderError: When a stage fails, or the artefact of a finished stage is missing.
    """
    learned = start
    work = _Work(folder, tell)
    # Measured before anything is learned: gains are against this, and so is the patience.
    rates = [work.measured(stages, learned, 0, "start")]
    for iteration in range(schedule.iterations):
        place = folder.path / f"iteration-{iteration:02d}"
        # The newest data set holds all earlier ones (D ∪ D'), so the folder of the last iteration is enough.
        data = Path(work.done(stages.synthesize, learned, iteration, place / "data"))
        learned = replace(learned, data=data)
        if schedule.fine_tune and (iteration == 0 or schedule.expert):
            begun = _with_policy(learned, start.policy) if schedule.expert else learned
            learned = _with_policy(learned, work.done(stages.fine_tune, begun, iteration, place / "sft"))
            work.measured(stages, learned, iteration, "sft")
        if schedule.train_scorer:
            learned = replace(
                learned, scorer=work.done(stages.train_scorer, learned, iteration, place / "prm")
            )
        if schedule.reinforce:
            learned = _with_policy(learned, work.done(stages.reinforce, learned, iteration, place / "rl"))
        rates.append(work.measured(stages, learned, iteration, "end"))
        if stalled(rates, schedule.patience):
            tell(f"no gain for {schedule.patience} iterations: the run ends")
            break
    return learned


def stalled(rates: Sequence[float], patience: int) -> bool:
    """Whether none of the last `patience` rates is above the best one before them.

    Args:
        rates: Pass rate at the start and after each iteration.
        patience: k; 0 for never.
    """
    if not patience or len(rates) <= patience:
        return False
    # Against the best before, not the last: a policy that fell and recovered has gained nothing.
    return max(rates[-patience:]) <= max(rates[:-patience])


class _Work:
    """Runs unfinished stages and records finished ones."""

    def __init__(self, folder: RunFolder, tell: Tell) -> None:
        self._folder = folder
        self._tell = tell
        rows = folder.rows(CURVE)
        self._curve = {(row["iteration"], row["stage"]): row for row in rows}

    def done(self, stage: Stage, learned: Learned, iteration: int, place: Path) -> str:
        """Returns the artefact of a stage, made now unless it was made before."""
        inputs = self._inputs(learned)
        name = str(place.relative_to(self._folder.path))
        if (mark := _read_mark(place)) is not None:
            # A stage of other inputs (an earlier one was made again) would mix two runs.
            if mark["inputs"] != inputs:
                raise O1CoderError(f"{place} was made from other inputs; delete it to repeat the stage")
            artefact = self._absolute(mark["artefact"])
            if not (path := Path(artefact.removeprefix("prm:"))).exists():
                raise O1CoderError(f"{place} is marked as done, but {path} is missing; delete {place / MARK}")
            self._tell(f"{name}: done before")
            return artefact
        self._tell(name)
        place.mkdir(parents=True, exist_ok=True)
        artefact = str(stage(learned, iteration, place))
        row = {
            "stage": name,
            "inputs": inputs,
            "hash": config_hash(inputs),
            "artefact": self._relative(artefact),
        }
        # Written last and atomically: a stage with a mark is finished, whatever was killed.
        write_json(place / MARK, row)
        self._folder.append("journal", {"stage": name, "hash": row["hash"]})
        return artefact

    def measured(self, stages: Stages, learned: Learned, iteration: int, stage: str) -> float:
        """Returns the pass rate of the policy, measured now unless it was measured before."""
        row = self._curve.get((iteration, stage))
        if row is None:
            policy = self._relative(learned.policy)
            # The draws are the same each time: a policy that no stage has changed is not measured again.
            row = next((dict(known) for known in self._curve.values() if known["policy"] == policy), None)
            if row is None:
                self._tell(f"measuring {learned.policy}")
                row = dict(stages.measure(learned))
            row = {**row, "iteration": iteration, "stage": stage, "policy": policy}
            self._curve[iteration, stage] = row
            self._folder.append(CURVE, row)
        self._tell(f"pass rate {row['pass_rate']:.1%} after iteration {iteration}, {stage}")
        return float(row["pass_rate"])

    def _inputs(self, learned: Learned) -> dict[str, str | None]:
        """Names a stage's inputs; folders of this run are relative to it, so that the run may be moved."""
        values = {"policy": learned.policy, "scorer": learned.scorer, "data": learned.data}
        return {name: None if value is None else self._relative(str(value)) for name, value in values.items()}

    def _relative(self, text: str) -> str:
        return text.replace(f"{self._folder.path}/", "RUN/")

    def _absolute(self, text: str) -> str:
        return text.replace("RUN/", f"{self._folder.path}/")


def _files(config: SelfPlayConfig) -> dict[str, str]:
    """Returns the hashes of what a run begins with: a run does not go on with other problems or weights."""
    specs = (f"hf:{config.run.model}", config.synthesis.generator, config.synthesis.agent)
    return file_hashes(config.problems.set) | input_hashes(*specs)


def _with_policy(learned: Learned, policy: str) -> Learned:
    return replace(learned, policy=policy)


def _read_mark(place: Path) -> dict[str, Any] | None:
    path = place / MARK
    if not path.exists():
        return None
    try:
        row = json.loads(path.read_text())
        return {"inputs": row["inputs"], "artefact": row["artefact"]}
    except (ValueError, KeyError, TypeError) as error:
        raise O1CoderError(f"{path}: not the mark of a stage; delete it to repeat the stage") from error


def _first_model(config: SelfPlayConfig) -> str:
    """Returns the model, as an absolute folder where it is one: the run may be resumed from elsewhere.

    Expert iteration keeps a name as it is, since its run folder may be carried to another machine.
    """
    if config.run.expert and (config.run.model in KNOWN_MODELS or config.run.model in BUNDLED_MODELS):
        return config.run.model
    folder = find_model(config.run.model)
    return str(folder.resolve()) if folder is not None else config.run.model


def _schedule(config: SelfPlayConfig) -> Schedule:
    return Schedule(
        iterations=config.run.iterations,
        patience=config.run.patience,
        fine_tune=config.sft is not None,
        expert=config.run.expert,
        train_scorer=config.prm is not None,
        reinforce=config.rl is not None,
    )


def _tested(
    stages: RealStages, name: str, model: str, folder: RunFolder
) -> Mapping[str, Mapping[str, float]]:
    """Returns the results of a policy on the test split, measured once per run.

    A measurement is done when the file has each problem; one that the judge could not decide has no result.
    """
    known = {row["task_id"]: row["found"] for row in folder.rows(TESTED) if row["policy"] == name}
    if known.keys() != set(stages.test.task_ids):
        folder.keep(TESTED, lambda row: row["policy"] != name)
        measured = stages.tested(model)
        known = {task_id: measured.get(task_id) for task_id in stages.test.task_ids}
        new = ({"policy": name, "task_id": task_id, "found": found} for task_id, found in known.items())
        folder.append(TESTED, *new)
    return {task_id: found for task_id, found in known.items() if found is not None}


def _write_report(
    folder: RunFolder, config: SelfPlayConfig, result: SelfPlayResult, overlap: Sequence[Likeness]
) -> None:
    rows = list(folder.rows(CURVE))
    drawn = draw_curve(rows, folder.path / PICTURE)
    tested = counted(result.problems, "problem")
    lines = ["# Self-play", "", f"{config.problems.set}, test split, {tested}.", ""]
    lines += ["| test | before | after | gain | 95 % interval |", "|---|---|---|---|---|"]
    for name, title in (("pass_rate", "pass@1"), ("greedy", "greedy"), ("format_compliance", "format")):
        one = result.gains[name]
        ends = f"{one.before:.1%} | {one.after:.1%} | {one.gain:+.1%}"
        lines.append(f"| {title} | {ends} | {one.ends} |")
    if overlap:
        names = ", ".join(f"{one.b} is {one.a}" for one in overlap[:_NAMED])
        more = ", …" if len(overlap) > _NAMED else ""
        held_out = len({one.b for one in overlap})
        lines += ["", f"**{held_out} held-out problems are training problems too**: {names}{more}."]
    lines += ["", "Validation split, stage by stage:", "", markdown_curve(rows)]
    lines += [f"![Learning curve]({PICTURE})", ""] if drawn else []
    lines += ["Settings and versions: config.json. Stages: iteration-NN/STAGE/stage.json.", ""]
    (folder.path / "report.md").write_text("\n".join(lines))
