"""Named results by command."""

import json
from functools import partial

import pytest

from o1coder_gym.experiments.measures import reproduction
from o1coder_gym.experiments.measures.figures import Measured, store_figures, stored_figures
from o1coder_gym.experiments.measures.reproduction import RESULTS
from o1coder_gym.metrics.estimates import estimate_share


@pytest.fixture
def result(monkeypatch, tmp_path):
    """A result of which 97 of 128 problems are stored as solved, and what is measured now may be set."""
    path, now = tmp_path / "figures.json", {}
    monkeypatch.setattr("o1coder_gym.cli.tools.reproduce.stored_figures", partial(stored_figures, path=path))
    monkeypatch.setattr("o1coder_gym.cli.tools.reproduce.store_figures", partial(store_figures, path=path))
    monkeypatch.setattr(reproduction, "configuration_of", lambda out: "digest")
    made = reproduction.Result("How many?", lambda out, **_: now["found"], lambda out, **_: now["found"])
    monkeypatch.setitem(reproduction.RESULTS, "search", made)
    store_figures("search", "quick", solved(97), path)
    return now


def solved(count: int, name: str = "greedy") -> Measured:
    outcomes = {f"task/{number}": float(number < count) for number in range(128)}
    return Measured({name: estimate_share([*outcomes.values()])}, {name: outcomes}, "digest")


def test_names_and_scales_are_checked(o1coder):
    done = o1coder("reproduce", "serach")
    assert done.returncode == 2
    assert "search" in done.stderr
    done = o1coder("reproduce", "tcg", "--quick", "--full")
    assert done.returncode == 2
    assert "exclude" in done.stderr


def test_without_a_name_the_results_are_listed(o1coder):
    done = o1coder("reproduce")
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(RESULTS)


def test_the_list_is_json_too(o1coder):
    done = o1coder("reproduce", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["name"] for row in rows] == list(RESULTS)
    assert all(row["question"] for row in rows)


def test_a_figure_that_is_the_same_exits_with_0(o1coder, result):
    result["found"] = solved(97)
    done = o1coder("reproduce", "search")
    assert done.returncode == 0, done.stderr
    assert "Of 1 figure: 1 same." in done.stdout
    assert "0 of 128 problems differ" in done.stdout


def test_what_differs_is_told_with_its_evidence_and_exits_with_1(o1coder, result):
    result["found"] = solved(80)
    done = o1coder("reproduce", "search")
    assert done.returncode == 1
    assert "Of 1 figure: 1 differs." in done.stdout
    done = o1coder("reproduce", "search", "--json")
    assert done.returncode == 1
    (figure,) = json.loads(done.stdout)["figures"]
    assert figure["verdict"] == "differs"
    assert figure["why"].startswith("17 of 128 problems differ, exact p = 1.5e-05")


def test_a_figure_that_is_gone_exits_with_1(o1coder, result):
    gone = solved(97, "mcts")
    result["found"] = Measured({**gone.figures, **solved(97).figures}, gone.outcomes, "digest")
    done = o1coder("reproduce", "search")
    assert done.returncode == 1
    assert "1 same, 1 differs." in done.stdout
    assert "not stored" in done.stdout


def test_what_is_stored_in_its_place_differs_from_nothing(o1coder, result):
    result["found"] = solved(80)
    assert o1coder("reproduce", "search", "--store").returncode == 0
    done = o1coder("reproduce", "search")
    assert done.returncode == 0
    assert "Of 1 figure: 1 same." in done.stdout


def test_figures_without_outcomes_are_told(o1coder, result, tmp_path):
    path = tmp_path / "figures.json"
    rows = json.loads(path.read_text())
    for name in ("configuration", "outcomes"):
        del rows["search"]["quick"][name]
    path.write_text(json.dumps(rows))
    result["found"] = solved(96)
    done = o1coder("reproduce", "search")
    assert done.returncode == 0
    assert "Stored without configuration and outcomes by problem: the figures alone" in done.stdout
    assert "Of 1 figure: 1 no difference shown." in done.stdout
