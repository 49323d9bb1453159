"""Calibration: fitted on some problems, measured on others, and the file says on which."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("peft", exc_type=ImportError)

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics.calibration import UNCALIBRATED
from o1coder_gym.models.training.settings import PRM_SETTINGS
from o1coder_gym.prm import load_scorer
from o1coder_gym.prm.calibration import read_calibration
from o1coder_gym.prm.scorer import ModelScorer
from o1coder_gym.prm.training.calibrating import calibrate, unseen
from o1coder_gym.prm.training.trainer import train_prm
from o1coder_gym.process_data import ProcessData, write_data
from o1coder_gym.process_data.store import data_hash


@pytest.fixture(scope="module")
def process_data(process_data: ProcessData) -> ProcessData:
    """The task, each problem with a question of its own."""
    asked = (replace(one, prompt=f"{one.prompt} {one.task_id}") for one in process_data.problems)
    return replace(process_data, problems=tuple(asked))


@pytest.fixture(scope="module")
def data(process_data: ProcessData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder, process_data)
    return folder


@pytest.fixture(scope="module")
def trained(model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = replace(PRM_SETTINGS, lora_rank=0, max_length=256, max_steps=2)
    return train_prm(str(model), data, tmp_path_factory.mktemp("prm"), "soft", settings).model


@pytest.mark.parametrize(
    ("method", "split", "soft"),
    [("temperature", "validation", False), ("isotonic", "validation", True), ("isotonic", "all", False)],
)
def test_it_is_measured_on_other_problems(
    trained: Path, data: Path, process_data: ProcessData, method: str, split: str, soft: bool
) -> None:
    report = calibrate(trained, data, method, split, soft=soft)
    part = process_data if split == "all" else process_data.of_split(split)
    kept = read_calibration(trained)
    assert kept == report.calibration
    assert kept.fitted_on["data"] == data_hash(data)
    assert kept.fitted_on["split"] == split
    problems = {row.state.problem_id for row in part.prefixes}
    seen = set(kept.fitted_on["problems"])
    assert len(seen) == (len(problems) + 1) // 2
    assert report.problems == len(problems - seen)
    others = unseen(part, kept)
    assert {row.state.problem_id for row in others.prefixes} == problems - seen
    assert not seen & {pair.state.problem_id for pair in others.pairs}
    assert not seen & {problem.task_id for problem in others.problems}
    assert all(0 <= value <= 1 for value in (*report.auc, *report.error))
    if method == "temperature":
        assert report.auc[0] == report.auc[1]


def renamed(data: ProcessData) -> ProcessData:
    """Returns the same problems under other names."""
    rows = {
        kind: tuple(
            replace(row, state=replace(row.state, problem_id=f"again/{row.state.problem_id}"))
            for row in getattr(data, kind)
        )
        for kind in ("prefixes", "paths", "pairs")
    }
    problems = tuple(replace(one, task_id=f"again/{one.task_id}") for one in data.problems)
    return replace(data, problems=problems, **rows)


def test_a_problem_is_on_one_side_under_all_its_names(
    trained: Path, process_data: ProcessData, tmp_path: Path
) -> None:
    again = renamed(process_data)
    write_data(
        tmp_path,
        replace(
            process_data,
            problems=process_data.problems + again.problems,
            prefixes=process_data.prefixes + again.prefixes,
        ),
    )
    calibrate(trained, tmp_path, "temperature", "all")
    kept = read_calibration(trained)
    seen = set(kept.fitted_on["problems"])
    assert {name.removeprefix("again/") for name in seen if name.startswith("again/")} == {
        name for name in seen if not name.startswith("again/")
    }
    left = {problem.task_id for problem in unseen(process_data, kept).problems}
    assert left == {problem.task_id for problem in process_data.problems} - seen
    assert {problem.task_id for problem in unseen(again, kept).problems} == {f"again/{name}" for name in left}
    # an earlier version's file knows names alone
    known = {name: value for name, value in kept.fitted_on.items() if name != "questions"}
    assert {one.task_id for one in unseen(process_data, replace(kept, fitted_on=known)).problems} == left


def test_search_sees_the_calibration_at_once(trained: Path, data: Path) -> None:
    for method in ("temperature", "isotonic"):
        load_scorer(f"prm:{trained}")
        calibrate(trained, data, method)
        found = load_scorer(f"prm:{trained}")
        assert isinstance(found, ModelScorer)
        assert found.calibration == read_calibration(trained)


def test_what_is_not_calibrated_is_measured_on_all_problems(
    trained: Path, data: Path, process_data: ProcessData
) -> None:
    for method in ("temperature", "none"):
        calibrate(trained, data, method)
    assert read_calibration(trained) == UNCALIBRATED
    assert unseen(process_data, read_calibration(trained)) == process_data


def test_there_must_be_prefixes(trained: Path, data: Path) -> None:
    with pytest.raises(UsageError, match="has no prefixes in no-such"):
        calibrate(trained, data, split="no-such")
