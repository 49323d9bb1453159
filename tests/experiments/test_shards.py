"""Synthesis by executors: the same rows from this process, from two others, and from a Ray cluster."""

import importlib.util
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents import best_of_n
from o1coder_gym.agents.driver.tasks import Task, TaskResult
from o1coder_gym.errors import O1CoderError
from o1coder_gym.experiments import shards, synthesis
from o1coder_gym.experiments.synthesis import SynthesisPlan
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.process_data.store import FILES
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import read_rows
from o1coder_gym.types import SearchResult, Usage
from tests.command_line import call

pytestmark = pytest.mark.slow

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the ray extra")


def synthesize(problems: Path, out: Path, executor: str) -> dict[str, str]:
    """Returns the files of the data set that a seeded search with the fake policy makes."""
    command = ["synthesize", "--problems", str(problems), "--policy", "fake:depth=2", "--out", str(out)]
    options = ["--agent", "mcts:simulations=6,width=2", "--tests", "0", "--executor", executor, "--json"]
    done = call(*command, *options)
    assert done.exit_code == 0, done.output
    return {name: (out / f"{name}.jsonl").read_text() for name in FILES}


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from o1coder_gym.experiments.micro.problems import micro_rows, write_rows

    path = tmp_path_factory.mktemp("micro") / "problems.jsonl"
    write_rows(micro_rows({"train": 5}), path)
    return path


@pytest.fixture(scope="module")
def serial(problems: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return synthesize(problems, tmp_path_factory.mktemp("serial") / "run", "serial")


def test_two_processes_make_the_same_rows(problems: Path, serial: dict[str, str], tmp_path: Path) -> None:
    assert len(serial["prefixes"].splitlines()) >= 5
    assert synthesize(problems, tmp_path / "run", "processes:2") == serial
    trees = [json.loads(line) for line in (tmp_path / "run" / "trees.jsonl").read_text().splitlines()]
    assert len({tree["task_id"] for tree in trees}) == len(trees) == 5


@pytest.fixture
def folder_of_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Has Ray keep its token and its sessions elsewhere than at home and in a folder of all users."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # short, for sockets lie in it
        monkeypatch.setenv("HOME", folder)
        monkeypatch.setenv("RAY_TMPDIR", folder)
        monkeypatch.setenv("RAY_worker_niceness", "0")  # else a busy machine leaves them nothing
        yield


@needs_ray
@pytest.mark.usefixtures("folder_of_ray")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_ray_cluster_of_two_workers_makes_the_same_rows(
    problems: Path, serial: dict[str, str], tmp_path: Path
) -> None:
    assert synthesize(problems, tmp_path / "run", "ray:2") == serial


def test_an_unknown_executor_is_refused_before_anything_runs(problems: Path, tmp_path: Path) -> None:
    command = [
        "synthesize",
        "--problems",
        str(problems),
        "--executor",
        "cloud",
        "--out",
        str(tmp_path / "run"),
    ]
    done = call(*command)
    assert "is none of serial, processes:N" in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_each_prefix_is_completed_as_often_as_asked(problems: Path, tmp_path: Path) -> None:
    names = tuple(row.problem.task_id for row in load_rows(str(problems)))
    agent = "mcts:simulations=6,width=2"
    plan = SynthesisPlan(str(problems), names, agent, "fake:depth=3", "pseudocode", Budget(), tests=0)
    assert "rollouts" not in plan.to_row()  # runs of earlier versions go on
    completed = replace(plan, rollouts=3)
    rows = {}
    for executor in ("serial", "processes:2"):
        out = tmp_path / executor.partition(":")[0]
        found = synthesis.synthesize(completed, out, executor=executor)
        inner = [row for row in found.prefixes if not row.ended]
        assert inner
        assert {row.visits for row in inner} == {3}
        assert all(0 <= row.passing <= row.ends == 3 for row in inner)
        rows[executor] = found.prefixes
        again = synthesis.synthesize(completed, out, executor=executor, resume=True)
        assert again == found
    assert rows["serial"] == rows["processes:2"]
    assert [row.state for row in synthesis.synthesize(plan, tmp_path / "plain").prefixes] == [
        row.state for row in rows["serial"]
    ]


@pytest.mark.parametrize("place", ["here", "in a shard"])
def test_a_completion_that_fails_is_told_and_tried_again(
    problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    names = tuple(row.problem.task_id for row in load_rows(str(problems)))
    plan = SynthesisPlan(
        str(problems), names, "best_of_n:n=2", "fake:depth=2", "pseudocode", Budget(), tests=0, rollouts=2
    )
    asked = tuple(row.problem for row in load_rows(str(problems)))

    def failing(trees: Sequence[SearchTree], *_: Any) -> Iterator[tuple[TaskResult, SearchTree]]:
        for tree in trees:
            task = Task(tree.problem.task_id, best_of_n, seed=0)
            error = O1CoderError("the engine is down") if tree.problem.task_id == names[0] else None
            yield TaskResult(task, SearchResult(None), Usage(), error=error), tree

    with monkeypatch.context() as patch:
        patch.setattr(shards, "completed", failing)
        if place == "in a shard":
            trees, failures = shards.search_shard(shards.Shard(plan, asked, {}))
            assert [tree.problem.task_id for tree in trees] == list(names[1:])
        else:
            with pytest.raises(synthesis.FailedSearchesError, match="first: the engine is down"):
                synthesis.synthesize(plan, tmp_path / "run")
            failures = list(read_rows(tmp_path / "run" / "failures.jsonl"))
    assert failures == [{"task_id": names[0], "seed": 0, "error": "the engine is down"}]
    if place == "here":
        again = synthesis.synthesize(plan, tmp_path / "run", resume=True)
        assert {row.state.problem_id for row in again.prefixes} == {*names}
