import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from o1coder_gym.errors import JournalError, UsageError
from o1coder_gym.runs import journal
from o1coder_gym.runs.journal import FILES, INPUTS, RunFolder, begun_with, read_rows, require_unchanged
from o1coder_gym.runs.provenance import Provenance, config_hash, file_hashes, input_hashes

CONFIG = {"agents": ["mcts"], "seed": 0}


def begin(path: Path, config: Mapping[str, Any] = CONFIG) -> None:
    with RunFolder.open(path, config) as folder:
        folder.append("answers", {"k": 0})


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", CONFIG) as folder:
        folder.append("answers", {"k": 0}, {"k": 1, "text": "naïve \ud800 \u2028"})
        folder.append("answers", {"k": 2})
        folder.append("other", {"k": 9})
        assert [row["k"] for row in folder.rows("answers")] == [0, 1, 2]
        assert [row["k"] for row in folder.rows("missing")] == []
    assert list(read_rows(tmp_path / "run" / "answers.jsonl"))[1]["text"] == "naïve \ud800 \u2028"


def test_config_and_versions_are_written_down(tmp_path: Path) -> None:
    RunFolder.open(tmp_path, CONFIG).close()
    row = json.loads((tmp_path / "config.json").read_text())
    assert row["config"] == CONFIG
    assert row["hash"] == config_hash(CONFIG)
    assert set(row["versions"]) == {"o1coder_gym", "python"}


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
    assert config_hash({"a": 1}) != config_hash({"a": 2})


def test_a_run_does_not_go_on_with_files_that_have_changed(tmp_path: Path) -> None:
    begin(tmp_path, {**CONFIG, FILES: {"own.jsonl": "a"}})
    RunFolder.open(tmp_path, {**CONFIG, FILES: {"own.jsonl": "a"}}, resume=True).close()
    for files in ({"own.jsonl": "b"}, {}):
        with pytest.raises(JournalError, match="differs in: files"):
            RunFolder.open(tmp_path, {**CONFIG, FILES: files}, resume=True)


def test_a_folder_of_an_earlier_version_says_nothing_of_files(tmp_path: Path) -> None:
    begin(tmp_path)
    RunFolder.open(tmp_path, {**CONFIG, FILES: {"own.jsonl": "a"}}, resume=True).close()
    with pytest.raises(JournalError, match="seed"):
        RunFolder.open(tmp_path, {**CONFIG, "seed": 1, FILES: {"own.jsonl": "a"}}, resume=True)


@pytest.mark.parametrize("noted", [{}, None, {"hf:a": "1"}])
def test_of_inputs_that_an_earlier_version_did_not_note_nothing_is_known(tmp_path: Path, noted: Any) -> None:
    begin(tmp_path, {**CONFIG, INPUTS: noted})
    now = {**(noted or {}), "scripted:b": "2"}
    RunFolder.open(tmp_path, {**CONFIG, INPUTS: now}, resume=True).close()
    changed = ({"hf:a": "9"}, {"scripted:b": "2"}) if noted else ()
    for inputs in changed:  # another artefact, and none where there was one
        with pytest.raises(JournalError, match="differs in: inputs"):
            RunFolder.open(tmp_path, {**CONFIG, INPUTS: inputs}, resume=True)


def test_inputs_that_were_noted_are_compared_all(tmp_path: Path) -> None:
    begin(tmp_path, {**CONFIG, INPUTS: {"hf:a": "1", "scripted:b": "2"}})
    with pytest.raises(JournalError, match="differs in: inputs"):
        RunFolder.open(tmp_path, {**CONFIG, INPUTS: {"hf:a": "1", "scripted:b": "3"}}, resume=True)


def test_what_a_run_was_begun_with_is_compared_with_what_its_config_names(tmp_path: Path) -> None:
    problems, model = tmp_path / "own.jsonl", tmp_path / "model"
    problems.write_text("{}")
    model.mkdir()
    names = (str(problems), f"prm:{model}?batch=4", "mbpp", "heuristic")
    made = Provenance("prm train", {"seed": 0}, {}, {})
    made.write(model)
    config = {"files": file_hashes(*names), "inputs": input_hashes(*names)}
    require_unchanged(tmp_path, config, *names, otherwise="stop")
    require_unchanged(tmp_path, {}, *names, otherwise="stop")  # an earlier version wrote nothing down
    replace(made, config={"seed": 1}).write(model)
    with pytest.raises(UsageError, match=f"prm:{model}.*has changed since the run began; stop"):
        require_unchanged(tmp_path, config, *names, otherwise="stop")
    made.write(model)
    problems.write_text("[]")
    with pytest.raises(UsageError, match=r"own\.jsonl has changed"):
        require_unchanged(tmp_path, config, *names, otherwise="stop")


