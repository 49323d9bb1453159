"""Evaluation, PRM scores and test generation by executor: the same rows as in this process."""

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.errors import BudgetExhausted, O1CoderError
from o1coder_gym.experiments import NoAnswersError, Plan, benchmark, run_benchmark
from o1coder_gym.experiments.measures.held_out import HeldOut, means
from o1coder_gym.experiments.micro.problems import micro_rows, write_rows
from o1coder_gym.experiments.self_play.config import (
    ProblemSection,
    RunSection,
    SelfPlayConfig,
    SynthesisSection,
)
from o1coder_gym.experiments.self_play.stages import Learned, RealStages, StagesOnGPUs
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.reporting.results import ResultRow, read_results
from o1coder_gym.runs import executors
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import read_rows
from o1coder_gym.steps.formats import load_format
from o1coder_gym.tcg.store import generated_tests
from o1coder_gym.types import Problem, Sampling, SearchResult, State
from o1coder_gym.types.queries import Advance, Propose, Search, advance, propose
from tests.command_line import call
from tests.experiments.elsewhere import NAME

AGENTS = ("greedy", "best_of_n_random:n=2", "best_of_n:n=2")


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("micro") / "problems.jsonl"
    write_rows(micro_rows({"train": 4, "validation": 2, "test": 2}), path)
    return path


@pytest.fixture(scope="module")
def plan(problems: Path) -> Plan:
    names = tuple(row.problem.task_id for row in load_rows(str(problems)))[:5]
    budget, smaller = Budget(tokens=400), (Budget(tokens=100),)
    return Plan(
        str(problems), names, AGENTS, "fake:depth=2", "pseudocode", budget, seeds=(0, 1), sweep=smaller
    )


def untimed(rows: list[ResultRow]) -> list[dict[str, Any]]:
    found = [row.to_row() for row in rows]
    for row in found:
        row["usage"].pop("seconds")
        row.pop("timed")
    return sorted(found, key=json.dumps)


@pytest.fixture(scope="module")
def serial(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return untimed(run_benchmark(plan, tmp_path_factory.mktemp("serial") / "run"))


def test_a_benchmark_has_the_same_rows(plan: Plan, serial: list[dict[str, Any]], tmp_path: Path) -> None:
    told: list[ResultRow] = []
    rows = run_benchmark(plan, tmp_path / "run", executor=NAME, on_row=told.append)
    assert untimed(rows) == serial == untimed(read_results(tmp_path / "run"))
    assert len(told) == len(plan.task_ids) * len(plan.seeds) * len(AGENTS)  # of the whole budget, no oracle
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"trees.jsonl", "evaluation.jsonl", "answers.jsonl", "report.html"} <= files


@pytest.mark.parametrize("then", ["serial", NAME])
def test_a_benchmark_goes_on_anywhere(
    plan: Plan, serial: list[dict[str, Any]], tmp_path: Path, then: str
) -> None:
    class StopError(Exception):
        pass

    left = 4

    def stop(row: ResultRow) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise StopError

    with pytest.raises(StopError):
        run_benchmark(plan, tmp_path / "run", executor=NAME, on_row=stop)
    new: list[ResultRow] = []
    rows = run_benchmark(plan, tmp_path / "run", executor=then, resume=True, on_row=new.append)
    assert untimed(rows) == serial
    assert 0 < len(new) < len(plan.task_ids) * len(plan.seeds) * len(AGENTS)


@pytest.mark.parametrize(("tests", "told"), [("public", ["5 of 5 problems"]), ("generated", [])])
def test_tests_that_are_made_elsewhere_are_not_missed(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tests: str, told: list[str]
) -> None:
    class StartedError(Exception):
        pass

    def start(*_: Any) -> None:
        raise StartedError

    monkeypatch.setattr(benchmark, "run_shards", start)
    rows = [row for row in load_rows(plan.problems) if row.problem.task_id in plan.task_ids]
    bare = [replace(row, problem=replace(row.problem, public_tests=())) for row in rows]
    found: list[str] = []
    with pytest.raises(StartedError):
        run_benchmark(
            replace(plan, tests=tests), tmp_path / "run", rows=bare, executor=NAME, on_warning=found.append
        )
    assert [line[:15] for line in found if "public tests" in line] == told


