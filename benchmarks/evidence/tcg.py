"""Measures test generators on MBPP sanitized and HumanEval, and as rewards.

Commands, in the order in which the results in README.md were made::

    python benchmarks/evidence/tcg.py mutation           # without a model, beside the data sets' own tests
    python benchmarks/evidence/tcg.py programs --out FILE         # samples programs of the default model
    python benchmarks/evidence/tcg.py reward --programs FILE      # agreement of the reward with hidden tests
    python benchmarks/evidence/tcg.py training --out runs/tcg     # base → SFT → DPO: the commands
    python benchmarks/evidence/tcg.py rewarded --out runs/rewarded    # the same on what tests earn

`training` and `rewarded` print the commands they would run; with ``--run`` they run them (hours on a CPU,
minutes on a GPU) and, called again, go on where they were. `compare` pairs two `tcg eval` of one set.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.main import main_of
from o1coder_gym.metrics.estimates import ROUGH, estimate_difference, estimate_share
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.loading import load_problems, load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.journal import read_rows
from o1coder_gym.runs.progress import tracked
from o1coder_gym.sandbox import Judge
from o1coder_gym.sandbox.trial import Output
from o1coder_gym.settings import Checked, Flag
from o1coder_gym.tcg.checking.solutions import read_programs, sample_programs, source_of
from o1coder_gym.tcg.mutation import MutationGenerator
from o1coder_gym.tcg.quality.evaluation import (
    QUALITY,
    DatasetTests,
    EvaluationSettings,
    evaluate_batch,
    evaluate_batches,
)
from o1coder_gym.tcg.quality.measures import ProblemQuality, reward_agreement, summarize
from o1coder_gym.tcg.requests import TestRequest
from o1coder_gym.types import Submission, Verdict

SETS = ("mbpp-sanitized", "humaneval")
_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SetsSettings(Checked):
    """Problems.

    Attributes:
        limit: First N problems of each set only.
    """

    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MutationSettings(SetsSettings):
    """Mutation.

    Attributes:
        tests: Tests per problem.
        mutants: Mutants per problem.
    """

    tests: int = 20
    mutants: int = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramsSettings(SetsSettings):
    """Programs.

    Attributes:
        out: File to write.
        policy: Who writes them.
        samples: Programs per problem.
        skip: Leaves out the first N problems of each set.
    """

    out: Path
    policy: str = f"hf:{DEFAULT_MODEL}"
    samples: int = 8
    skip: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardSettings(SetsSettings):
    """Reward.

    Attributes:
        programs: JSONL rows with task_id and code.
        tests: Tests per problem.
        voters: Mode B: the first N programs of a problem vote.
    """

    programs: Path
    tests: int = 20
    voters: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardedSettings(Checked):
    """Rewarded.

    Attributes:
        out: Folder for data, runs and results.
        problems: Set with splits.
        learned: Split to learn from.
        measured: Split to measure on.
        limit: First N problems of the split to learn from.
        held_out: First N problems of the other.
        model: To start from.
        engine: Who writes tests: hf or vllm.
        policy: Who writes programs, in the vanilla format.
        programs: Programs of both splits instead of --policy, as rows with task_id and code.
        samples: Programs per problem.
        written: Tests per problem to choose from.
        asked: Tests per problem to measure.
        sft: Further options of SFT.
        dpo: Further options of DPO.
        run: Run the commands instead of printing them.
    """

    out: Path
    problems: str = "mbpp"
    learned: str = "train"
    measured: str = "test"
    limit: int = 374
    held_out: int = 150
    model: str = DEFAULT_MODEL
    engine: str = "hf"
    policy: str = f"hf:{DEFAULT_MODEL}"
    programs: Path | None = None
    samples: int = 8
    written: int = 24
    asked: int = 6
    sft: str = "--lora-rank 16 --lr 1e-4 --epochs 2"
    dpo: str = "--lora-rank 16 --lr 2e-5"
    run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSettings(Checked):
    """Compare.

    Attributes:
        after: Folder of `tcg eval`.
        before: Folder of another one on the same problems.
    """

    after: Annotated[Path, Flag("AFTER")]
    before: Annotated[Path, Flag("BEFORE")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings(Checked):
    """Training.

    Attributes:
        out: Folder for data, runs and results.
        model: To start from.
        engine: Who writes the tests that are measured: hf or vllm.
        rows: Rows per problem.
        train: Further options of all trainings.
        dpo: Further options of DPO.
        run: Run the commands instead of printing them.
    """

    out: Path
    model: str = DEFAULT_MODEL
    engine: str = "hf"
    rows: int = 4
    train: str = ""
    dpo: str = ""
    run: bool = False


class TimedJudge:
    """A judge that counts the seconds spent in it."""

    def __init__(self, judge: Judge) -> None:
        """Args: the judge to time."""
        self._judge = judge
        self.seconds = 0.0

    def evaluate(
        self, submissions: Sequence[Submission], /, *, stop_at_failure: bool = False
    ) -> list[Verdict]:
        """Judges a batch."""
        start = time.perf_counter()
        verdicts = self._judge.evaluate(submissions, stop_at_failure=stop_at_failure)
        self.seconds += time.perf_counter() - start
        return verdicts

    def outputs(self, submissions: Sequence[Submission], /) -> list[tuple[Output, ...]]:
        """Runs a batch for its outputs."""
        start = time.perf_counter()
        outputs = self._judge.outputs(submissions)
        self.seconds += time.perf_counter() - start
        return outputs


def mutation(asked: MutationSettings) -> None:
    """Soundness, kill rate and speed of the mutation generator, beside the data sets' own tests."""
    limit, tests, mutants = asked.limit, asked.tests, asked.mutants
    with Judge() as judge:
        for name in SETS:
            rows = [row for row in load_rows(name).rows if row.reference][:limit]
            _print(name, "speed", _speed(judge, rows, tests))
            settings = EvaluationSettings(tests=tests, mutants=mutants)
            for title, generator in (
                ("mutation", MutationGenerator(judge)),
                ("own tests", DatasetTests(rows)),
            ):
                work = partial(evaluate_batch, judge, generator, settings, None)
                found = list(evaluate_batches(work, rows, settings))
                _print(name, title, _figures(found))