def test_a_run_begins_with_what_its_reader_needs(tmp_path: Path) -> None:
    assert begun_with(tmp_path) == {}
    begin(tmp_path)
    assert begun_with(tmp_path, *CONFIG) == CONFIG
    with pytest.raises(UsageError, match=r"holds no run with task_ids, split in its config\.json"):
        begun_with(tmp_path, *CONFIG, "task_ids", "split")


def test_a_folder_with_a_run_needs_resume(tmp_path: Path) -> None:
    begin(tmp_path)
    with pytest.raises(JournalError, match="already holds a run; add --resume to continue it, or"):
        RunFolder.open(tmp_path, CONFIG)
    with RunFolder.open(tmp_path, CONFIG, resume=True) as folder:
        assert folder.resumed


def test_resume_starts_a_run_where_there_is_none(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "new", CONFIG, resume=True) as folder:
        assert not folder.resumed


def test_a_start_that_wrote_nothing_blocks_no_other(tmp_path: Path) -> None:
    RunFolder.open(tmp_path, CONFIG).close()  # as one that is killed leaves it
    for resume in (False, True):
        other = {"agents": ["puct"], "resume": resume}
        with RunFolder.open(tmp_path, other, resume=resume) as folder:
            assert not folder.resumed
        assert json.loads((tmp_path / "config.json").read_text())["config"] == other


def test_a_run_of_another_config_is_refused_by_name(tmp_path: Path) -> None:
    begin(tmp_path)
    with pytest.raises(JournalError, match=r"another configuration \(differs in: budget, seed\); repeat"):
        RunFolder.open(tmp_path, {"agents": ["mcts"], "seed": 1, "budget": 5}, resume=True)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_run_goes_on_with_other_rows_at_once_where_they_change_no_result(
    tmp_path: Path, grouped: bool
) -> None:
    def config(at_once: int) -> dict[str, Any]:
        sections = {"sft": {"rows_at_once": at_once, "group_prefixes": grouped}, "prm": None}
        return {**sections, "rl": {"rows_at_once": at_once}}

    with RunFolder.open(tmp_path, config(8)) as folder:
        folder.append("rows", {"n": 1})
    begun = (tmp_path / "config.json").read_text()
    if grouped:
        with pytest.raises(JournalError, match=r"differs in: sft\)"):
            RunFolder.open(tmp_path, config(2), resume=True)
    else:
        RunFolder.open(tmp_path, config(2), resume=True).close()
    assert (tmp_path / "config.json").read_text() == begun


def test_a_tuple_in_the_config_is_not_a_change(tmp_path: Path) -> None:
    begin(tmp_path, {"agents": ("mcts",)})
    with RunFolder.open(tmp_path, {"agents": ["mcts"]}, resume=True) as folder:
        assert folder.resumed


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, CONFIG), pytest.raises(JournalError, match="in use"):
        RunFolder.open(tmp_path, CONFIG, resume=True)
    RunFolder.open(tmp_path, CONFIG, resume=True).close()


@pytest.mark.parametrize("torn", [b'{"k": 2, "te', b"{", b'{"k": 2}'])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    with RunFolder.open(tmp_path, CONFIG) as folder:
        folder.append("answers", {"k": 0}, {"k": 1})
    file = tmp_path / "answers.jsonl"
    file.write_bytes(file.read_bytes() + torn)
    with RunFolder.open(tmp_path, CONFIG, resume=True) as folder:
        assert [row["k"] for row in folder.rows("answers")] == [0, 1]
        folder.append("answers", {"k": 3})
        assert [row["k"] for row in folder.rows("answers")] == [0, 1, 3]


def test_a_file_that_is_one_torn_line_starts_anew(tmp_path: Path) -> None:
    RunFolder.open(tmp_path, CONFIG).close()
    (tmp_path / "answers.jsonl").write_bytes(b'{"k": "' + b"x" * 200_000)
    with RunFolder.open(tmp_path, CONFIG, resume=True) as folder:
        folder.append("answers", {"k": 0})
        assert [row["k"] for row in folder.rows("answers")] == [0]


@pytest.mark.parametrize(
    ("line", "message"), [(b"{oops}\n", "line 2 is not JSON"), (b"[1]\n", "line 2 is not a")]
)
def test_a_broken_line_in_the_middle_is_an_error(tmp_path: Path, line: bytes, message: str) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_bytes(b'{"k": 0}\n' + line + b'{"k": 1}\n')
    with pytest.raises(JournalError, match=message):
        list(read_rows(file))


