"""`o1coder synthesize`: rows, splits, exports; killed and run again it ends with the same data."""

import json
import signal
import subprocess
import sys
import time

import pytest

from o1coder_gym.process_data import merged, read_data
from o1coder_gym.process_data.store import data_hash

pytestmark = pytest.mark.slow


@pytest.fixture
def arguments(problems, script):
    policy = ("--policy", f"scripted:{script}")
    return ("synthesize", "--problems", problems, *policy, "--agent", "mcts:simulations=8")


def test_trees_become_rows(o1coder, arguments, tmp_path):
    out = tmp_path / "run"
    done = o1coder(*arguments, "--out", out, "--json", "--export", "stepwise")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    data = read_data(out)
    assert told["hash"] == data_hash(out)
    assert (told["problems"], told["prefixes"], told["paths"]) == (2, len(data.prefixes), 1)
    (path,) = data.paths
    assert path.state.problem_id == "toy/double"
    assert path.tests > 1, "generated tests are verified beside the public one"
    # 2 + 2 = 2 * 2 passes the public test alone: the generated ones tell that the program is wrong
    (square,) = [row for row in data.prefixes if row.state.problem_id == "toy/square"]
    assert 0 < square.value < 0.5
    assert square.hard == 0
    assert data.drops["prefix: step cannot be read"] == 1
    assert (out / "README.md").read_text().startswith("# Process data")
    files = sorted((out / "exports/stepwise").iterdir())
    assert [file.name for file in files] == ["train.jsonl", "validation.jsonl"]
    assert merged([data]) == data


def test_hidden_tests_stay_hidden(o1coder, arguments, tmp_path):
    out = tmp_path / "run"
    assert o1coder(*arguments, "--out", out, "--tests", "0").returncode == 0
    for file in out.iterdir():
        assert "double(0)" not in file.read_text(), file
        assert "2 * x'" not in file.read_text(), file
    (square,) = [row for row in read_data(out).prefixes if row.state.problem_id == "toy/square"]
    assert square.value == 1.0


def test_a_finished_run_is_not_run_again(o1coder, arguments, tmp_path):
    out = tmp_path / "run"
    assert o1coder(*arguments, "--out", out).returncode == 0
    files = {path: path.stat().st_mtime_ns for path in out.glob("*.json*")}
    again = o1coder(*arguments, "--out", out, "--resume")
    assert again.returncode == 0, again.stderr
    assert "searching" not in again.stderr
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.json*")} == files
    other = o1coder(*arguments, "--out", out, "--resume", "--hard", "value", "--threshold", "0.1")
    assert other.returncode == 0, other.stderr
    assert "searching" not in other.stderr
    assert all(row.hard == (row.value >= 0.1) for row in read_data(out).prefixes)


def test_data_that_were_cut_are_written_again(o1coder, arguments, tmp_path):
    out = tmp_path / "run"
    assert o1coder(*arguments, "--out", out).returncode == 0
    whole = data_hash(out)
    (out / "paths.jsonl").write_text("")
    done = o1coder("sft", "--data", out, "--model", "tiny", "--out", tmp_path / "sft")
    assert done.returncode == 1
    assert "paths.jsonl: changed or cut since dataset.json was written" in done.stderr
    again = o1coder(*arguments, "--out", out, "--resume")
    assert again.returncode == 0, again.stderr
    assert "searching" not in again.stderr
    assert data_hash(out) == whole