def programs(asked: ProgramsSettings) -> None:
    """Samples programs for all problems of both sets, as rows with task_id and code."""
    policy, samples, skip, limit = asked.policy, asked.samples, asked.skip, asked.limit
    sampler = load_policy(policy, format="vanilla")
    problems = [problem for name in SETS for problem in load_problems(name)[skip:][:limit]]
    with asked.out.open("w") as file:
        batches = [problems[start : start + _BATCH] for start in range(0, len(problems), _BATCH)]
        for batch in tracked(batches, len(batches), f"programs of {policy}"):
            for task_id, codes in sample_programs(sampler, batch, samples).items():
                file.writelines(json.dumps({"task_id": task_id, "code": code}) + "\n" for code in codes)
            file.flush()


def reward(asked: RewardSettings) -> None:
    """Agreement of the reward from generated tests with the hidden tests, in both modes."""
    limit, tests, voters = asked.limit, asked.tests, asked.voters
    found = read_programs(asked.programs)
    votes = {task_id: codes[:voters] for task_id, codes in found.items()}
    others = {task_id: codes[voters:] for task_id, codes in found.items()}
    with Judge() as judge:
        for mode, generator, judged in (
            ("mode A", MutationGenerator(judge), found),
            ("mode B", MutationGenerator(judge, solutions=source_of(votes)), others),
        ):
            measured: list[ProblemQuality] = []
            for name in SETS:
                rows = [row for row in load_rows(name).rows if row.problem.task_id in judged][:limit]
                settings = EvaluationSettings(tests=tests, with_reference=mode == "mode A", mutants=0)
                work = partial(evaluate_batch, judge, generator, settings, judged)
                measured += evaluate_batches(work, rows, settings)
            _print("+".join(SETS), mode, _agreement(measured))


