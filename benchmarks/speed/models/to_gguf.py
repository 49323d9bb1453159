"""Writes a Qwen2 model of a folder as a GGUF file with the same weights, for llama.cpp.

    python benchmarks/speed/models/to_gguf.py FOLDER FILE

Matrices stay bfloat16, as in the folder; norms and biases are float32, as llama.cpp wants them. So a server
of llama.cpp is compared by the same numbers, which the quantised files of hubs do not have.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gguf
from safetensors import safe_open


def write(folder: Path, file: Path) -> None:
    """Converts weights, tokenizer and chat template.

    Raises:
        SystemExit: When the model is no Qwen2.
    """
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] != "qwen2":
        raise SystemExit(f"{config['model_type']} is no Qwen2")
    writer = gguf.GGUFWriter(file, "qwen2")
    add_shape(writer, config)
    add_tokenizer(writer, folder, config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config["num_hidden_layers"])
    with safe_open(folder / "model.safetensors", "pt") as weights:
        for name in weights.keys():  # noqa: SIM118, not a mapping
            values = weights.get_tensor(name).float().numpy()
            stored = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if stored is None:
                raise SystemExit(f"{name}: GGUF has no name for it")
            if values.ndim == 1:
                writer.add_tensor(stored, values)
            else:
                kind = gguf.GGMLQuantizationType.BF16
                writer.add_tensor(stored, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_shape(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    """Adds the sizes of a model."""
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)


def add_tokenizer(writer: gguf.GGUFWriter, folder: Path, config: dict[str, Any]) -> None:
    """Adds vocabulary, merges, end tokens and chat template."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    kinds = gguf.TokenType
    tokens = {index: (token, kinds.NORMAL) for token, index in tokenizer["model"]["vocab"].items()}
    for one in tokenizer["added_tokens"]:
        tokens[one["id"]] = one["content"], kinds.CONTROL if one["special"] else kinds.USER_DEFINED
    found = [tokens.get(index, (f"[PAD{index}]", kinds.UNUSED)) for index in range(config["vocab_size"])]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([token for token, _ in found])
    writer.add_token_types([kind for _, kind in found])
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in merges])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text())


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
