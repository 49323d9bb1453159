"""Provenance: equal work is recognised, other work is not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from o1coder_gym.errors import O1CoderError
from o1coder_gym.runs.provenance import Provenance, artefact_hash, input_hashes, package_versions

MADE = Provenance("prm train", {"seed": 0}, {"data": "abc"}, {"o1coder-gym": "0.1.0"})


def test_a_finished_artefact_is_recognised(tmp_path: Path) -> None:
    assert not MADE.made(tmp_path)
    MADE.write(tmp_path)
    assert MADE.made(tmp_path)
    assert json.loads((tmp_path / "provenance.json").read_text())["config"] == {"seed": 0}
    for other in ({"config": {"seed": 1}}, {"inputs": {}}, {"versions": {}}, {"stage": "sft"}):
        assert not replace(MADE, **other).made(tmp_path)


def test_specs_name_artefacts(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    MADE.write(folder)
    specs = (f"hf:{folder}", f"prm:{folder}?batch=4", "hf:qwen2.5-coder-0.5b", "heuristic", None)
    assert input_hashes(*specs) == {f"hf:{folder}": MADE.hash, f"prm:{folder}?batch=4": MADE.hash}


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text("{")
    with pytest.raises(O1CoderError, match=r"provenance\.json: has no hash"):
        artefact_hash(tmp_path)


def test_versions_of_what_is_installed() -> None:
    assert set(package_versions("numpy", "no-such-package")) == {"o1coder-gym", "numpy"}
