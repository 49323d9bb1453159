"""Provenance: equal work is recognised, other work is not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.errors import O1CoderError
from o1coder_gym.runs.provenance import (
    Provenance,
    artefact_hash,
    config_hash,
    content_hash,
    file_hashes,
    input_hashes,
    package_versions,
)
from o1coder_gym.specs import Spec

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
    made = [f"hf:{folder}", f"prm:{folder}?batch=4", f"choice_ppo?path={folder}"]
    assert input_hashes(*made, "hf:qwen2.5-coder-0.5b", "heuristic", None) == dict.fromkeys(made, MADE.hash)


def test_an_input_that_is_a_file_has_the_hash_of_what_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    names = (f"scripted:{file}", f"scripted:{file}?loop=true", f"hf:{file}?dtype=float32")
    assert input_hashes(*names) == {}  # nothing is there yet
    file.write_text("1")
    before = input_hashes(*names)
    assert before == dict.fromkeys(names, content_hash(b"1"))
    file.write_text("2")
    assert not before.items() & input_hashes(*names).items()


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_model_without_provenance_has_the_hash_of_its_files(tmp_path: Path, file: str) -> None:
    names = (f"hf:{tmp_path}?dtype=float32", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert input_hashes(*names) == {}  # no weights: no model
    (tmp_path / "model.safetensors").write_text("1")
    (tmp_path / "README.md").write_text("any")
    before = input_hashes(*names)
    assert {*before} == {*names}
    (tmp_path / "README.md").write_text("other")
    assert input_hashes(*names) == before
    (tmp_path / file).write_text("2")
    assert not before.items() & input_hashes(*names).items()


def test_a_spec_that_names_several_artefacts_changes_with_each(tmp_path: Path) -> None:
    code, folder = tmp_path / "own.py", tmp_path / "the & model"
    code.write_text("1")
    folder.mkdir()
    spec = str(Spec(str(code), "Agent", (("policy", f"hf:{folder}?dtype=float32"), ("width", "4"))))
    seen = []
    for text, made in (("1", None), ("1", MADE), ("2", MADE), ("2", replace(MADE, stage="sft"))):
        code.write_text(text)
        if made is not None:
            made.write(folder)
        seen.append(input_hashes(spec)[spec])
    assert seen[0] == content_hash("1")
    assert len(set(seen)) == 4


def test_an_artefact_is_found_whatever_its_folder_is_called(tmp_path: Path) -> None:
    for name in ("a b", "a%20b", "what? 100%", "50%3F&#x"):
        folder = tmp_path / name
        folder.mkdir()
        MADE.write(folder)
        specs = str(Spec("hf", str(folder))), str(Spec("choice_ppo", None, (("path", str(folder)),)))
        assert input_hashes(*specs) == dict.fromkeys(specs, MADE.hash)


def test_a_value_too_long_for_a_path_is_none() -> None:
    arguments = json.dumps({"system": "Answer in short. " * 40})
    names = f"hf:tiny?template_arguments={arguments}", f"own.py:make?words={arguments}", "x" * 5000
    assert input_hashes(*names) == file_hashes(*names) == {}


def test_files_are_those_named_and_the_calibration_of_a_scorer(tmp_path: Path) -> None:
    rows, spec = tmp_path / "rows.jsonl", f"prm:{tmp_path}?batch=4"
    rows.write_text("{}")
    assert file_hashes(str(rows), "mbpp", spec, "heuristic", None) == {str(rows): content_hash("{}")}
    (tmp_path / "calibration.json").write_text("1")
    assert file_hashes(spec, f"hf:{tmp_path}") == {spec: content_hash("1")}


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text("{")
    with pytest.raises(O1CoderError, match=r"provenance\.json: has no hash"):
        artefact_hash(tmp_path)


def test_versions_of_what_is_installed() -> None:
    assert set(package_versions("numpy", "no-such-package")) == {"o1coder-gym", "numpy"}


@pytest.mark.parametrize(
    ("value", "size", "expected"),
    [
        # as earlier versions have named what lies in run folders, data sets and caches
        (b"abc", None, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("abc", None, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (["é", 1, None], None, "251bf6a3c6a775de3d0b9cd748b58820067a11ce4fbde82d364c8d3fd44c1f59"),
        ("\ud800", None, "91a681b998555fb475479817b126c94e57e52011fa1842c5d188795a4a05226b"),
        (["p", 0], 8, "49787ad8e60e777f"),
    ],
)
def test_names_of_what_is_stored_do_not_change(value: Any, size: int | None, expected: str) -> None:
    assert content_hash(value, size) == expected


def test_the_order_of_a_configs_keys_does_not_matter() -> None:
    assert (
        config_hash({"b": 1, "a": [0.5]})
        == config_hash({"a": [0.5], "b": 1})
        == content_hash('{"a": [0.5], "b": 1}')
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        config_hash({"a": float("nan")})


@pytest.mark.parametrize("spec", ["{}:agent", "{}:agent?width=2", "acting?agent={}:Agent", "x?k=1&f={}:f"])
def test_own_code_is_an_input_wherever_a_spec_names_it(spec: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    asked = spec.format(file)
    assert input_hashes(asked) == {}
    file.write_text("1")
    assert input_hashes(asked) == {asked: content_hash(b"1")}
