"""Test case generators: measured, their training data made, trained; programs chosen by their tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics.estimates import Estimate
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.models.training.assembly import TrainingResult
from o1coder_gym.models.training.settings import TrainingSettings
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.likeness.trained_on import trained_on, write_trained_on
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.executors import load_executor
from o1coder_gym.runs.journal import FILES, RunFolder, optional_folder
from o1coder_gym.runs.provenance import content_hash, file_hashes, input_hashes
from o1coder_gym.sandbox import Judge, default_judge
from o1coder_gym.settings import AtLeastOne, Checked, Count, Flag, Range, Without
from o1coder_gym.settings.groups import (
    ExecutorSpec,
    FirstN,
    ModelName,
    PushToHub,
    Seed,
    SetName,
    SkipBad,
    Split,
)
from o1coder_gym.tcg.checking.selection import choose, execute, load_score
from o1coder_gym.tcg.checking.solutions import read_programs, sample_programs, source_of
from o1coder_gym.tcg.loading import load_generator
from o1coder_gym.tcg.quality.evaluation import (
    DatasetTests,
    Evaluated,
    EvaluationSettings,
    evaluate_batch,
    evaluate_batches,
)
from o1coder_gym.tcg.quality.measures import (
    ProblemQuality,
    RewardAgreement,
    reward_agreement,
    summarize,
)
from o1coder_gym.tcg.requests import TestRequest, generate_all
from o1coder_gym.tcg.store import read_generated, read_tests
from o1coder_gym.tcg.training.corrections import build_corrections
from o1coder_gym.tcg.training.data_card import write_dataset
from o1coder_gym.tcg.training.dataset import DatasetSettings, build_dataset
from o1coder_gym.tcg.training.separation import build_separating
from o1coder_gym.tcg.training.training import train
from o1coder_gym.types import GeneratedTests, Problem, TestCase
from o1coder_gym.types.protocols import TestGenerator

PROGRAMS = "programs"
"""Name of the file of sampled programs in a run folder; --programs reads it."""
_BATCH = 16

Item = TypeVar("Item")
Mode: TypeAlias = Literal["a", "b"]
Track = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Passes items on and shows how far it is: of how many, under which title."""


