import csv
import json
from pathlib import Path

import pytest

from o1coder_gym.reporting.tables.learning import learning_grids


def test_a_run_is_reported(o1coder, problems, script, tmp_path):
    run = tmp_path / "run"
    done = o1coder(
        "bench", "--problems", problems, "--policy", f"scripted:{script}", "--agent", "mcts:simulations=8",
        "--tokens", "64,128", "--out", run,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (run / "report.html").read_text()
    assert 'href="trees/toy-double.html"' in page
    assert (run / "trees/toy-double.html").exists()
    assert "[toy/double](trees/toy-double.html)" in (run / "report.md").read_text()
    (run / "report.html").unlink()
    again = o1coder("report", run, "--no-figures")
    assert again.stdout.strip() == str(run / "report.html")
    assert (run / "report.html").read_text() == page
    assert not (run / "figures").exists()


UPDATES = [{"t": 0, "episodes/pass_rate": 0.25, "kl": None}, {"t": 1, "episodes/pass_rate": 0.5}]
STAGES = [{"iteration": 0, "stage": name, "pass_rate": 0.5, "greedy": 0.5} for name in ("start", "rl")]


@pytest.mark.parametrize(
    ("name", "rows", "rate"), [("updates", UPDATES, "episodes/pass_rate"), ("curve", STAGES, "pass_rate")]
)
def test_runs_that_learn_have_a_figure_and_a_table(o1coder, name, rows, rate, tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = o1coder("report", tmp_path, "--export", "csv", "--export", "pdf", "--json")
    assert done.returncode == 0, done.stderr
    table, figure = tmp_path / "tables" / f"{name}.csv", tmp_path / "figures" / f"{name}.pdf"
    assert json.loads(done.stdout) == {"pages": [], "tables": [str(table)], "figures": [str(figure)]}
    with table.open() as file:
        read = list(csv.DictReader(file))
    assert [float(row[rate]) for row in read] == [row[rate] for row in rows]
    assert figure.read_bytes()[:5] == b"%PDF-"


@pytest.mark.parametrize(
    ("export", "status"),
    [("pdf", 1), ("svg", 1), (None, 0)],
    ids=["asked for pdf", "asked for svg", "by default"],
)
def test_figures_that_were_asked_for_and_are_missing_fail(o1coder, export, status, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "updates.jsonl").write_text("".join(json.dumps(row) + "\n" for row in UPDATES))
    done = o1coder("report", tmp_path, "--export", "csv", *(("--export", export) if export else ()))
    assert done.returncode == status
    assert "no figures: matplotlib is not installed; run: pip install 'o1coder-gym[plots]'" in done.stderr
    assert done.stdout.split() == [str(tmp_path / "tables" / "updates.csv")]


def test_folders_of_self_play_are_whole(tmp_path):
    row = STAGES[0] | {"policy": "RUN/iteration-00/rl/model"}
    (tmp_path / "curve.jsonl").write_text(json.dumps(row) + "\n")
    (grid,) = learning_grids(tmp_path)
    assert grid.rows[0]["policy"] == f"{tmp_path}/iteration-00/rl/model"


def test_a_measured_scorer_has_its_figure_and_its_tables(o1coder, tmp_path):
    pytest.importorskip("matplotlib")
    bins = [{"score": 0.25, "target": 0.5, "count": 2}, {"score": 0.75, "target": 1.0, "count": 6}]
    one = {"value": 0.5, "low": 0.25, "high": None, "count": 8, "rough": True}
    names = ("auc", "accuracy", "pair_accuracy", "calibration_error")
    row = {"scorer": "heuristic", "bins": bins} | dict.fromkeys(names, one)
    (tmp_path / "report.json").write_text(json.dumps(row))
    done = o1coder("report", tmp_path, "--export", "csv", "--export", "svg", "--json")
    assert done.returncode == 0, done.stderr
    assert [Path(file).name for found in json.loads(done.stdout).values() for file in found] == [
        "reliability.csv",
        "measures.csv",
        "reliability.svg",
    ]
    assert (tmp_path / "tables/reliability.csv").read_text().splitlines()[1] == "heuristic,0.25,0.5,2"
    assert (tmp_path / "tables/measures.csv").read_text().splitlines()[1] == "heuristic,auc,0.5,0.25,,8,True"
    (tmp_path / "report.json").write_text("[]")
    assert "no report of a scorer" in o1coder("report", tmp_path).stderr


def test_a_folder_without_results(o1coder, tmp_path):
    done = o1coder("report", tmp_path)
    assert done.returncode == 2
    assert "results.jsonl" in done.stderr
