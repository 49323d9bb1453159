"""Reinforcement learning of a policy's weights: trained with a log and a curve, compared with its start."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from o1coder_gym.agents.rl.sampling.making import check_sampler
from o1coder_gym.agents.rl.settings import DPOSettings, RLSettings
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import O1CoderError
from o1coder_gym.experiments.measures.held_out import Gain, HeldOut, gains
from o1coder_gym.experiments.tools import planned_rows
from o1coder_gym.experiments.training.node_judge import node_judge
from o1coder_gym.models.training.starting import check_start
from o1coder_gym.policies import hf_spec, load_policy
from o1coder_gym.prm import load_scorer
from o1coder_gym.problems.likeness.overlap import SURE, in_training, overlaps
from o1coder_gym.problems.missing_tests import Warn, warn_of, without_hidden_tests, without_visible_tests
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.process_data import read_data
from o1coder_gym.process_data.store import data_hash
from o1coder_gym.reporting.figures import PICTURE, draw_updates, latest_updates
from o1coder_gym.runs import ranks
from o1coder_gym.runs.files import finite
from o1coder_gym.runs.journal import FILES, RunFolder, optional_folder
from o1coder_gym.runs.provenance import (
    Provenance,
    content_hash,
    file_hashes,
    input_hashes,
    package_versions,
)
from o1coder_gym.settings import to_row
from o1coder_gym.steps.formats import load_format
from o1coder_gym.tcg.store import generated_tests
from o1coder_gym.types import Problem

OnUpdate = Callable[[int, Mapping[str, float]], None]
"""Called with each batch of episodes: t in optimizer steps, and its metrics by name."""


@dataclass(frozen=True, slots=True)
class RLPlan:
    """All that a trained policy depends on; the run folder's config.

    Attributes:
        model: Known name, Hub id or folder to start from.
        problems: Name or path of the problem set.
        task_ids: The problems to learn from.
        settings: Of GRPO.
        scorer: Step scorer spec for the process reward, None without one.
        format: Step format.
        max_steps: Reasoning steps per episode.
        generator: What makes tests beside the public ones.
        tests: How many it is asked for per problem; 0 for none.
        inputs: Hashes of the artefacts that model and scorer name, see `runs.provenance.input_hashes`.
        files: Hashes of the files that hold problems, and of what makes tests.
    """

    model: str
    problems: str
    task_ids: tuple[str, ...]
    settings: RLSettings = field(default_factory=RLSettings)
    scorer: str | None = None
    format: str = "pseudocode"
    max_steps: int = 8
    generator: str = "mutation"
    tests: int = 16
    inputs: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        row = {"command": "rl policy", **asdict(self), "settings": self.settings.to_row()}
        return {name: value for name, value in row.items() if value or name != FILES}


@dataclass(frozen=True, slots=True)
class TrainedPolicy:
    """The result of a training run.

    Attributes:
        model: Folder of the trained weights; ``hf:MODEL`` is its policy.
        problems: Held-out problems measured; 0 if none were.
        gains: By measure (``pass_rate``, ``greedy``, ``format_compliance``); empty if none were.
    """

    model: Path
    problems: int = 0
    gains: Mapping[str, Gain] = field(default_factory=dict)

    def to_row(self) -> dict[str, Any]:
        """Returns the measurement as a JSON-able dict; empty if there was none."""
        measured = {name: gain.to_row() for name, gain in self.gains.items()}
        return {"problems": self.problems, **measured} if measured else {}


def train_logged(
    model: str,
    process: ReasoningModel,
    out: Path,
    folder: RunFolder | None,
    settings: RLSettings,
    *,
    format: str,
    resume: bool,
    held_out: HeldOut | None = None,
    on_update: OnUpdate | None = None,
) -> Path:
    """Trains a policy by GRPO; ``updates.jsonl`` has the metrics of each batch, ``curve.png`` shows them.

    Args:
        model: Known name, Hub id or folder to start from.
        process: The process over the training problems.
        out: Where checkpoints, curve and model go.
        folder: Where the metrics are kept; None in all ranks but the first.
        settings: Of GRPO.
        format: Step format.
        resume: Whether to go on from the last checkpoint.
        held_out: Measured every ``settings.validate_every`` batches.
        on_update: Called with each batch.

    Returns:
        The folder of the trained model.
    """
    from o1coder_gym.agents.rl import grpo

    told = [*filter(None, (None if folder is None else update_log(folder), on_update))]

    def updated(t: int, metrics: Mapping[str, float]) -> None:
        for tell in told:
            tell(t, metrics)

    trained = grpo.train_policy(
        model,
        process,
        process.task_ids,
        out,
        settings,
        step_format=load_format(format),
        resume=resume,
        validate=held_out.measure if held_out is not None else None,
        on_update=updated,
    )
    if folder is not None:
        draw_updates(latest_updates(folder.rows("updates")), out / PICTURE)
    return trained


def train_policy(
    plan: RLPlan,
    out: Path,
    *,
    rows: Sequence[ProblemRow] = (),
    held_out: Sequence[ProblemRow] = (),
    samples: int = 4,
    resume: bool = False,
    on_update: OnUpdate | None = None,
    on_warning: Warn = warnings.warn,
) -> TrainedPolicy:
    """Trains a policy on φ and compares it with its start: ``o1coder rl policy`` without printing.

    Args:
        plan: What to train on what.
        out: The run folder: ``model``, checkpoints, updates.jsonl, curve.png.
        rows: The problems of `plan.task_ids`, where they are read already or are your own.
        held_out: Problems that both policies are measured on, by hidden tests; none measures nothing.
        samples: Sampled episodes per held-out problem, ≥ 1.
        resume: Whether to continue the run that `out` holds, from its last checkpoint.
        on_update: Called with each batch of episodes.
        on_warning: Called with a line about problems that lack tests, or are both trained on and held out;
            at the end with one where no episode passed.

    Raises:
        UsageError: When there are fewer problems than a batch needs.
        JournalError: When `out` holds a run and `resume` is false, or a run of another plan.
        WeightsError: When the model cannot be found.
        MissingExtraError: When torch or TRL is not installed, or what the sampler needs.
        PolicyError: When a server that is to sample does not answer.
    """
    rows = rows or planned_rows(plan.problems, plan.task_ids)
    files = file_hashes(plan.problems, plan.scorer) | input_hashes(plan.generator)
    plan = replace(plan, files=files)
    plan.settings.check_problems(len(rows))
    check_start(plan.model, plan.settings, "trl", "peft")
    check_sampler(plan.settings.sampler)
    scorer = load_scorer(plan.scorer) if plan.scorer else None
    asked = [row.problem for row in rows]
    given = {**plan.to_row(), "out": str(out), "resume": resume, "asked": _digest(asked)}
    mine = out if ranks.is_first() else None
    with ranks.together(given), optional_folder(mine, plan.to_row(), resume=resume) as folder:
        measured = _held_out(plan, held_out, samples) if held_out else None
        # Generated once: ranks that made their own tests would reward the same program differently.
        further = ranks.from_first(lambda: generated_tests(plan.generator, rows, plan.tests, out))
        if folder is not None:
            shared = in_training(overlaps(rows, held_out, ways=SURE), len(held_out))
            warn_of(on_warning, without_visible_tests(rows, further), without_hidden_tests(held_out), shared)
        with node_judge() as judge:
            process = ReasoningModel(
                asked,
                judge,
                format=load_format(plan.format),
                max_steps=plan.max_steps,
                scorer=scorer,
                tests=further,
            )
            train_logged(
                plan.model,
                process,
                out,
                folder,
                plan.settings,
                format=plan.format,
                resume=resume,
                held_out=measured,
                on_update=on_update,
            )
        if folder is None:
            return TrainedPolicy(out / "model")
        warn_of(on_warning, unrewarded(plan, latest_updates(folder.rows("updates"))))
        return _finished(plan, folder, measured)


def unrewarded(plan: RLPlan, updates: Sequence[Mapping[str, Any]]) -> str:
    """Returns a sentence on a training in which no episode passed; empty if one did.

    Args:
        plan: Of the training; what a reward function of one's own pays is not known here.
        updates: Its rows of ``updates.jsonl``.
    """
    if plan.settings.reward is not None or any(row.get("episodes/pass_rate") for row in updates):
        return ""
    learned = "the scorer alone was learned from" if plan.scorer else "there was no reward to learn from"
    return (
        f"no episode passed, so {learned}; try easier problems, a stronger --model or o1coder sft first, "
        "or more --episodes, --max-steps or --max-tokens"
    )


def _finished(plan: RLPlan, folder: RunFolder, held_out: HeldOut | None) -> TrainedPolicy:
    """Writes the model's provenance beside it, and compares the model with its start."""
    model = folder.path / "model"
    Provenance("rl policy", plan.to_row(), plan.inputs, package_versions("torch", "trl")).write(model)
    result = _compared(held_out, plan, model) if held_out is not None else TrainedPolicy(model)
    if row := result.to_row():
        folder.append("evaluations", row)
    return result