def test_earlier_data_are_united(o1coder, arguments, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    assert o1coder(*arguments, "--out", one).returncode == 0
    done = o1coder(*arguments, "--out", two, "--seed", "1", "--add", one)
    assert done.returncode == 0, done.stderr
    whole = read_data(two)
    assert len(whole.sources) == 2
    visits = {row.state: row.visits for row in read_data(one).prefixes}
    found = {row.state: row for row in whole.prefixes}
    assert len(found) == len(whole.prefixes)
    assert all(found[state].visits > count for state, count in visits.items())
    twice = o1coder(*arguments, "--out", tmp_path / "three", "--add", one, "--add", one)
    assert twice.returncode == 2
    assert "is in two of the data sets" in twice.stderr


def test_earlier_data_weigh_as_they_are_told_to(o1coder, arguments, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    assert o1coder(*arguments, "--out", one).returncode == 0
    words = (*arguments, "--out", two, "--seed", "1", "--add", one)
    found = {}
    for decay in ("0.5", "1", "0"):  # searched once, united anew
        done = o1coder(*words, "--decay", decay, *(("--resume",) if found else ()))
        assert done.returncode == 0, done.stderr
        found[decay] = read_data(two)
    for decay, whole in found.items():
        parts = [row for row in whole.prefixes if len(row.found) == 2]
        assert bool(parts) == (decay != "0")
        for row in parts:
            weights = [1.0, float(decay)]
            mass = [weight * part.visits for weight, part in zip(weights, row.found, strict=True)]
            total = sum(m * part.value for m, part in zip(mass, row.found, strict=True))
            assert row.value == pytest.approx(total / sum(mass))
    assert len(found["0"].sources) == 1
    assert found["1"].prefixes == merged([found["0"], read_data(one)]).prefixes


def test_each_prefix_is_completed_as_often_as_asked(o1coder, arguments, tmp_path):
    done = o1coder(*arguments, "--rollouts", "3", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    inner = [row for row in read_data(tmp_path / "run").prefixes if not row.ended]
    assert inner
    assert {(row.visits, row.ends) for row in inner} == {(3, 3)}


def test_prefixes_are_completed_as_the_search_samples(o1coder, problems, script, tmp_path, monkeypatch):
    from o1coder_gym.policies.scripted import ScriptedPolicy

    asked, propose = [], ScriptedPolicy.propose
    monkeypatch.setattr(
        ScriptedPolicy, "propose", lambda self, requests: asked.extend(requests) or propose(self, requests)
    )
    agent = "mcts:simulations=4,temperature=1.0,top_k=0,max_tokens=77"
    words = ("--problems", problems, "--policy", f"scripted:{script}", "--agent", agent)
    done = o1coder("synthesize", *words, "--rollouts", "3", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert {(one.sampling.temperature, one.sampling.top_k) for one in asked} == {(1.0, 0)}
    assert max(one.sampling.max_tokens for one in asked) == 77


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--hard", "sometimes"), "unknown hard 'sometimes'; known: any, value"),
        (("--margin", "0"), "margin in (0, 1]"),
        (("--export", "xml"), "unknown export 'xml'"),
        (("--agent", "nobody"), "unknown agent 'nobody'"),
        (("--add", "nowhere"), "nowhere holds no finished data set"),
    ],
)
def test_bad_options_are_one_line(o1coder, arguments, tmp_path, options, words):
    done = o1coder(*arguments, "--out", tmp_path / "run", *options)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_killed_at_any_moment_it_ends_with_the_same_data(o1coder, problems, script, tmp_path):
    rows = [json.loads(line) for line in problems.read_text().splitlines()]
    many = [{**rows[n % 2], "task_id": f"{rows[n % 2]['task_id']}-{n}"} for n in range(6)]
    problems.write_text("".join(json.dumps(row) + "\n" for row in many))
    paths = json.loads(script.read_text())["problems"]
    told = {f"toy/double-{n}": paths["toy/double"] for n in range(0, 6, 2)} | {"*": paths["*"]}
    script.write_text(json.dumps({"draw": "random", "problems": told}))
    command = [sys.executable, "-m", "o1coder_gym.cli.main", "synthesize", "--problems", str(problems)]
    command += ["--policy", f"scripted:{script}", "--agent", "mcts:simulations=8", "--tests", "4", "--resume"]
    whole = tmp_path / "whole"
    assert o1coder(*command[3:], "--out", whole).returncode == 0
    killed = tmp_path / "killed"
    for goal in ("answers.jsonl", "trees.jsonl"):
        process = subprocess.Popen(
            [*command, "--out", str(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and not (killed / goal).exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert o1coder(*command[3:], "--out", killed).returncode == 0
    assert data_hash(killed) == data_hash(whole)
