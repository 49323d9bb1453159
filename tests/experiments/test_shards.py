"""Synthesis by executors: the same rows from this process, from two others, and from a Ray cluster."""

import importlib.util
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from o1coder_gym.process_data.store import FILES
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
    from o1coder_gym.experiments.synthesis import SynthesisPlan, synthesize
    from o1coder_gym.problems.loading import load_rows
    from o1coder_gym.runs.budget import Budget

    names = tuple(row.problem.task_id for row in load_rows(str(problems)))
    agent = "mcts:simulations=6,width=2"
    plan = SynthesisPlan(str(problems), names, agent, "fake:depth=3", "pseudocode", Budget(), tests=0)
    assert "rollouts" not in plan.to_row()  # runs of earlier versions go on
    completed = replace(plan, rollouts=3)
    rows = {}
    for executor in ("serial", "processes:2"):
        out = tmp_path / executor.partition(":")[0]
        found = synthesize(completed, out, executor=executor)
        inner = [row for row in found.prefixes if not row.ended]
        assert inner
        assert {row.visits for row in inner} == {3}
        assert all(0 <= row.passing <= row.ends == 3 for row in inner)
        rows[executor] = found.prefixes
        again = synthesize(completed, out, executor=executor, resume=True)
        assert again == found
    assert rows["serial"] == rows["processes:2"]
    assert [row.state for row in synthesize(plan, tmp_path / "plain").prefixes] == [
        row.state for row in rows["serial"]
    ]
