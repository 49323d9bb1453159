"""`o1coder prm`: what can be told without a model, in one process; errors in one line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from o1coder_gym.experiments.training import prm
from o1coder_gym.metrics import Bin
from o1coder_gym.prm import load_scorer
from o1coder_gym.prm.public import PUBLIC
from o1coder_gym.problems.likeness.trained_on import write_trained_on
from o1coder_gym.process_data import read_data
from o1coder_gym.reporting.figures import draw_reliability


@pytest.fixture
def data(o1coder, problems, script, tmp_path) -> Path:
    out = tmp_path / "data"
    policy = ("--policy", f"scripted:{script}", "--agent", "mcts:simulations=8")
    done = o1coder("synthesize", "--problems", problems, *policy, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_a_scorer_is_measured(o1coder, data, tmp_path):
    pytest.importorskip("matplotlib", exc_type=ImportError)
    options = ("--data", data, "--split", "all", "--resamples", "20", "--out", tmp_path / "report")
    done = o1coder("prm", "eval", "heuristic", *options, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["problems"] == 2
    assert 0 <= report["auc"]["value"] <= 1
    assert report["pair_accuracy"]["value"] is None
    assert json.loads((tmp_path / "report/report.json").read_text()) == report
    assert (tmp_path / "report/reliability.png").stat().st_size > 1000


def test_a_measurement_goes_on_and_other_figures_cost_no_scores(o1coder, data, tmp_path):
    pytest.importorskip("matplotlib", exc_type=ImportError)
    out = tmp_path / "report"

    def measure(*options):
        fixed = ("--data", data, "--split", "all", "--resamples", "20", "--out", out, "--json")
        return o1coder("prm", "eval", "heuristic", *fixed, *options)

    first = json.loads(measure().stdout)
    scores = (out / "scores.jsonl").read_text()
    assert len(scores.splitlines()) == 3
    refused = measure()
    assert refused.returncode == 1
    assert "already holds a run" in refused.stderr
    one = scores.splitlines(keepends=True)[0]
    (out / "scores.jsonl").write_text(one + one[:20])  # as a kill leaves it
    assert json.loads(measure("--resume").stdout) == first
    assert (out / "scores.jsonl").read_text() == scores
    assert json.loads(measure("--resume", "--n", "2").stdout)["n"] == 2
    assert (out / "scores.jsonl").read_text() == scores


def test_a_scorer_says_which_problems_it_was_trained_on(data, tmp_path, monkeypatch):
    monkeypatch.setattr(prm, "load_scorer", lambda spec: load_scorer("heuristic"))
    write_trained_on(tmp_path, read_data(data).problems[:1])
    settings = prm.MeasurementSettings(scorer=f"prm:{tmp_path}", data=data, split="all", resamples=20)
    assert len(prm.measure_scorer(settings)[1]["trained_on"]) == 1
    other = replace(settings, scorer="heuristic")
    assert "trained_on" not in prm.measure_scorer(other)[1]


def test_scores_are_printed(o1coder, data):
    done = o1coder("prm", "score", "heuristic", "--data", data)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 3
    assert all(0 <= row["score"] <= 1 for row in rows)


def test_the_list_cuts_no_name_at_eighty_columns(o1coder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = o1coder("prm", "list").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(any(one.hub in line for line in lines) for one in PUBLIC.values())


def test_public_models_are_listed(o1coder):
    done = o1coder("prm", "list", "--json")
    assert json.loads(done.stdout)["skywork-o1-prm-1.5b"]["kind"] == "skywork"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("eval", "heuristic", "--data", "nowhere"), "holds no finished data set"),
        (("eval", "nonsense", "--data", "DATA", "--split", "all"), "neither heuristic, nor prm:NAME"),
        (("eval", "heuristic", "--data", "DATA", "--split", "test"), "unknown split 'test'"),
        (("eval", "heuristic", "--data", "DATA"), "no prefixes to evaluate on"),
    ],
)
def test_errors_are_one_line(o1coder, data, arguments, words):
    done = o1coder("prm", *(data if argument == "DATA" else argument for argument in arguments))
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_figure_is_drawn(tmp_path):
    pytest.importorskip("matplotlib", exc_type=ImportError)
    path = tmp_path / "figure.svg"
    draw_reliability([Bin(0.1, 0.2, 5), Bin(0.9, 0.8, 7)], path, "a scorer")
    assert "<svg" in path.read_text()
