"""The commands that scripts of evidence print, and run, have the options that they are given."""

import importlib.util
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.tcg.quality.measures import ProblemQuality
from tests.command_line import check_documented

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "evidence"


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loads a script, which is in no package, and may import those beside it."""
    monkeypatch.syspath_prepend((FOLDER / name).parent)
    found = importlib.util.spec_from_file_location(f"evidence_{name}", FOLDER / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, found.name, module)  # for its dataclasses
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("micro", [True, False])
def test_the_pipeline_of_prms(micro: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prm = script("prm", monkeypatch)
    lines = prm.commands_of(prm._filled(prm.PipelineSettings(out=tmp_path, micro=micro)))
    assert any("--rollouts 8" in line for line in lines)
    for line in lines:
        check_documented(shlex.split(line))


@pytest.mark.parametrize("programs", [None, Path("P.jsonl")])
def test_the_training_of_generators_on_what_tests_earn(
    programs: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tcg = script("tcg", monkeypatch)
    tcg.rewarded(tcg.RewardedSettings(out=tmp_path, programs=programs))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("o1coder")]
    assert len(lines) == 9
    for line in lines:
        check_documented(shlex.split(line)[1:])
    # programs are sampled once for each split
    assert sum("--policy" in line for line in lines) == (2 if programs is None else 0)


def test_more_rulings_of_the_same_problems_do_not_narrow_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    selection = script("adversary/selection", monkeypatch)

    def told(rulings: int) -> str:
        rates = dict.fromkeys(("blind", "public", "codet", "majority", "classes", "rulings", "both"), 0.5)
        rows = [
            {"n": 4, **rates, "oracle": 1.0, "right_class": right, "rulings_right": [[0.9, right]] * rulings}
            for right in (True, False) * 8
        ]
        line = selection._selection_table(rows, "stored").splitlines()[-1]
        return line.partition("rulings right: ")[2].partition(" of ")[0]

    assert told(40) == told(1)


def test_what_earlier_rows_do_not_know_is_not_compared_as_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tcg = script("tcg", monkeypatch)
    for folder, new in (("after", 3), ("before", None)):
        row = ProblemQuality("a", 6, 6, 6, 0, 6, 6, 0, new=new).to_row()
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "quality.jsonl").write_text(json.dumps(row) + "\n")
    tcg.compare(tcg.CompareSettings(after=tmp_path / "after", before=tmp_path / "before"))
    (line,) = (one for one in capsys.readouterr().out.splitlines() if one.startswith("new valid tests"))
    assert line.endswith("0 problems")