def test_a_policy_that_fails_elsewhere_leaves_rows_to_try_again(plan: Plan, tmp_path: Path) -> None:
    broken = replace(plan, policy="tests.experiments.test_executors:Broken", agents=("greedy",), sweep=())
    with pytest.raises(NoAnswersError, match="10 of 10 rows have no answer, the first: no server"):
        run_benchmark(broken, tmp_path / "run", executor=NAME)


@pytest.mark.parametrize("where", ["serial", NAME])
def test_a_task_that_failed_within_a_smaller_budget_is_tried_again_as_a_whole(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    spec = "tests.experiments.test_executors:brittle"
    plan = replace(plan, agents=("greedy", spec), sweep=(Budget(tokens=100), Budget(tokens=0)))
    out, tasks = tmp_path / "run", len(plan.task_ids) * len(plan.seeds)
    monkeypatch.setattr(sys.modules[__name__], "FAILS", [True])
    for resume in (False, True):
        with pytest.raises(NoAnswersError, match=f"{tasks} of {2 * 3 * tasks} rows have no answer"):
            run_benchmark(plan, out, executor=where, resume=resume)
        kept = [ResultRow.from_row(row) for row in read_rows(out / "results.jsonl")]
        assert {row.agent for row in kept} == {"greedy"}
        assert len(kept) == 3 * tasks
        failed = [row for row in read_results(out) if row.error]
        assert {(row.agent, row.budget.tokens) for row in failed} == {(spec, 0)}
    FAILS.clear()
    rows = run_benchmark(plan, out, executor=where, resume=True)
    assert len(rows) == 2 * 3 * tasks
    written = [ResultRow.from_row(row) for row in read_rows(out / "results.jsonl")]
    assert untimed(written) == untimed(rows) == untimed(read_results(out))


def test_a_run_whose_failed_tasks_left_rows_is_put_right(plan: Plan, tmp_path: Path) -> None:
    """Earlier versions kept the rows of a failed task that have an answer, and took it for done."""
    out = tmp_path / "run"
    whole = untimed(run_benchmark(plan, out, executor=NAME))
    rows = list(read_rows(out / "results.jsonl"))
    lost = next(row for row in rows if row["agent"] == "greedy" and row["budget"]["tokens"] == 100)
    (out / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows if row != lost))
    (out / "failures.jsonl").write_text(json.dumps(lost | {"outcome": None, "error": "the judge failed"}))
    again = run_benchmark(plan, out, executor=NAME, resume=True)
    trees = Counter((row["agent"], row["seed"], row["task_id"]) for row in read_rows(out / "trees.jsonl"))
    assert {key for key, count in trees.items() if count > 1} == {("greedy", lost["seed"], lost["task_id"])}
    assert untimed(again) == whole == untimed(read_results(out))
    assert len(list(read_rows(out / "results.jsonl"))) == len(whole)


FAILS: list[bool] = []
"""Whether `brittle` does."""


def brittle(problem: Problem, root: State, /) -> Search:
    """Fails where its budget pays for nothing."""
    try:
        (drawn,) = yield from propose([Propose(root)])
        (end,) = yield from advance([Advance(root, drawn[0].text)])
    except BudgetExhausted:
        if FAILS:
            raise ZeroDivisionError("nothing was found") from None
        return SearchResult(None)
    return SearchResult(end.state, 1.0)


class Broken:
    """A policy without its server."""

    def propose(self, requests: Any, /) -> Any:
        raise O1CoderError("no server")


def test_held_out_measures_are_the_same(problems: Path) -> None:
    held_out = HeldOut(
        load_rows(str(problems)).rows[:5],
        step_format=load_format("pseudocode"),
        max_steps=3,
        sampling=Sampling(max_tokens=32),
        samples=2,
    )
    here, there = (held_out.by_problem_on(where, "fake:depth=2", 3) for where in ("serial", NAME))
    assert here == there
    assert list(here) == list(there)
    assert means(here)["format_compliance"] == sum(row["format_compliance"] for row in here.values()) / 5