def untracked(items: Iterable[Item], total: int, title: str) -> Iterable[Item]:
    """Yields items unchanged and shows nothing."""
    return items


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSettings(Checked):
    """Programs.

    Attributes:
        programs: JSONL rows with task_id and code: right or wrong programs.
        policy: Policy that samples programs, in place of --programs.
        samples: Programs sampled per problem.
        voters: Mode b: the first N programs of a problem vote.
    """

    programs: Path | None = None
    policy: str | None = None
    samples: AtLeastOne = 8
    voters: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSettings(Checked):
    """Generator.

    Attributes:
        generator: mutation, dataset (its own tests), or a policy: hf:NAME.
        tests: Tests to request per problem.
        mode: a: question and reference; b: question only.
        repair: Measure a model's tests after check and repair.
        as_reward: Compare the reward with that of the hidden tests.
        mutants: Mutants per problem at most.
        tried: The programs that the tests are tried on.
    """

    problems: Annotated[SetName, Flag("SET")]
    split: Split = None
    limit: FirstN = None
    skip_bad: SkipBad = False
    generator: str = "mutation"
    tests: AtLeastOne = 20
    mode: Mode = "a"
    repair: bool = False
    as_reward: bool = False
    mutants: Count = 40
    seed: Seed = 0
    executor: ExecutorSpec = "serial"
    tried: ProgramSettings = ProgramSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsSettings(Checked):
    """Rows.

    Attributes:
        problems: Names or paths of problem sets.
        split: Split of the sets, e.g. test.
        cases: Cases per row.
        rows: Rows per problem at most.
        validation: Share of problems for validation.
        mode: a: question and reference; b: question only.
        augment: Further cases per problem, by the mutation generator.
        written: Tests of a model, as of tcg eval: pairs are its mistakes, corrected.
        programs: JSONL rows with task_id and code: right or wrong programs. With --written, pairs are tests
            that reject some of them against tests that do not.
    """

    problems: Annotated[tuple[str, ...], Flag("SET")]
    split: str | None = None
    limit: FirstN = None
    skip_bad: SkipBad = False
    cases: Annotated[int, Range(2, 6)] = 3
    rows: AtLeastOne = 4
    validation: Annotated[float, Range(0, 0.9)] = 0.1
    mode: Mode = "a"
    augment: Count = 0
    written: Path | None = None
    programs: Path | None = None
    seed: Seed = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionSettings(Checked):
    """Selection.

    Attributes:
        solutions: JSONL rows with task_id and code.
        tests: JSONL rows with task_id, tests and their weights, as of tcg eval.
        by: public, tests, codet, codet-sqrt, majority; the next breaks ties.
    """

    problems: Annotated[SetName, Flag("SET")]
    solutions: Path
    tests: Path | None = None
    by: tuple[str, ...] = ("codet", "tests")
    split: Split = None
    skip_bad: SkipBad = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSFT(Checked):
    """Model and data.

    Attributes:
        data: Folder made by o1coder tcg data.
        training: How it is trained.
    """

    data: Path
    model: ModelName = DEFAULT_MODEL
    push_to_hub: PushToHub = None
    training: Annotated[TrainingSettings, Without(("beta",))] = TrainingSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorDPO(Checked):
    """Model and data.

    Attributes:
        data: Folder made by o1coder tcg data.
        model: The model that SFT made; it is the reference too.
        training: How it is trained.
    """

    data: Path
    model: str
    push_to_hub: PushToHub = None
    training: TrainingSettings = TrainingSettings(learning_rate=5e-5, rows_at_once=2)


@dataclass(frozen=True, slots=True)
class GeneratorReport:
    """Measurements of a test generator.

    Attributes:
        problems: What was found for each problem.
        rates: Means over the problems by name, see `tcg.quality.measures.summarize`.
        agreement: Of the reward with that of the hidden tests; None where it was not asked for.
    """

    problems: tuple[ProblemQuality, ...]
    rates: Mapping[str, Estimate]
    agreement: RewardAgreement | None = None

    def to_row(self) -> dict[str, Any]:
        """Returns what was measured as a JSON-able dict."""
        row: dict[str, Any] = {
            name: {"mean": rate.value, "low": rate.low, "high": rate.high}
            | {"problems": rate.count, "rough": rate.rough}
            for name, rate in self.rates.items()
            if rate.count
        }
        return row if self.agreement is None else row | {"reward": asdict(self.agreement)}


def measure_generator(
    settings: GeneratorSettings, out: Path | None = None, *, resume: bool = False, track: Track = untracked
) -> GeneratorReport:
    """Measures the tests of a generator: ``o1coder tcg eval`` without printing.

    Args:
        settings: What is measured on what.
        out: Where programs and tests are kept; None keeps nothing.
        resume: Whether to continue the run that `out` holds.
        track: Shows how far it is.

    Raises:
        UsageError: When the reward is to be compared and there are no programs.
    """
    rows = load_rows(settings.problems, split=settings.split, skip_bad=settings.skip_bad)[: settings.limit]
    how = EvaluationSettings(settings.tests, settings.mode == "a", settings.mutants, _BATCH, settings.seed)
    with optional_folder(out, _config(settings, rows, how), resume=resume) as folder:
        tried = _programs(settings, rows, folder, track)
        if settings.as_reward and not tried:
            raise UsageError("--as-reward compares programs: give --programs or --policy")
        run, workers = load_executor(settings.executor)
        work = partial(_evaluated, settings.generator, settings.repair, settings.tried.voters, how, tried)
        measured = evaluate_batches(work, rows, how, folder, run, workers)
        found = tuple(track(measured, len(rows), f"tests of {settings.generator}"))
    agreement = reward_agreement(found) if settings.as_reward else None
    return GeneratorReport(found, summarize(found), agreement)


