"""Rows in all containers: text and tables, packed and not, in files and folders, one in memory at a time."""

import gzip
import json
import tracemalloc

import pytest

from o1coder_gym.errors import MissingExtraError, ProblemFileError
from o1coder_gym.problems import load_rows, stream_rows
from o1coder_gym.problems.containers import file_lines

arrow = pytest.importorskip("pyarrow")


def row(number, **meta):
    return {
        "task_id": f"t/{number}",
        "prompt": "Add one. ü",
        "entry_point": "f",
        "tests": [{"kind": "call", "args": "[1]", "expected": "2"}],
        "meta": meta or None,
    }


ROWS = [row(number) for number in range(40)]
LINES = "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in ROWS).encode()


def jsonl(path):
    path.write_bytes(LINES)


def with_bom(path):
    path.write_bytes(b"\xef\xbb\xbf" + LINES)


def array(path):
    path.write_text(json.dumps(ROWS))


def array_with_bom(path):
    path.write_bytes(b"\xef\xbb\xbf \n" + json.dumps(ROWS, indent=1).encode())


def gz(path):
    path.write_bytes(gzip.compress(LINES))


def zst(path):
    with arrow.output_stream(str(path), compression="zstd") as file:
        file.write(LINES)


def parquet(path):
    import pyarrow.parquet

    pyarrow.parquet.write_table(arrow.Table.from_pylist(ROWS), path, row_group_size=7)


def arrow_file(path):
    table = arrow.Table.from_pylist(ROWS)
    with arrow.ipc.new_file(path, table.schema) as file:
        file.write_table(table, max_chunksize=9)


def arrow_stream(path):
    table = arrow.Table.from_pylist(ROWS)
    with arrow.ipc.new_stream(path, table.schema) as file:
        file.write_table(table)


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (jsonl, "a.jsonl"),
        (with_bom, "a.jsonl"),
        (array, "a.json"),
        (array_with_bom, "a.json"),
        (gz, "a.jsonl.gz"),
        (zst, "a.jsonl.zst"),
        (parquet, "a.parquet"),
        (arrow_file, "a.arrow"),
        (arrow_stream, "a.arrow"),
    ],
)
def test_each_container_holds_the_same_rows(tmp_path, write, name):
    path = tmp_path / name
    write(path)
    rows = load_rows(path)
    assert [one.problem.task_id for one in rows] == [one["task_id"] for one in ROWS]
    assert rows[0].problem.prompt == "Add one. ü"
    assert list(stream_rows(path)) == list(rows)


def test_shards_of_a_folder_are_one_set_with_splits(tmp_path):
    raw = {"question": "Double.", "input_output": {"inputs": ["1"], "outputs": ["2"]}, "solutions": None}
    for name, count in (
        ("data/train-00000-of-00002.jsonl", 3),
        ("data/train-00001-of-00002.jsonl", 2),
        ("data/test-00000-of-00001.json", 1),
        ("validation/part.jsonl.gz", 1),
    ):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = "\n".join([json.dumps(raw)] * count).encode()
        path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    (tmp_path / "set" / "dataset_info.json").write_text("{}")
    (tmp_path / "set" / "README.md").write_text("# a card")
    rows = load_rows(tmp_path / "set")
    assert [(one.problem.task_id, one.problem.meta["split"]) for one in rows] == [
        ("set/test/0", "test"),
        *((f"set/train/{number}", "train") for number in range(5)),
        ("set/part/0", "validation"),
    ]
    assert len(load_rows(tmp_path / "set", split="train")) == 5


def test_what_datasets_saved_is_read(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}).save_to_disk(tmp_path / "saved")
    assert len(load_rows(tmp_path / "saved", split="train")) == len(ROWS)


def test_a_folder_without_rows_is_named(tmp_path):
    with pytest.raises(ProblemFileError, match=r"no files of rows in it; known endings: \.parquet"):
        load_rows(tmp_path)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.jsonl.zst"])
def test_broken_tables_are_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"broken, and long enough to be looked into")
    with pytest.raises(ProblemFileError, match=rf"{name}: cannot be read"):
        load_rows(path)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    parquet(tmp_path / "a.parquet")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pyarrow"):
        load_rows(tmp_path / "a.parquet")


def test_a_stream_holds_one_row_at_a_time(tmp_path):
    path = tmp_path / "large.jsonl"
    filler = "x" * 20_000
    with path.open("w") as file:
        for number in range(1_000):
            file.write(json.dumps(row(number, filler=filler)) + "\n")
    tracemalloc.start()
    try:
        assert sum(1 for _ in stream_rows(path)) == 1_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 20_000_000
    assert peak < 4_000_000


def test_a_stream_begins_before_the_file_ends(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES + b"{broken\n")
    stream = stream_rows(path)
    assert next(stream).problem.task_id == "t/0"
    with pytest.raises(ProblemFileError, match="line 41: not JSON"):
        list(stream)


def test_bad_rows_of_a_stream_are_told(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n{broken\n" + LINES + LINES[:1] + LINES)
    told = []
    assert len(list(stream_rows(path, skip=told.append))) == len(ROWS)
    assert told[0].startswith(f"{path}, line 2: not JSON")
    assert told[-1] == f"{path}, line 82: field 'task_id': 't/39' is already that of line 42"


def test_places_are_named_by_line_and_row(tmp_path):
    jsonl(tmp_path / "a.jsonl")
    parquet(tmp_path / "a.parquet")
    assert next(file_lines(tmp_path / "a.jsonl", "g")).where == f"{tmp_path}/a.jsonl, line 1"
    assert next(file_lines(tmp_path / "a.parquet", "g")).where == f"{tmp_path}/a.parquet, row 1"
