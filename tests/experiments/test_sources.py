"""Sources: two policies under one name are two sources."""

from pathlib import Path

import pytest

from o1coder_gym.experiments.sources import content_of, search_source
from o1coder_gym.models.lookup import KNOWN_MODELS
from o1coder_gym.process_data.dataset import source_id


def save(folder: Path, weights: bytes, card: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "README.md").write_text(card)
    return folder


@pytest.mark.parametrize("spec", ["hf:{}", "vllm:{}?dtype=float32", "prm:{}"])
def test_another_model_in_a_folder_is_another_source(tmp_path: Path, spec: str) -> None:
    folder = save(tmp_path / "model", b"one")
    name = "scorer" if spec.startswith("prm") else "policy"
    config = {"policy": "hf:tiny", "scorer": None, name: spec.format(folder)}
    first = source_id(search_source(config, 3, {}))
    save(folder, b"one", card="told anew")
    assert source_id(search_source(config, 3, {})) == first  # its card does not answer
    save(folder, b"two")
    assert source_id(search_source(config, 3, {})) != first
    (folder / "tokenizer.json").write_text("{}")
    assert len({source_id(search_source(config, trees, {})) for trees in (3, 4)} | {first}) == 3


@pytest.mark.parametrize(
    "file", ["tokenizer_config.json", "generation_config.json", "chat_template.jinja", "calibration.json"]
)
def test_what_a_prompt_an_end_and_a_score_are_is_content(tmp_path: Path, file: str) -> None:
    folder = save(tmp_path / "model", b"one")
    first = content_of(f"hf:{folder}")
    (folder / file).write_text("{}")
    assert content_of(f"hf:{folder}") != first


@pytest.mark.parametrize("role", ["policy", "scorer", "generator"])
def test_own_code_and_what_makes_the_tests_are_content(tmp_path: Path, role: str) -> None:
    code = tmp_path / "own.py"
    code.write_text("x = 1\n")
    config = {"policy": "fake", "scorer": None, "generator": "mutation", role: f"{code}:Mine?width=2"}
    first = source_id(search_source(config, 3, {}))
    code.write_text("x = 2\n")
    assert source_id(search_source(config, 3, {})) != first


def test_files_names_and_nothing_have_their_contents(tmp_path: Path) -> None:
    script = tmp_path / "policy.json"
    script.write_text("{}")
    first = content_of(f"scripted:{script}")
    script.write_text("[]")
    assert content_of(f"scripted:{script}") not in (first, None)
    for name, model in KNOWN_MODELS.items():  # pinned bytes; nothing is fetched
        assert content_of(f"hf:{name}") == model.weights.sha256
    assert content_of("hf:tiny") != content_of("hf:tiny-selfplay")
    (tmp_path / "empty").mkdir()
    for spec in ("fake:depth=2", f"hf:{tmp_path / 'empty'}", "openai:http://localhost:1/v1"):
        assert content_of(spec) is None