def _sampled(policy: str, samples: int, seed: int, problems: Sequence[Problem]) -> dict[str, list[str]]:
    """Samples programs of a batch of problems by the policy of this process."""
    return sample_programs(load_policy(policy, format="vanilla"), problems, samples, seed=seed)


def _evaluated(
    generator: str,
    repair: bool,
    voters: int,
    how: EvaluationSettings,
    tried: Mapping[str, Sequence[str]],
    rows: Sequence[ProblemRow],
) -> Evaluated:
    """Evaluates a batch of problems with the judge and the generator of this process."""
    judge = default_judge()
    samples = {task_id: found[voters:] for task_id, found in tried.items()}
    made: TestGenerator = DatasetTests(rows)
    if generator != "dataset":
        source = source_of({task_id: found[:voters] for task_id, found in tried.items()})
        made = load_generator(generator, judge, solutions=source, as_written=not repair)
    return evaluate_batch(judge, made, how, samples, rows)


def learned_problems(settings: GeneratorSettings) -> list[str]:
    """Returns the task ids of the measured problems that the generator was trained on."""

    def asked() -> Iterator[Problem]:  # read only where the generator says what it learned from
        rows = load_rows(settings.problems, split=settings.split, skip_bad=settings.skip_bad).rows
        yield from (row.problem for row in rows[: settings.limit])

    return trained_on(settings.generator, asked())


def _config(
    settings: GeneratorSettings, rows: Sequence[ProblemRow], how: EvaluationSettings
) -> dict[str, Any]:
    tried = settings.tried
    config: dict[str, Any] = {"problems": settings.problems, "split": settings.split}
    config |= {"generator": settings.generator, "repair": settings.repair, "policy": tried.policy}
    config |= {"samples": tried.samples, "voters": tried.voters}
    config |= {"programs": tried.programs and str(tried.programs)}
    inputs = input_hashes(settings.generator, tried.policy)
    if tried.programs is not None:
        inputs["programs"] = content_hash(tried.programs.read_bytes())
    files = file_hashes(settings.problems)
    config |= {name: found for name, found in (("inputs", inputs), (FILES, files)) if found}
    return config | {"task_ids": [row.problem.task_id for row in rows], "settings": asdict(how)}


def make_rows(settings: RowsSettings, out: Path, *, track: Track = untracked) -> list[Path]:
    """Makes SFT rows and DPO pairs from problem sets: ``o1coder tcg data`` without printing.

    Args:
        settings: Of what, and how many.
        out: Folder for the rows and the card.
        track: Shows how far it is.

    Returns:
        The files written.

    Raises:
        UsageError: When a model's tests are given together with further cases.
    """
    split, skip_bad = settings.split, settings.skip_bad
    sets = [load_rows(name, split=split, skip_bad=skip_bad).rows for name in settings.problems]
    rows, judge = [row for found in sets for row in found[: settings.limit]], default_judge()
    how = DatasetSettings(
        settings.cases, settings.rows, settings.validation, settings.mode == "a", settings.seed
    )
    programs = read_programs(settings.programs) if settings.programs else None
    if settings.written is not None:
        if settings.augment:
            raise UsageError("--written cannot be combined with --augment")
        written = read_tests(settings.written)
        dataset = (
            build_corrections(judge, rows, written, how)
            if programs is None
            else build_separating(judge, rows, written, programs, how)
        )
    else:
        dataset = build_dataset(
            judge,
            rows,
            solutions=programs,
            further_tests=_augmented(judge, rows, settings, track) if settings.augment else None,
            settings=how,
        )
    files = list(write_dataset(out, dataset, settings.problems))
    learned = {row["task_id"] for row in (*dataset.sft, *dataset.dpo) if row["split"] == "train"}
    write_trained_on(out, [row.problem for row in rows if row.problem.task_id in learned])
    return files