def test_generated_tests_are_the_same(problems: Path, tmp_path: Path) -> None:
    rows = load_rows(str(problems)).rows[:5]
    here = generated_tests("mutation", rows, 6, tmp_path / "here")
    there = generated_tests("mutation", rows, 6, tmp_path / "there", NAME)
    assert here == there
    assert [*map(len, here.values())] == [6] * 5
    assert (tmp_path / "here/tests.jsonl").read_text() == (tmp_path / "there/tests.jsonl").read_text()


@pytest.mark.parametrize("name", [NAME, "nowhere"])
def test_a_generator_is_measured_the_same(problems: Path, name: str) -> None:
    command = ["tcg", "eval", problems, "--limit", "4", "--tests", "5", "--mutants", "4", "--json"]
    there = call(*command, "--executor", name)
    if name == "nowhere":
        assert "is none of serial" in str(there.exception)
    else:
        assert json.loads(there.stdout) == json.loads(call(*command).stdout)


@pytest.fixture(scope="module")
def data(problems: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "run"
    options = ("--agent", "mcts:simulations=6,width=2", "--policy", "fake:depth=2", "--tests", "0")
    done = call("synthesize", "--problems", problems, *options, "--validation", "0", "--out", out)
    assert done.exit_code == 0, done.output
    return out


def test_prefixes_are_scored_the_same(data: Path, tmp_path: Path) -> None:
    command = ("prm", "score", "heuristic", "--data", data)
    here = call(*command).stdout
    assert len(here.splitlines()) > 8
    assert call(*command, "--executor", NAME).stdout == here
    measure = ("prm", "eval", "heuristic", "--data", data, "--split", "all", "--resamples", "10", "--json")
    reports = [
        json.loads(call(*measure, "--out", tmp_path / str(place), *where).stdout)
        for place, where in enumerate(((), ("--executor", NAME)))
    ]
    assert reports[0] == reports[1]
    scores = [sorted((tmp_path / name / "scores.jsonl").read_text().splitlines()) for name in "01"]
    assert scores[0] == scores[1]
    kept = (tmp_path / "1/scores.jsonl").read_text()
    again = call(*measure, "--out", tmp_path / "1", "--resume", "--executor", NAME)
    assert json.loads(again.stdout) == reports[0]
    assert (tmp_path / "1/scores.jsonl").read_text() == kept


def config(problems: Path, executor: str) -> SelfPlayConfig:
    run = RunSection("tiny", executor=executor, samples=1, max_steps=2, max_tokens=16)
    return SelfPlayConfig(
        run, ProblemSection(str(problems)), SynthesisSection(tests=0), None, None, "soft", None
    )


def test_trainings_go_where_the_gpus_are(
    problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def there(work: Any, pieces: Any) -> Any:
        asked.extend(pieces)
        return iter([str(tmp_path / "model")])

    module = sys.modules[StagesOnGPUs.__module__]  # by name `experiments.self_play` is the function
    monkeypatch.setattr(module, "load_executor", lambda spec: (there, 1))
    stages = StagesOnGPUs(config(problems, "ray:2?gpus=1"), tmp_path)
    learned = Learned("tiny", data=tmp_path)
    with pytest.raises(O1CoderError, match="a file system that all machines share"):
        stages.fine_tune(learned, 0, tmp_path / "sft")
    (tmp_path / "model").mkdir()
    assert stages.reinforce(learned, 1, tmp_path / "rl") == str(tmp_path / "model")
    assert asked == [
        ("fine_tune", (learned, 0, tmp_path / "sft")),
        ("reinforce", (learned, 1, tmp_path / "rl")),
    ]


def test_a_stage_elsewhere_is_the_stage_here(
    problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RealStages, "fine_tune", lambda self, learned, iteration, folder: str(folder))
    (tmp_path / "sft").mkdir()
    stages = StagesOnGPUs(config(problems, NAME), tmp_path)
    assert stages.fine_tune(Learned("tiny"), 0, tmp_path / "sft") == str(tmp_path / "sft")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [("serial", False), ("ray:8", False), ("ray:auto?gpus=0.5", True), ("ray?gpus=0", False)],
)
def test_which_executors_have_gpus(spec: str, expected: bool) -> None:
    assert executors.has_gpus(spec) is expected