def _digest(problems: Sequence[Problem]) -> str:
    return content_hash(repr(problems))


def train_on_pairs(
    model: str, data: Path, out: Path, settings: DPOSettings | None = None, *, resume: bool = False
) -> TrainedPolicy:
    """Trains a policy on sibling pairs, one round of iterative DPO: ``o1coder rl dpo`` without printing.

    Args:
        model: Known name, Hub id or folder to start from.
        data: Folder of a synthesis.
        out: The run folder: ``model`` and checkpoints.
        settings: Of DPO; None takes the defaults.
        resume: Whether to continue the run that `out` holds.

    Raises:
        O1CoderError: When there are no pairs.
        JournalError: When `out` holds a run and `resume` is false, or a run of another configuration.
        WeightsError: When the model cannot be found.
        MissingExtraError: When torch or TRL is not installed.
    """
    settings = settings or DPOSettings()
    found = read_data(data)
    check_start(model, settings, "trl", "peft", "datasets")
    if not found.of_split("train").pairs:
        if found.pairs:
            why = "its train split has none; search more problems, or hold out fewer (--validation)"
        else:
            why = "search wider (o1coder synthesize), or lower their margin"
        raise O1CoderError(f"{data} has no pairs to learn from: {why}")
    from o1coder_gym.agents.rl.dpo import train_dpo

    inputs = {"data": data_hash(data), **input_hashes(f"hf:{model}")}
    config = {"command": "rl dpo", "model": model, "settings": to_row(settings), "inputs": inputs}
    given = {**config, "out": str(out), "resume": resume}
    mine = out if ranks.is_first() else None
    with ranks.together(given), optional_folder(mine, config, resume=resume) as folder:
        train_dpo(model, found, out, settings, step_format=load_format(found.format), resume=resume)
        if folder is not None:
            Provenance("rl dpo", config, inputs, package_versions("torch", "trl")).write(out / "model")
    return TrainedPolicy(out / "model")