def train_generator(
    stage: Literal["sft", "dpo"], settings: GeneratorSFT | GeneratorDPO, out: Path, *, resume: bool = False
) -> TrainingResult:
    """Trains a stage of a test generator: ``o1coder tcg sft`` and ``o1coder tcg dpo`` without printing.

    Raises:
        O1CoderError: As by `tcg.training.training.train`.
    """
    return train(
        stage,
        settings.model,
        settings.data,
        out,
        settings.training,
        resume=resume,
        push_to_hub=settings.push_to_hub,
    )


def select_programs(settings: SelectionSettings, *, track: Track = untracked) -> Iterator[dict[str, Any]]:
    """Yields the program chosen for each problem, with its scores: ``o1coder tcg select``.

    Raises:
        UsageError: When no program is for a problem of the set.
    """
    scores = [load_score(name) for name in settings.by]
    candidates = read_programs(settings.solutions)
    generated = read_generated(settings.tests) if settings.tests else {}
    found = load_rows(settings.problems, split=settings.split, skip_bad=settings.skip_bad)
    rows = [row for row in found if row.problem.task_id in candidates]
    if not rows:
        raise UsageError(f"{settings.solutions} has no program for a problem of {settings.problems}")
    judge = default_judge()
    for row in track(rows, len(rows), "choosing"):
        task_id = row.problem.task_id
        made = generated.get(task_id, GeneratedTests(()))
        matrix = execute(judge, row.problem, candidates[task_id], made.tests, made.weights)
        index = choose(matrix, *scores)
        chosen = {name: score(matrix)[index] for name, score in zip(settings.by, scores, strict=True)}
        yield {"task_id": task_id, "index": index, "code": candidates[task_id][index], "scores": chosen}


def _programs(
    settings: GeneratorSettings, rows: Sequence[ProblemRow], folder: RunFolder | None, track: Track
) -> dict[str, list[str]]:
    """Returns the programs of a file, or those of the policy: written before, else now."""
    tried = settings.tried
    if tried.programs is not None:
        return read_programs(tried.programs)
    if tried.policy is None:
        return {}
    known = _written_programs(folder, tried.samples) if folder is not None else {}
    waiting = [row.problem for row in rows if row.problem.task_id not in known]
    batches = [waiting[start : start + _BATCH] for start in range(0, len(waiting), _BATCH)]
    run, _ = load_executor(settings.executor)
    sampled = run(partial(_sampled, tried.policy, tried.samples, settings.seed), batches)
    for written in track(sampled, len(batches), f"programs of {tried.policy}"):
        known |= written
        if folder is not None:
            pairs = ((task_id, code) for task_id, codes in written.items() for code in codes)
            folder.append(PROGRAMS, *({"task_id": task_id, "code": code} for task_id, code in pairs))
    return known


def _written_programs(folder: RunFolder, samples: int) -> dict[str, list[str]]:
    """Returns the programs of the problems that have all of theirs; drops the others' from the folder."""
    known: dict[str, list[str]] = {}
    for row in folder.rows(PROGRAMS):
        known.setdefault(row["task_id"], []).append(row["code"])
    whole = {task_id: codes for task_id, codes in known.items() if len(codes) >= samples}
    folder.keep(PROGRAMS, lambda row: row["task_id"] in whole)
    return whole


def _augmented(
    judge: Judge, rows: Sequence[ProblemRow], settings: RowsSettings, track: Track
) -> dict[str, tuple[TestCase, ...]]:
    generator, count, seed = load_generator("mutation", judge), settings.augment, settings.seed
    requests = [TestRequest(row.problem, count, row.reference, seed) for row in rows if row.reference]
    batches = [requests[start : start + _BATCH] for start in range(0, len(requests), _BATCH)]
    found: dict[str, tuple[TestCase, ...]] = {}
    for batch in track(batches, len(batches), "further cases"):
        generated = generate_all(generator, batch)
        found |= {one.problem.task_id: made.tests for one, made in zip(batch, generated, strict=True)}
    return found
