import csv
import json

import pytest


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


def test_a_folder_without_results(o1coder, tmp_path):
    done = o1coder("report", tmp_path)
    assert done.returncode == 2
    assert "results.jsonl" in done.stderr
