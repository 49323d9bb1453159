import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from o1coder_gym.search_tree import SearchTree, tree_rows


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


@pytest.fixture
def arguments(problems, script, tmp_path):
    agents = ("--agent", "greedy", "--agent", "best_of_n:n=4", "--agent", "mcts:simulations=8")
    return (
        "bench",
        "--problems",
        problems,
        "--policy",
        f"scripted:{script}",
        *agents,
        "--out",
        tmp_path / "run",
    )


def test_rows_report_and_table_agree(o1coder, arguments, tmp_path):
    done = o1coder(*arguments)
    assert done.returncode == 0, done.stderr
    results = {(row["agent"], row["task_id"]): row for row in rows(tmp_path / "run")}
    assert len(results) == 6
    # square is wrong on hidden tests though 2 + 2 = 2 * 2 passes the public one
    for agent in ("greedy", "best_of_n:n=4", "mcts:simulations=8"):
        assert results[agent, "toy/square"]["outcome"] == "wrong_answer"
        assert results[agent, "toy/square"]["value"] == 1.0
    assert results["mcts:simulations=8", "toy/double"]["solved"]
    assert results["best_of_n:n=4", "toy/double"]["usage"]["tokens"] > 0
    assert "1/2" in done.stdout
    assert (
        "| toy/square | wrong answer | wrong answer | wrong answer |"
        in (tmp_path / "run/report.md").read_text()
    )


def test_each_row_has_its_tree(o1coder, arguments, tmp_path):
    assert o1coder(*arguments).returncode == 0
    trees = {(row["agent"], row["task_id"]): SearchTree.from_row(row) for row in tree_rows(tmp_path / "run")}
    assert len(trees) == 6
    for row in rows(tmp_path / "run"):
        tree = trees[row["agent"], row["task_id"]]
        assert tree.chosen is not None
        assert tree.state(tree.chosen).code == row["code"]
        assert tree.usage.tokens == row["usage"]["tokens"]


def test_same_seed_same_rows(o1coder, arguments, tmp_path):
    assert o1coder(*arguments).returncode == 0
    assert o1coder(*arguments[:-1], tmp_path / "again").returncode == 0
    first, second = rows(tmp_path / "run"), rows(tmp_path / "again")
    for row in first + second:
        del row["usage"]["seconds"]
    assert sorted(map(json.dumps, first)) == sorted(map(json.dumps, second))


def test_a_finished_run_resumes_to_itself(o1coder, arguments, tmp_path):
    first = o1coder(*arguments, "--json")
    before = (tmp_path / "run/results.jsonl").read_bytes()
    again = o1coder(*arguments, "--json", "--resume")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert (tmp_path / "run/results.jsonl").read_bytes() == before


def test_hidden_tests_are_asked_once_per_candidate(o1coder, arguments, tmp_path):
    assert o1coder(*arguments).returncode == 0
    log = [json.loads(line) for line in (tmp_path / "run/evaluation.jsonl").read_text().splitlines()]
    fresh = [(row["task_id"], row["candidate"]) for row in log if not row["repeat"]]
    assert len(fresh) == len(set(fresh)) > 0


@pytest.mark.parametrize(
    ("changed", "status", "message"),
    [
        (("--problems", "nowhere"), 2, "nowhere"),
        (("--agent", "oracle"), 2, "unknown agent 'oracle'"),
        (("--agent", "mcts:wdith=4"), 2, "wdith"),
        (("--policy", "scripted:missing.json"), 1, "missing.json"),
        (("--policy", "crystal:ball"), 2, "crystal"),
        (("--format", "prose"), 2, "prose"),
        (("--tokens", "-1"), 2, "--tokens"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(o1coder, arguments, changed, status, message):
    done = o1coder(*arguments, *changed)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_row_is_named_and_can_be_skipped(o1coder, arguments, problems):
    text = problems.read_text()
    problems.write_text(text + '{"task_id": "toy/bad", "prompt": "?"}\n')
    done = o1coder(*arguments)
    assert done.returncode == 1
    assert f"{problems}" in done.stderr.replace("\n", "")
    assert "line 3" in done.stderr
    assert "'tests'" in done.stderr
    skipped = o1coder(*arguments, "--skip-bad")
    assert skipped.returncode == 0, skipped.stderr
    assert "line 3" in skipped.stderr


def test_an_empty_file_is_an_error(o1coder, arguments, problems):
    problems.write_text("")
    done = o1coder(*arguments)
    assert done.returncode == 1
    assert "empty" in done.stderr


def test_another_config_is_refused(o1coder, arguments):
    assert o1coder(*arguments).returncode == 0
    again = o1coder(*arguments)
    assert again.returncode == 1
    assert "already holds a run" in again.stderr
    other = o1coder(*arguments, "--resume", "--tokens", "77")
    assert other.returncode == 1
    assert "budget" in other.stderr


def test_a_folder_that_cannot_be_written_is_one_line(o1coder, arguments, tmp_path):
    (tmp_path / "file").write_text("")
    done = o1coder(*arguments[:-1], tmp_path / "file" / "run")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_one_line_and_keeps_what_is_there(o1coder, arguments, tmp_path):
    def no_file_grows_beyond_three_kilobytes() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3072, 3072))

    done = o1coder(*arguments, preexec_fn=no_file_grows_beyond_three_kilobytes)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    kept = rows(tmp_path / "run")
    assert o1coder(*arguments, "--resume").returncode == 0
    assert rows(tmp_path / "run")[: len(kept)] == kept
    assert len(rows(tmp_path / "run")) == 6


def test_an_interrupted_run_is_kept_and_goes_on(problems, script, tmp_path):
    rows_of_file = problems.read_text()
    many = [json.loads(rows_of_file.splitlines()[0]) | {"task_id": f"toy/{number}"} for number in range(200)]
    problems.write_text("".join(json.dumps(row) + "\n" for row in many))
    out = tmp_path / "run"
    command = [sys.executable, "-m", "o1coder_gym.cli.main", "bench", "--problems", str(problems)]
    command += ["--policy", f"scripted:{script}", "--agent", "mcts:simulations=8", "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (out / "results.jsonl").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    kept = rows(out)
    assert 0 < len(kept) < 200
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert rows(out)[: len(kept)] == kept
    assert len({row["task_id"] for row in rows(out)}) == len(rows(out)) == 200
