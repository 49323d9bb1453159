import json
import os
import resource
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from o1coder_gym.cli.search.bench import Board
from o1coder_gym.experiments.tools import Plan
from o1coder_gym.process_data.search_tree import SearchTree, tree_rows
from o1coder_gym.reporting.comparison import TOO_FEW
from o1coder_gym.reporting.results import ResultRow
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import read_rows
from o1coder_gym.types import Outcome, Usage

pytestmark = pytest.mark.slow


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
        "--no-controls",
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
        "| [toy/square](trees/toy-square.html) | wrong answer | wrong answer | wrong answer |"
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


@pytest.mark.parametrize("command", ["bench", "synthesize", "solve"])
def test_a_model_that_cannot_be_loaded_claims_no_folder(o1coder, problems, command, tmp_path):
    words = (command, "--problems", problems, "--policy", "hf:nowhere", "--out", tmp_path / "run")
    done = o1coder(*words)
    assert done.returncode == 2
    assert "unknown model 'nowhere'" in done.stderr
    assert not (tmp_path / "run").exists()


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
        (("--tokens", "many"), 2, "--tokens"),
        (("--tokens", "10,20", "--calls", "1,2"), 2, "only one unit can have several budgets"),
        (("--tokens", "10,20", "--seconds", "1"), 2, "fewer seconds"),
        (("--select", "best"), 2, "unknown selector 'best'"),
        (("--shard", "3/2"), 2, "--shard is i/n"),
        (("--shard", "2/3", "--limit", "1"), 2, "has no problem"),
        (("--suite", "suite.yaml"), 2, "cannot be combined with --suite"),
        (("--tests", "missing.jsonl"), 1, "missing.jsonl"),
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
        # Bytecode that is cut there is put in place as if it were whole, and no later test can import it.
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"

    done = o1coder(*arguments, preexec_fn=no_file_grows_beyond_three_kilobytes)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    kept = rows(tmp_path / "run")
    assert o1coder(*arguments, "--resume").returncode == 0
    assert rows(tmp_path / "run")[: len(kept)] == kept
    assert len(rows(tmp_path / "run")) == 6


BUSY = """
from pathlib import Path

import torch

class Busy:
    def propose(self, states, *rest, **options):
        square = torch.ones(900, 900)
        Path("called").touch()
        while True:
            square = square @ square
"""
"""A policy that is inside torch whenever it is interrupted."""


def test_a_model_that_is_interrupted_in_the_middle_of_a_call_ends_without_an_abort(problems, tmp_path):
    (tmp_path / "busy.py").write_text(BUSY)
    command = [sys.executable, "-m", "o1coder_gym", "bench", "--problems", str(problems), "--no-controls"]
    command += [
        "--policy",
        f"{tmp_path / 'busy.py'}:Busy",
        "--agent",
        "greedy",
        "--out",
        str(tmp_path / "run"),
    ]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while process.poll() is None and not (tmp_path / "called").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "--resume" in errors
    assert "terminate" not in errors


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_is_kept_and_goes_on(o1coder, problems, tmp_path, sent):
    row = json.loads(problems.read_text().splitlines()[0])
    many = [row | {"task_id": f"toy/{number}"} for number in range(6)]
    problems.write_text("".join(json.dumps(row) + "\n" for row in many))
    out = tmp_path / "run"
    command = [sys.executable, "-m", "o1coder_gym.cli.main", "bench", "--problems", str(problems)]
    # Greedy answers at once; the tree searches take seconds more, in which the signal comes.
    command += ["--policy", "fake:call_s=0.05&depth=2", "--agent", "greedy", "--agent", "mcts:simulations=24"]
    command += ["--tokens", "none", "--no-controls", "--out", str(out)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a test that runs in the background of a shell hands down that SIGINT is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while process.poll() is None and not (out / "results.jsonl").exists():
        time.sleep(0.02)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=60)
    if sent is signal.SIGINT:
        assert process.returncode == 130, errors
        assert "--resume" in errors
        assert "Traceback" not in errors
    kept = rows(out)
    assert 0 < len(kept) < 12
    done = o1coder(*command[3:], "--resume")
    assert done.returncode == 0, done.stderr
    assert rows(out)[: len(kept)] == kept
    assert len({(row["agent"], row["task_id"]) for row in rows(out)}) == len(rows(out)) == 12