def training(asked: TrainingSettings) -> None:
    """Base → SFT → DPO, on exchanged outputs and on own mistakes: learn MBPP train, measure MBPP test."""
    out, model, engine, rows, train = asked.out, asked.model, asked.engine, asked.rows, asked.train
    data, sft, own = out / "data", out / "sft", out / "own"
    ask = f"--generator {engine}:{sft}/model --tests 6 --mutants 0"
    commands = [
        f"o1coder tcg data mbpp --split train --augment 9 --rows {rows} --out {data}",
        f"o1coder tcg sft --data {data} --out {sft} --model {model} --lora-rank 1 --lr 5e-4 {train}",
        f"o1coder tcg eval mbpp --split train {ask} --out {own}",
        f"o1coder tcg data mbpp --split train --written {own}/tests.jsonl --rows 2 --out {data}-own",
    ]
    for name, pairs in (("dpo", data), ("dpo-own", f"{data}-own")):
        start = f"--model {sft}/model --lora-rank 1 --lr 1e-4 {train} {asked.dpo}"
        commands.append(f"o1coder tcg dpo --data {pairs} --out {out / name} {start}")
    for name in ("base", "sft", "dpo", "dpo-own"):
        spec = model if name == "base" else f"{out / name}/model"
        commands.append(
            f"o1coder tcg eval mbpp --split test --limit 120 --generator {engine}:{spec} --tests 3 "
            f"--out {out}/eval-{name} --json"
        )
    _run(commands, asked.run)


def rewarded(asked: RewardedSettings) -> None:
    """Base → SFT on tests that earn most → DPO on what earns against what earns nothing; then measured."""
    out, engine = asked.out, asked.engine
    ask = f"o1coder tcg eval {asked.problems} --mutants 0 --resume"
    train = f"{ask} --split {asked.learned} --limit {asked.limit} --tests {asked.written}"
    test = f"{ask} --split {asked.measured} --limit {asked.held_out} --tests {asked.asked}"
    sampled = f"--policy {asked.policy} --samples {asked.samples}"
    models = {"base": asked.model, "sft": f"{out}/sft/model", "dpo": f"{out}/dpo/model"}
    commands, told = [], {"learned": sampled, "measured": sampled}
    if asked.programs is not None:
        told = dict.fromkeys(told, f"--programs {asked.programs}")
    for stage, base, options in (("sft", "base", asked.sft), ("dpo", "sft", asked.dpo)):
        own, data = out / f"own-{base}", out / f"data-{stage}"
        programs = asked.programs or out / "own-base" / "programs.jsonl"
        trained = f"--model {models[base]} {options} --out {out}/{stage} --resume"
        commands += [
            f"{train} --generator {engine}:{models[base]} {told['learned']} --out {own}",
            f"o1coder tcg data {asked.problems} --split {asked.learned} --written {own}/tests.jsonl "
            f"--programs {programs} --out {data}",
            f"o1coder tcg {stage} --data {data} {trained}",
        ]
        told["learned"] = f"--programs {programs}"  # the policy's programs are sampled once
    for name, model in models.items():
        commands.append(f"{test} --generator {engine}:{model} {told['measured']} --out {out}/eval-{name}")
        told["measured"] = f"--programs {asked.programs or out / 'eval-base' / 'programs.jsonl'}"
    script = shlex.quote(__file__)
    for after, before in (("sft", "base"), ("dpo", "base"), ("dpo", "sft")):
        commands.append(f"{sys.executable} {script} compare {out}/eval-{after} {out}/eval-{before}")
    _run(commands, asked.run)


