"""Synthesis by executors: the same rows from this process, from two others, and from a Ray cluster."""

import importlib.util
import json
from pathlib import Path

import pytest

from o1coder_gym.process_data.store import FILES
from tests.command_line import call

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


@needs_ray
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