def test_a_foreign_config_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(JournalError, match="not the config of a run"):
        RunFolder.open(tmp_path, CONFIG, resume=True)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be written: Not a directory"):
        RunFolder.open(tmp_path / "file" / "run", CONFIG)


def test_a_full_disk_keeps_the_rows_before(tmp_path: Path) -> None:
    program = """
import resource, sys
from o1coder_gym.errors import JournalError, UsageError
from o1coder_gym.runs import journal
from o1coder_gym.runs.journal import RunFolder
with RunFolder.open(sys.argv[1], {"a": 1}) as folder:
    folder.append("answers", {"k": 0})
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
    sys.dont_write_bytecode = True
    try:
        folder.append("answers", {"k": 1, "text": "x" * 5000})
    except JournalError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "cannot be written: File too large" in done.stdout
    assert [row["k"] for row in read_rows(tmp_path / "answers.jsonl")] == [0]
    assert (tmp_path / "answers.jsonl").read_bytes() == b'{"k": 0}\n'


def test_every_file_is_flushed_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, flushed = [100.0], []
    monkeypatch.setattr(journal, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(journal.os, "fdatasync", flushed.append)
    with RunFolder.open(tmp_path, CONFIG, fsync_s=1.0) as folder:
        for _ in range(50):  # answers come all the time, a result now and then
            folder.append("answers", {"k": 0})
            if clock[0] in (100.0, 102.0):
                folder.append("results", {"k": 0})
            clock[0] += 0.25
        files = folder._files
        assert flushed.count(files["results"]) == 2  # though no later result came
        assert flushed.count(files["answers"]) == 10  # 12 seconds, one flush in 1.25
        del flushed[:]
        folder.append("answers", {"k": 0})
    assert len(flushed) == 2  # closing flushes both


def test_each_append_is_flushed_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(journal.os, "fdatasync", flushed.append)
    with RunFolder.open(tmp_path, CONFIG, fsync_s=0) as folder:
        for name in ("a", "b", "a"):
            folder.append(name, {"k": 0})
        assert flushed == [folder._files[name] for name in ("a", "b", "a")]


KEYS = ["mcts p/1", 'quoted " p', "back \\ slash", "naïve \ud800", ""]


def test_rows_are_found_by_their_first_field(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, CONFIG) as folder:
        rows = [{"task": KEYS[i % 5], "k": i, "text": '"task": "x"'} for i in range(23)]
        folder.append("answers", *rows[:20])
        index = folder.index("answers", "task")
        for key in KEYS:
            assert list(index.rows(key)) == [row for row in rows[:20] if row["task"] == key]
        assert list(index.rows("nobody")) == []
        folder.append("answers", *rows[20:])
        assert folder.index("answers", "task") is index
        assert list(index.rows(KEYS[2])) == [row for row in rows if row["task"] == KEYS[2]]
        assert list(folder.index("missing", "task").rows("x")) == []


def test_what_was_indexed_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunFolder.open(tmp_path, CONFIG) as folder:
        folder.append("answers", *({"task": f"t{i}", "k": 0} for i in range(100)))
        looked_at: list[bytes] = []
        noted = journal.RowIndex._noted

        def watched(self: journal.RowIndex, line: bytes, first: int, last: int) -> object:
            looked_at.append(line)
            return noted(self, line, first, last)

        monkeypatch.setattr(journal.RowIndex, "_noted", watched)
        for _ in range(3):
            folder.index("answers", "task")
        assert len(looked_at) == 100
        folder.append("answers", {"task": "new", "k": 0}, {"task": "t3", "k": 1}, {"task": "new", "k": 2})
        assert [row["k"] for row in folder.index("answers", "task").rows("new")] == [0, 2]
        assert len(looked_at) == 101  # of a key that is known only the place is noted
        assert [row["k"] for row in folder.index("answers", "task").rows("t3")] == [0, 1]


def test_keys_that_json_writes_in_two_ways_are_one(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, CONFIG) as folder:
        path = tmp_path / "answers.jsonl"
        lines = [
            '{"task": "é", "k": 0}',
            '{"task": "\\u00e9", "k": 1}',
            '{"k": 2, "task": "é"}',
            '{"task": "a\\"b", "k": 3}',
        ]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        index = folder.index("answers", "task")
        assert [row["k"] for row in index.rows("é")] == [0, 1, 2]
        assert [row["k"] for row in index.rows('a"b')] == [3]


@pytest.mark.parametrize("line", ["not json", '{"k": 1}', '{"task": 3}', "[]", '{"task": "a'])
def test_a_damaged_row_is_told_from_a_torn_one(tmp_path: Path, line: str) -> None:
    with RunFolder.open(tmp_path, CONFIG) as folder:
        path = tmp_path / "answers.jsonl"
        path.write_text('{"task": "a", "k": 0}\n' + line)  # torn: the line has no end
        assert [row["k"] for row in folder.index("answers", "task").rows("a")] == [0]
        path.write_text('{"task": "a", "k": 0}\n' + line + "\n")
        with pytest.raises(JournalError, match=r"line 2|byte"):
            list(folder.index("answers", "task").rows("a"))


@pytest.mark.parametrize("resume", [False, True])
def test_a_start_that_fails_claims_no_folder(tmp_path: Path, resume: bool) -> None:
    with pytest.raises(RuntimeError), RunFolder.open(tmp_path / "run", {"a": 1}, resume=resume):
        raise RuntimeError("no torch")
    assert not (tmp_path / "run").exists()
    with RunFolder.open(tmp_path / "run", {"a": 2}) as folder:
        folder.append("rows", {"x": 1})


def test_a_failure_after_the_first_row_keeps_the_folder(tmp_path: Path) -> None:
    with suppress(RuntimeError), RunFolder.open(tmp_path / "run", {"a": 1}) as folder:
        folder.append("rows", {"x": 1})
        raise RuntimeError("cut off")
    with RunFolder.open(tmp_path / "run", {"a": 1}, resume=True) as folder:
        assert list(folder.rows("rows")) == [{"x": 1}]


def test_a_failed_resume_keeps_the_folder(tmp_path: Path) -> None:
    begin(tmp_path / "run", {"a": 1})
    with pytest.raises(RuntimeError), RunFolder.open(tmp_path / "run", {"a": 1}, resume=True):
        raise RuntimeError("no torch")
    assert (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize(
    "value", ["\ud83d", "\u2028", 2**70, -0.0, 5e-324, 1.7976931348623157e308, [None, {"a": [True]}], "\x00"]
)
def test_a_row_comes_back_as_it_was_written(tmp_path: Path, value: object) -> None:
    """Halves of surrogate pairs too, which a strict reader refuses: models write them."""
    with RunFolder.open(tmp_path / "run", {}) as folder:
        folder.append("rows", {"key": "k", "value": value})
        assert [repr(row["value"]) for row in folder.rows("rows")] == [repr(value)]
        assert [repr(row["value"]) for row in folder.index("rows", "key").rows("k")] == [repr(value)]


def test_numbers_that_json_does_not_have_are_read_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"value": NaN}\n{"value": 1e400}\n')
    assert [repr(row["value"]) for row in read_rows(tmp_path / "rows.jsonl")] == ["nan", "inf"]


def test_rows_that_are_not_whole_are_dropped_and_the_others_stay_as_they_were(tmp_path: Path) -> None:
    odd = '{"task": "a",  "value": NaN}\n'  # as no version writes it any more
    (tmp_path / "rows.jsonl").write_text(odd)
    with RunFolder.open(tmp_path, CONFIG) as folder:
        folder.append("rows", {"task": "b"}, {"task": "a"})
        folder.append("others", {"task": "b"})
        assert [row["task"] for row in folder.index("rows", "task").rows("b")] == ["b"]
        folder.keep("rows", lambda row: row["task"] == "a")
        folder.keep("missing", lambda row: False)
        folder.append("rows", {"task": "b", "again": True})
        text = odd + '{"task": "a"}\n{"task": "b", "again": true}\n'
        assert (tmp_path / "rows.jsonl").read_text() == text
        assert list(folder.index("rows", "task").rows("b")) == [{"task": "b", "again": True}]
    assert list(read_rows(tmp_path / "others.jsonl")) == [{"task": "b"}]
    assert not (tmp_path / "missing.jsonl").exists()


def test_a_file_that_cannot_be_replaced_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunFolder.open(tmp_path, CONFIG) as folder:
        folder.append("rows", {"task": "a"}, {"task": "b"})
        before = (tmp_path / "rows.jsonl").read_bytes()

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(journal.os, "fsync", full)
            with pytest.raises(JournalError, match="cannot be written: No space left on device"):
                folder.keep("rows", lambda row: row["task"] == "a")
        assert (tmp_path / "rows.jsonl").read_bytes() == before
        folder.append("rows", {"task": "c"})
    assert [row["task"] for row in read_rows(tmp_path / "rows.jsonl")] == ["a", "b", "c"]
