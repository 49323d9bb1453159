"""``o1coder data``: what it lists, shows and finds wrong."""

import json
import os
from functools import partial
from pathlib import Path

import pytest

from o1coder_gym.errors import ProblemFileError, UnknownNameError, UsageError
from o1coder_gym.problems.loading import load_rows, with_splits
from o1coder_gym.problems.rows import problem_row_to_json
from o1coder_gym.problems.sources import KNOWN_SETS
from o1coder_gym.problems.validation import validate_rows
from o1coder_gym.sandbox import default_judge
from o1coder_gym.specs import registry
from o1coder_gym.types import AssertTest, Limits
from tests.command_line import call

FIXTURES = sorted((Path(__file__).parents[2] / "problems" / "formats" / "rows").glob("*.jsonl"))
RIGHT = {
    "task_id": "t/right",
    "prompt": "Add one.",
    "entry_point": "f",
    "public_tests": [{"kind": "call", "args": "[1]", "expected": "2"}],
    "tests": [{"kind": "call", "args": "[41]", "expected": "42"}],
    "reference": "def f(x):\n    return x + 1\n",
    "meta": {},
}
WRONG = RIGHT | {"task_id": "t/wrong", "reference": "def f(x):\n    return 2\n"}
NONE = RIGHT | {"task_id": "t/none", "reference": None}


@pytest.fixture
def run(monkeypatch):
    monkeypatch.delenv("O1CODER_DATA", raising=False)
    return lambda *arguments: call("data", *arguments)


@pytest.fixture
def problem_file(tmp_path):
    def write(*rows):
        path = tmp_path / "set.jsonl"
        path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
        return path

    return write


