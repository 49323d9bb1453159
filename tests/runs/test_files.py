from pathlib import Path

import pytest

from o1coder_gym.runs.files import replacing, write_whole


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


def _write_half(path: Path) -> None:
    path.write_text("ha")
    raise OSError
