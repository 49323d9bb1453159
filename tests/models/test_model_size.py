from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from o1coder_gym.models.lookup import KNOWN_MODELS, count_parameters, parameter_count
from o1coder_gym.policies.loading import parameters_of


def test_known_models_tell_their_size() -> None:
    size = KNOWN_MODELS["qwen2.5-coder-0.5b"].parameters
    assert parameters_of("hf:qwen2.5-coder-0.5b?dtype=float32") == size
    assert parameters_of("vllm:qwen2.5-coder-0.5b") == size
    assert parameters_of("scripted:x.json") is None
    assert parameters_of("openai:http://localhost/v1#m") is None


def test_tensors_are_counted_from_the_headers(tmp_path: Path) -> None:
    save_file({"a": np.zeros((3, 4), np.float16), "b": np.zeros(5, np.float32)}, tmp_path / "one.safetensors")
    save_file({"c": np.zeros((), np.float32)}, tmp_path / "two.safetensors", metadata={"format": "pt"})
    assert count_parameters(tmp_path) == 3 * 4 + 5 + 1
    (tmp_path / "config.json").write_text("{}")
    assert parameter_count(str(tmp_path)) == 18
    assert count_parameters(tmp_path / "nowhere") is None
