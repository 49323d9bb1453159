"""Measures test generators on MBPP sanitized and HumanEval, and as rewards.

Commands, in the order in which the results in README.md were made::

    python benchmarks/evidence/tcg.py mutation           # without a model, beside the data sets' own tests
    python benchmarks/evidence/tcg.py programs --out FILE         # samples programs of the default model
    python benchmarks/evidence/tcg.py reward --programs FILE      # agreement of the reward with hidden tests
    python benchmarks/evidence/tcg.py training --out runs/tcg     # base → SFT → DPO: the commands

`training` prints the commands it would run; with ``--run`` it runs them (hours on a CPU, minutes on a GPU).
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.loading import load_problems, load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.progress import tracked
from o1coder_gym.sandbox import Judge
from o1coder_gym.sandbox.trial import Output
from o1coder_gym.statistics import estimate_share
from o1coder_gym.tcg.mutation import MutationGenerator
from o1coder_gym.tcg.quality.evaluation import DatasetTests, EvaluationSettings, evaluate_generator
from o1coder_gym.tcg.quality.measures import ProblemQuality, reward_agreement, summarize
from o1coder_gym.tcg.requests import TestRequest
from o1coder_gym.tcg.solutions import read_programs, sample_programs, source_of
from o1coder_gym.types import Submission, Verdict

app = typer.Typer(help=__doc__, no_args_is_help=True)

SETS = ("mbpp-sanitized", "humaneval")
_BATCH = 32
LimitOption = Annotated[int | None, typer.Option("--limit", help="First N problems of each set only.")]


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


@app.command()
def mutation(limit: LimitOption = None, tests: int = 20, mutants: int = 40) -> None:
    """Soundness, kill rate and speed of the mutation generator, beside the data sets' own tests."""
    with Judge() as judge:
        for name in SETS:
            rows = [row for row in load_rows(name).rows if row.reference][:limit]
            _print(name, "speed", _speed(judge, rows, tests))
            settings = EvaluationSettings(tests=tests, mutants=mutants)
            for title, generator in (
                ("mutation", MutationGenerator(judge)),
                ("own tests", DatasetTests(rows)),
            ):
                found = list(evaluate_generator(judge, generator, rows, settings))
                _print(name, title, _figures(found))


@app.command()
def programs(
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    policy: str = f"hf:{DEFAULT_MODEL}",
    samples: int = 8,
    skip: Annotated[int, typer.Option(help="Leaves out the first N problems of each set.")] = 0,
    limit: LimitOption = None,
) -> None:
    """Samples programs for all problems of both sets, as rows with task_id and code."""
    sampler = load_policy(policy, format="vanilla")
    problems = [problem for name in SETS for problem in load_problems(name)[skip:][:limit]]
    with out.open("w") as file:
        batches = [problems[start : start + _BATCH] for start in range(0, len(problems), _BATCH)]
        for batch in tracked(batches, len(batches), f"programs of {policy}"):
            for task_id, codes in sample_programs(sampler, batch, samples).items():
                file.writelines(json.dumps({"task_id": task_id, "code": code}) + "\n" for code in codes)
            file.flush()


@app.command()
def reward(
    file: Annotated[Path, typer.Option("--programs", help="JSONL rows with task_id and code.")],
    limit: LimitOption = None,
    tests: int = 20,
    voters: Annotated[int, typer.Option(help="Mode B: the first N programs of a problem vote.")] = 4,
) -> None:
    """Agreement of the reward from generated tests with the hidden tests, in both modes."""
    found = read_programs(file)
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
                measured += evaluate_generator(judge, generator, rows, settings, samples=judged)
            _print("+".join(SETS), mode, _agreement(measured))


@app.command()
def training(
    out: Annotated[Path, typer.Option("--out", help="Folder for data, runs and results.")],
    model: str = DEFAULT_MODEL,
    engine: Annotated[str, typer.Option(help="Who writes the tests that are measured: hf or vllm.")] = "hf",
    rows: Annotated[int, typer.Option(help="Rows per problem.")] = 4,
    train: Annotated[str, typer.Option(help="Further options of all trainings.")] = "",
    dpo: Annotated[str, typer.Option("--dpo", help="Further options of DPO.")] = "",
    run: Annotated[bool, typer.Option("--run", help="Run the commands instead of printing them.")] = False,
) -> None:
    """Base → SFT → DPO, on exchanged outputs and on own mistakes: learn MBPP train, measure MBPP test."""
    data, sft, own = out / "data", out / "sft", out / "own"
    ask = f"--generator {engine}:{sft}/model --tests 6 --mutants 0"
    commands = [
        f"o1coder tcg data mbpp --split train --augment 9 --rows {rows} --out {data}",
        f"o1coder tcg sft --data {data} --out {sft} --model {model} --lora-rank 1 --lr 5e-4 {train}",
        f"o1coder tcg eval mbpp --split train {ask} --out {own}",
        f"o1coder tcg data mbpp --split train --written {own}/tests.jsonl --rows 2 --out {data}-own",
    ]
    for name, pairs in (("dpo", data), ("dpo-own", f"{data}-own")):
        start = f"--model {sft}/model --lora-rank 1 --lr 1e-4 {train} {dpo}"
        commands.append(f"o1coder tcg dpo --data {pairs} --out {out / name} {start}")
    for name in ("base", "sft", "dpo", "dpo-own"):
        spec = model if name == "base" else f"{out / name}/model"
        commands.append(
            f"o1coder tcg eval mbpp --split test --limit 120 --generator {engine}:{spec} --tests 3 "
            f"--out {out}/eval-{name} --json"
        )
    for command in commands:
        print(command, flush=True)
        if run:
            subprocess.run(shlex.split(command), check=True)


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
    app()