def test_controls_and_smaller_budgets_come_with_every_run(o1coder, problems, script, tmp_path):
    done = o1coder(
        "bench", "--problems", problems, "--policy", f"scripted:{script}", "--agent", "best_of_n:n=6,top_k=9",
        "--select", "codet", "--tokens", "10,25,1000", "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "run")
    cells = {(row["agent"], row["budget"]["tokens"], row["task_id"]): row for row in found}
    agents = {
        "greedy",
        "best_of_n_random:n=6,top_k=9",
        "oracle:n=6,top_k=9",
        "best_of_n:n=6,top_k=9,select=codet",
    }
    assert len(found) == len(cells) == len(agents) * 3 * 2
    assert {agent for agent, _, _ in cells} == agents
    for (agent, tokens, task_id), row in cells.items():
        assert row["usage"]["tokens"] <= tokens
        assert row["timed"] == (tokens == 1000)
        assert (row["policy"], row["format"]) == (f"scripted:{script}", "pseudocode")
        # the oracle is never below what was chosen from the same samples
        if agent.startswith("best_of_n"):
            assert cells["oracle:n=6,top_k=9", tokens, task_id]["passed"] >= row["passed"]
    assert "10 tokens 25 tokens 1,000 tokens latency" in " ".join(done.stdout.split())
    (session,) = [json.loads(line) for line in (tmp_path / "run/sessions.jsonl").read_text().splitlines()]
    assert session["command"][0] == "bench"
    assert session["auto_dtype"] is None  # no model was run
    again = o1coder("bench", "compare", tmp_path / "run", "--json")
    assert again.returncode == 0, again.stderr
    compared = json.loads(again.stdout)
    assert len(compared) == 9
    assert {one["conclusion"] for one in compared} == {TOO_FEW}  # two problems
    assert {one["p_corrected"] for one in compared} == {1.0}


def test_shards_together_are_the_whole(o1coder, arguments, tmp_path):
    assert o1coder(*arguments).returncode == 0
    for shard in ("1/2", "2/2"):
        done = o1coder(*arguments[:-1], tmp_path / "shards", "--shard", shard)
        assert done.returncode == 0, done.stderr
    parts = [rows(tmp_path / f"shards/shard-{number}-of-2") for number in (1, 2)]
    assert [len(part) for part in parts] == [3, 3]
    shards, whole = [*parts[0], *parts[1]], rows(tmp_path / "run")
    for row in shards + whole:
        del row["usage"]["seconds"], row["run"]
    assert sorted(map(json.dumps, shards)) == sorted(map(json.dumps, whole))
    done = o1coder("bench", "compare", tmp_path / "run#greedy", tmp_path / "shards#greedy")
    assert done.returncode == 0, done.stderr
    assert "no difference shown" in " ".join(done.stdout.split())


def test_a_suite_runs_every_combination(o1coder, problems, script, tmp_path):
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        f"problems: [{{name: {problems}, limit: 1}}]\npolicies: 'scripted:{script}'\n"
        "formats: [pseudocode, vanilla]\nagents: ['mcts:simulations=4']\ncontrols: false\nseeds: 2\n"
    )
    done = o1coder("bench", "--suite", suite, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    folders = sorted(path.parent.name for path in (tmp_path / "run").glob("*/results.jsonl"))
    assert (
        folders
        == [
            "01-problems-scripted-script.json-pseudocode",
            "02-problems-scripted-script.json-vanilla",
        ]
        or len(folders) == 2
    )
    assert "vanilla" in (tmp_path / "run/report.md").read_text()
    assert o1coder("bench", "--suite", suite, "--out", tmp_path / "run", "--resume").returncode == 0


def test_generated_tests_are_seen_by_agents_and_kept(o1coder, problems, script, tmp_path):
    done = o1coder(
        "bench", "--problems", problems, "--policy", f"scripted:{script}", "--agent", "best_of_n:n=4",
        "--tests", "generated", "--select", "codet", "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "run/tests.jsonl").read_text().splitlines()
    made = {row["task_id"]: row["tests"] for row in map(json.loads, lines)}
    assert set(made) == {"toy/double", "toy/square"}
    # all voters write the same wrong program for square: what they agree on becomes the expectation
    assert len(made["toy/square"]) > 1
    assert all(int(test["expected"]) == 2 * eval(test["args"])[0] for test in made["toy/square"])
    trees = [SearchTree.from_row(row) for row in read_rows(tmp_path / "run/trees.jsonl")]
    assert max(len(node.bits) for tree in trees for node in tree.nodes) == 1 + len(made["toy/square"])
    before = (tmp_path / "run/tests.jsonl").read_bytes()
    assert o1coder(
        "bench", "--problems", problems, "--policy", f"scripted:{script}", "--agent", "best_of_n:n=4",
        "--tests", tmp_path / "run/tests.jsonl", "--out", tmp_path / "other",
    ).returncode == 0  # fmt: skip
    assert (tmp_path / "run/tests.jsonl").read_bytes() == before


def test_the_time_of_an_agent_begins_where_the_one_before_it_ended():
    now, told = [100.0], StringIO()
    plan = Plan("toy", ("toy/0",), ("greedy", "mcts"), "scripted:memory", "pseudocode", Budget())
    board = Board(Console(file=told, width=100, get_time=lambda: now[0]), plan)
    board.start()
    for agent, seconds in (("greedy", 7), ("mcts", 5)):
        now[0] += seconds
        board.add(ResultRow("toy/0", agent, 0, Outcome.PASS, 1, 1, 1.0, "", 1, Usage()))
    assert [line.rpartition(" ")[2] for line in told.getvalue().splitlines()] == ["0:00:07", "0:00:05"]