def update_log(folder: RunFolder) -> OnUpdate:
    """Returns a function that writes a row per batch to ``updates.jsonl``; see `latest_updates`."""
    known = {row["t"]: row for row in folder.rows("updates")}

    def write(t: int, metrics: Mapping[str, float]) -> None:
        row = {"t": t, **finite(metrics)}
        # A resumed training repeats the batches since its last checkpoint. Where its episodes are others
        # (sampled ahead, by servers, on a GPU), these are the ones that the weights have learned from.
        if known.get(t) != row:
            folder.append("updates", row)

    return write


def _held_out(plan: RLPlan, rows: Sequence[ProblemRow], samples: int) -> HeldOut:
    return HeldOut(
        rows,
        step_format=load_format(plan.format),
        max_steps=plan.max_steps,
        sampling=plan.settings.sampling,
        samples=samples,
    )


def _compared(held_out: HeldOut, plan: RLPlan, model: Path) -> TrainedPolicy:
    """Measures the start and the trained policy on the same problems."""
    # The same seed and problems for both, so that the difference is paired.
    before, after = (
        held_out.by_problem(load_policy(spec, format=plan.format), plan.settings.seed)
        for spec in (hf_spec(plan.model, plan.settings.template_arguments), hf_spec(str(model)))
    )
    return TrainedPolicy(model, len(before), gains(before, after))
