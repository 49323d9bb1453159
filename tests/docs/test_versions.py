"""Pages of several versions: which there are, in which order, and where the entry leads."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def versions(import_file: Callable[[Path], ModuleType]) -> ModuleType:
    return import_file(Path(__file__).resolve().parents[2] / "docs" / "versions.py")


def test_versions_are_ordered_by_number_and_other_tags_left_out(versions: ModuleType) -> None:
    tags = ["v0.2.0", "v0.10.1", "draft", "v0.10", "v1", "0.3", "v0.2.0-rc1"]
    assert versions.releases(tags) == ["v1", "v0.10.1", "v0.10", "v0.2.0"]


def test_pages_that_are_there_are_not_built_again(
    versions: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[tuple[str, tuple[str, ...]]] = []

    def git(*words: str) -> str:
        return "v0.1 v0.2 v0.3 other" if words == ("tag",) else "docs/conf.py" if words[2] != "v0.1" else ""

    def build(tree: Path, name: str, names: list[str], out: Path) -> None:
        built.append((name, tuple(names)))
        (out / name).mkdir()

    monkeypatch.setattr(versions, "git", git)
    monkeypatch.setattr(versions, "build", build)
    monkeypatch.setattr(versions, "build_release", lambda tag, names, out: build(Path(), tag, names, out))
    monkeypatch.setattr("sys.argv", ["versions.py", "--out", str(tmp_path)])
    (tmp_path / "v0.2").mkdir()
    (tmp_path / "v0.2" / "index.html").write_text("")
    versions.main()
    names = ("v0.3", "v0.2", "latest")
    assert built == [("v0.3", names), ("latest", names)]
    assert "url=v0.3/index.html" in (tmp_path / "index.html").read_text()
