"""What is opened by name is kept while the files behind the name stay as they are."""

import os
from pathlib import Path

from o1coder_gym.runs.kept import kept, on_disk


def touched(path: Path, text: str, second: int) -> None:
    path.write_text(text)
    os.utime(path, ns=(second * 10**9, second * 10**9))


def test_a_file_is_opened_again_when_it_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"

    @kept(2, lambda name, upper=False: [name])
    def read(name: str, upper: bool = False) -> list[str]:
        text = Path(name).read_text()
        return [text.upper() if upper else text]

    touched(file, "a", 1)
    first = read(str(file))
    assert read(str(file)) is first
    assert read(str(file), upper=True) == ["A"]
    touched(file, "b", 2)
    assert (read(str(file)), first) == (["b"], ["a"])  # who holds the first one goes on with it
    touched(file, "bb", 2)  # within the clock's resolution: its size tells
    assert read(str(file)) == ["bb"]
    assert read(str(file), upper=True) == ["BB"]


def test_of_more_values_than_are_kept_the_oldest_goes(tmp_path: Path) -> None:
    opened: list[str] = []

    @kept(2, lambda name: [name])
    def note(name: str) -> str:
        opened.append(name)
        return name

    for name in ("a", "b", "a", "c", "a", "b"):
        note(name)
    assert opened == ["a", "b", "c", "b"]
    note.cache_clear()
    note("b")
    assert opened[-2:] == ["b", "b"]


def test_names_are_files_folders_specs_and_their_arguments(tmp_path: Path) -> None:
    (tmp_path / "model" / "deeper").mkdir(parents=True)
    weights, code, rows = tmp_path / "model" / "weights", tmp_path / "own.py", tmp_path / "rows.jsonl"
    names = (
        f"hf:{tmp_path}/model?dtype=float32",
        f"{code}:make",
        f"scripted:{rows}",
        f"choice_ppo?path={rows}",
        f"{code}:make?policy=hf:{tmp_path}/model",
    )
    for file in (weights, code, rows):
        touched(file, "1", 1)
    for name, file in zip(names, (weights, code, rows, rows, weights), strict=True):
        before = on_disk(name)
        touched(file, "2", 2)
        assert on_disk(name) != before
        touched(file, "1", 1)
        assert on_disk(name) == before
    assert on_disk("heuristic", None, "", "fake:?x=", "a\0b", "openai:http://127.0.0.1:1/v1#m") == ()


def test_a_file_that_appears_changes_a_folder(tmp_path: Path) -> None:
    before = on_disk(f"prm:{tmp_path}?batch=4")
    (tmp_path / "calibration.json").write_text("{}")
    assert on_disk(f"prm:{tmp_path}?batch=4") != before
