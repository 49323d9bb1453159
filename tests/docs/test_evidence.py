"""The commands that scripts of evidence print, and run, have the options that they are given."""

import importlib.util
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import check_documented

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "evidence"


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loads a script, which is in no package."""
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
