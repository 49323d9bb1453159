import os
import threading
from pathlib import Path

import pytest

from o1coder_gym.runs.files import json_lines, replacing, write_whole


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for content in ("first", b"second", "zwölf"):
        write_whole(path, content)
        assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert [*tmp_path.iterdir()] == [path]


def test_what_fails_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "model"
    write_whole(path, "whole")
    with pytest.raises(OSError), replacing(path) as part:
        _write_half(part)
    assert path.read_text() == "whole"
    assert [*tmp_path.iterdir()] == [path]


def test_links_and_pipes_stay_what_they_are(tmp_path: Path) -> None:
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    (tmp_path / "target").touch()
    link.symlink_to(tmp_path / "target")
    write_whole(link, "whole")
    assert (link.is_symlink(), (tmp_path / "target").read_text()) == (True, "whole")
    os.mkfifo(pipe)
    with replacing(pipe) as part:
        assert part == pipe
    assert pipe.is_fifo()


def test_what_a_killed_process_left_does_not_get_in(tmp_path: Path) -> None:
    path = tmp_path / "model"
    leftover = tmp_path / ".model.part"
    leftover.mkdir()
    (leftover / "shard-2").touch()
    with replacing(path) as part:
        part.mkdir()
        (part / "shard-1").touch()
    assert [file.name for file in path.iterdir()] == ["shard-1"]
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(
    ("content", "lines"),
    [("", []), ("\n", [""]), ("1\n2\n", ["1", "2"]), ('"a\u2028b"\n"c\x85d"', ['"a\u2028b"', '"c\x85d"'])],
)
def test_lines_end_at_one_character_in_files_and_pipes(
    tmp_path: Path, content: str, lines: list[str]
) -> None:
    (tmp_path / "file").write_text(content, encoding="utf-8")
    assert json_lines(tmp_path / "file") == lines
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(content, "utf-8"))
    writer.start()
    assert json_lines(tmp_path / "pipe") == lines
    writer.join()


SOURCES = [
    path
    for folder in ("o1coder_gym", "agents", "envs", "benchmarks")
    for path in sorted((Path(__file__).parents[2] / folder).rglob("*.py"))
    if not path.is_symlink()
]


def test_no_module_splits_json_lines_where_texts_in_them_may_end() -> None:
    found = [
        f"{path.name}: {text}"
        for path in SOURCES
        for text in path.read_text(encoding="utf-8").split("\n")
        if "json.loads" in text and "read_text" in text and "splitlines()" in text
    ]
    assert found == []


def _write_half(path: Path) -> None:
    path.write_text("ha")
    raise OSError