def compare(asked: CompareSettings) -> None:
    """Rates of two generators on the same problems, and their differences problem by problem."""
    found = [
        {row["task_id"]: ProblemQuality(**row) for row in read_rows(folder / f"{QUALITY}.jsonl")}
        for folder in (asked.after, asked.before)
    ]
    both = sorted(found[0].keys() & found[1].keys())
    print(f"{asked.after} less {asked.before}, {len(both)} problems")
    for name, (part, whole) in _RATES.items():
        shares = [
            [getattr(one[task], part) / getattr(one[task], whole) for one in found]
            for task in both
            # None: rows of earlier versions do not know it
            if all(getattr(one[task], whole) and getattr(one[task], part) is not None for one in found)
        ]
        after, before = (estimate_share([pair[side] for pair in shares]) for side in (0, 1))
        apart = estimate_difference([one - other for one, other in shares])
        ends = f"[{100 * apart.low:+.1f}, {100 * apart.high:+.1f}]{ROUGH * apart.rough} points"
        rates = f"{before.percent()} → {after.percent()}, {100 * apart.value:+.1f} {ends}"
        print(f"{name}: {rates}, {len(shares)} problems")


_RATES = {
    "new valid tests of asked": ("new", "asked"),
    "shown tests of asked": ("shown", "asked"),
    "tests that pass, of asked": ("passed", "asked"),
    "wrong programs that new tests reject": ("wrong_killed", "wrong"),
    "right programs accepted": ("right_accepted", "right"),
}
"""Counts of `ProblemQuality`: part and whole."""


def _run(commands: Sequence[str], really: bool) -> None:
    """Prints commands, and runs them if so asked."""
    for line in commands:
        print(line, flush=True)
        if really:
            subprocess.run(shlex.split(line), check=True)


def _speed(judge: Judge, rows: list[ProblemRow], tests: int) -> dict[str, Any]:
    """Returns problems a second with and without the judge's share."""
    timed = TimedJudge(judge)
    start = time.perf_counter()
    MutationGenerator(timed).generate_batch([TestRequest(row.problem, tests, row.reference) for row in rows])
    seconds = time.perf_counter() - start
    return {
        "problems": len(rows),
        "problems_per_s_without_judge": round(len(rows) / (seconds - timed.seconds), 1),
        "problems_per_s": round(len(rows) / seconds, 1),
    }


def _figures(found: list[ProblemQuality]) -> dict[str, Any]:
    names = ("pass_rate_of_asked", "pass_rate_of_parsed", "input_validity", "kill_rate", "timeout_rate")
    names += ("equivalent_rate", "tests_per_problem")
    rates = summarize(found)
    figures: dict[str, Any] = {
        name: [round(value, 4) for value in (rates[name].mean, rates[name].low, rates[name].high)]
        + ["rough"] * rates[name].rough
        for name in names
    }
    killed, made = sum(one.killed for one in found), sum(one.mutants for one in found)
    figures["kill_rate_over_all_mutants"] = round(killed / made, 4)
    return figures | {"mutants": made, "problems": len(found)}


def _agreement(found: list[ProblemQuality]) -> dict[str, Any]:
    """Adds an interval over problems, for the programs of one problem are not independent."""
    judged = [one for one in found if one.right + one.wrong]
    shares = [(one.right_accepted + one.wrong_rejected) / (one.right + one.wrong) for one in judged]
    over = estimate_share(shares, [one.right + one.wrong for one in judged])
    return asdict(reward_agreement(found)) | {"interval_over_problems": [over.low, over.high]}


def _print(name: str, title: str, figures: dict[str, Any]) -> None:
    print(json.dumps({"set": name, "what": title, **figures}), flush=True)


if __name__ == "__main__":
    app = new_app("tcg", __doc__ or "")
    app.command(command(MutationSettings, mutation, name="mutation"))
    app.command(command(ProgramsSettings, programs, name="programs"))
    app.command(command(RewardSettings, reward, name="reward"))
    app.command(command(TrainingSettings, training, name="training"))
    app.command(command(RewardedSettings, rewarded, name="rewarded"))
    app.command(command(CompareSettings, compare, name="compare"))
    sys.exit(main_of(app))