def test_list_names_every_set_and_where_it_is(run):
    result = run("list", "--json")
    assert result.exit_code == 0
    rows = {row["name"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert rows.keys() == KNOWN_SETS.keys() | registry.entries("problems").keys()
    assert rows["verl"]["where"] == "any file or set of the Hub with such rows"
    assert rows["starter"]["problems"] == len(load_rows("starter"))
    assert rows["mbpp"]["where"] == "Hugging Face: google-research-datasets/mbpp"
    assert rows["mbpp"]["problems"] is None


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_rows_of_every_format_are_validated(run, path, tmp_path):
    references = sum(row.reference is not None for row in load_rows(path))
    out = tmp_path / "validated.jsonl"
    done = run("validate", path, "--out", out)
    assert done.exit_code == 0, done.output
    assert f"{references} of {references} references pass" in done.stdout
    assert len(out.read_text().splitlines()) == references


def test_list_is_a_table_for_people(run):
    result = run("list")
    assert result.exit_code == 0
    assert "mbpp: Hugging Face: google-research-datasets/mbpp" in result.stdout.splitlines()


def test_show_lists_the_tasks_of_a_set(run, problem_file):
    result = run("show", problem_file(RIGHT, WRONG))
    assert result.stdout.splitlines() == [
        "t/right\tf\t1 public, 1 hidden tests",
        "t/wrong\tf\t1 public, 1 hidden tests",
    ]


def test_show_hides_what_is_hidden_unless_asked(run, problem_file):
    path = problem_file(RIGHT)
    shown = run("show", path, "t/right").stdout
    assert "Add one." in shown
    assert "[1]" in shown
    assert "[41]" not in shown
    assert "return x + 1" not in shown
    everything = run("show", path, "t/right", "--hidden").stdout
    assert "[41]" in everything
    assert "return x + 1" in everything


def test_show_exports_rows_that_can_be_read_again(run, problem_file, tmp_path):
    path = problem_file(RIGHT, WRONG)
    copy = tmp_path / "copy.jsonl"
    copy.write_text(run("show", path, "--json", "--hidden").stdout)
    assert load_rows(copy).rows == load_rows(path).rows


def test_show_without_hidden_tests_makes_no_problem_file(run, problem_file, tmp_path):
    path, copy = problem_file(RIGHT), tmp_path / "copy.jsonl"
    shown = run("show", path, "--json")
    assert json.loads(shown.stdout) == {
        **{name: RIGHT[name] for name in ("task_id", "prompt", "entry_point", "public_tests", "meta")},
        "left_out": ["tests", "reference"],
    }
    assert shown.stderr == "hidden tests and references are left out: no problem file; see --hidden\n"
    copy.write_text(shown.stdout)
    with pytest.raises(ProblemFileError, match=r"line 1: field 'tests': was left out .* --json --hidden"):
        load_rows(copy)
    assert run("show", path, "--json", "--hidden").stderr == ""


def test_show_does_not_know_every_task(run, problem_file):
    result = run("show", problem_file(RIGHT), "t/absent")
    assert isinstance(result.exception, UnknownNameError)


def test_validate_passes_right_references(run, problem_file):
    path = problem_file(RIGHT, NONE)
    result = run("validate", path)
    assert result.exit_code == 0
    assert result.stdout == f"{path}: 1 of 1 references pass; 1 problems have none\n"


def test_validate_warns_of_missing_tests(run, problem_file):
    unseen = RIGHT | {"task_id": "t/unseen", "public_tests": []}
    bare = [RIGHT | {"task_id": f"t/bare{number}", "public_tests": [], "tests": []} for number in range(3)]
    path = problem_file(RIGHT, unseen, *bare)
    result = run("validate", path)
    assert result.exit_code == 0
    assert result.stdout == f"{path}: 2 of 5 references pass; 3 have no tests to pass\n"
    assert (
        "warning: 4 of 5 problems have no public tests, "
        "so a search cannot tell right programs from wrong ones (t/unseen, t/bare0, t/bare1, …); "
        "3 of 5 problems have no hidden tests: never solved (t/bare0, t/bare1, t/bare2)"
    ) in result.stderr.splitlines()
    rows = [json.loads(line) for line in run("validate", path, "--json").stdout.splitlines()]
    assert [row["outcome"] for row in rows] == ["pass", "pass", "no_tests", "no_tests", "no_tests"]
    assert "warning" not in run("validate", problem_file(RIGHT)).stderr


def test_validate_names_tests_that_cannot_be_judged(run, problem_file):
    deep = {"kind": "call", "args": "[" + "[" * 150 + "]" * 150 + "]", "expected": "1"}
    path = problem_file(RIGHT, RIGHT | {"task_id": "t/deep", "tests": [*RIGHT["tests"], deep]})
    result = run("validate", path)
    assert result.exit_code == 1
    assert "t/deep\tunsupported\t" in result.stdout
    assert "1 of 2 references pass; 1 have tests that cannot be judged" in result.stdout


def test_validate_names_wrong_references(run, problem_file):
    path = problem_file(RIGHT, WRONG)
    result = run("validate", path)
    assert result.exit_code == 1
    failure, summary = result.stdout.splitlines()
    assert failure.startswith("t/wrong\twrong_answer\t1 of 2 tests\t")
    assert summary == f"{path}: 1 of 2 references pass"


def test_validate_says_why_and_writes_what_holds(run, problem_file, tmp_path):
    out = tmp_path / "validated.jsonl"
    result = run("validate", problem_file(RIGHT, WRONG, NONE), "--out", out)
    assert result.exit_code == 1
    assert "test 2 of 2: wrong_answer: got 2, expected 42" in result.stdout
    assert [row.problem.task_id for row in load_rows(out)] == ["t/right"]


def test_validate_prints_a_row_for_each_problem(run, problem_file):
    result = run("validate", problem_file(RIGHT, WRONG, NONE), "--json")
    assert result.exit_code == 1
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["task_id"], row["outcome"]) for row in rows] == [
        ("t/right", "pass"),
        ("t/wrong", "wrong_answer"),
        ("t/none", None),
    ]
    assert (rows[1]["passed"], rows[1]["total"]) == (1, 2)


def test_validate_says_what_is_slow(run, problem_file, monkeypatch):
    monkeypatch.setattr("o1coder_gym.problems.validation.Limits", partial(Limits, cpu_s=0.2))
    slow = "import time\nstart = time.process_time()\nwhile time.process_time() < start + 0.3:\n    pass\n"
    path = problem_file(RIGHT | {"reference": slow + RIGHT["reference"]})
    result = run("validate", path)
    assert result.exit_code == 0
    assert result.stdout.startswith("t/right\tpasses, but takes more than the usual 0.2 CPU seconds\n")
    assert run("validate", path, "--cpu-s", 0.2).stdout.startswith("t/right\ttimeout\t")


def test_bad_rows_stop_the_command_or_are_reported(run, problem_file):
    path = problem_file("{broken", RIGHT)
    assert isinstance(run("validate", path).exception, ProblemFileError)
    result = run("validate", path, "--skip-bad")
    assert result.exit_code == 0
    assert f"skipped: {path}, line 1: not JSON" in result.stderr
    assert f"skipped 1 bad rows of {path}" in result.stderr


@pytest.mark.skipif("O1CODER_DATA" not in os.environ, reason="O1CODER_DATA is not set")
@pytest.mark.parametrize(("name", "count"), [("humaneval", 164), ("mbpp-sanitized", 427), ("mbpp", 974)])
def test_the_references_of_the_benchmarks_pass(name, count):
    rows = load_rows(name)
    assert len(rows) == count
    # Mbpp/123 passes, but takes seconds.
    quick = [row for row in rows if row.problem.task_id != "Mbpp/123"]
    judged = [*validate_rows(quick, default_judge(), Limits(cpu_s=10.0, wall_s=30.0))]
    assert [one.reason for one in judged if not one.holds] == []


def test_overlap_names_the_problems_of_both_sets(tmp_path):
    rows = [problem_row_to_json(row) for row in load_rows("starter")[:3]]
    rows[0]["task_id"] = "mine/1"  # the same question under another name
    rows[1] |= {"task_id": "mine/2", "prompt": "Return 7.", "entry_point": "seven"}
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = call("data", "overlap", str(file), "starter", "--json")
    found = {(pair["a"], pair["b"]) for pair in map(json.loads, done.stdout.splitlines())}
    whole = load_rows("starter")
    assert {("mine/1", whole[0].problem.task_id), (rows[2]["task_id"], rows[2]["task_id"])} <= found
    told = call("data", "overlap", str(file), "starter").stdout.splitlines()
    assert told[-1].endswith(f"of 3 problems of {file} stand in starter")


def test_a_set_without_splits_is_dealt_to_them(run, problem_file, tmp_path):
    path = problem_file(*(RIGHT | {"task_id": f"t/{number}"} for number in range(20)))
    done = run("split", path, "--out", tmp_path / "dealt.jsonl", "--test", "0.25")
    assert done.exit_code == 0, done.stderr
    dealt = load_rows(tmp_path / "dealt.jsonl")
    assert {name: len(dealt.of_split(name)) for name in dealt.splits} == {
        "train": 13,
        "validation": 2,
        "test": 5,
    }
    assert [row.problem.task_id for row in dealt] == [f"t/{number}" for number in range(20)]
    run("split", path, "--out", tmp_path / "again.jsonl", "--test", "0.25")
    assert (tmp_path / "again.jsonl").read_text() == (tmp_path / "dealt.jsonl").read_text()
    with pytest.raises(UnknownNameError, match="known: "):
        dealt.of_split("dev")


@pytest.mark.parametrize(
    ("count", "sizes"), [(3, [1, 1, 1]), (4, [2, 1, 1]), (10, [8, 1, 1]), (30, [24, 3, 3])]
)
def test_every_split_has_a_problem(problem_file, count, sizes):
    dealt = with_splits(load_rows(problem_file(*(RIGHT | {"task_id": f"t/{n}"} for n in range(count)))))
    assert [len(dealt.of_split(name)) for name in ("train", "validation", "test")] == sizes


def test_one_question_under_several_names_is_in_one_split(problem_file):
    asked = [f"Return the {n} smallest numbers of the given list." for n in range(12)]
    rows = [RIGHT | {"task_id": f"{name}/{n}", "prompt": asked[n]} for name in "ab" for n in range(12)]
    dealt = with_splits(load_rows(problem_file(*rows)))
    splits = {row.problem.task_id: row.problem.meta["split"] for row in dealt}
    assert {*splits.values()} == {"train", "validation", "test"}
    assert all(splits[f"a/{n}"] == splits[f"b/{n}"] for n in range(12))


def test_what_cannot_be_dealt_is_refused(problem_file):
    found = load_rows(problem_file(RIGHT, NONE))
    with pytest.raises(UsageError, match="too few for train, validation, test"):
        with_splits(found)
    with pytest.raises(UsageError, match="add up to 1"):
        with_splits(found, {"train": 0.5})


def test_a_text_is_an_assertion(problem_file):
    (row,) = load_rows(problem_file(RIGHT | {"tests": ["assert f(1) == 2"]}))
    assert row.tests == (AssertTest("assert f(1) == 2"),)
