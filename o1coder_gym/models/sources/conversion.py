"""Turns one verified GGUF file into a folder that any transformers code can load and train.

Runs as ``python -m o1coder_gym.models.sources.conversion GGUF FOLDER`` in a process of its own, so that its
progress bars and its memory (the dense weights twice) do not stay with the caller.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def convert_gguf(gguf: Path, folder: Path, *, tie_embeddings: bool = False) -> None:
    """Writes dense bfloat16 safetensors, tokenizer, chat template and generation defaults.

    GGUF keeps no list of end tokens and transformers takes the tokenizer's end token from elsewhere, so
    both are set from the file's own `eos_token_id`: generation stops at the end of a turn and at the end
    of a text.

    Args:
        gguf: The weight file.
        folder: Where to write; made if missing.
        tie_embeddings: The published model shares input embeddings and output head, but the file
            stores the matrix twice at two precisions; the output head, the finer one, is kept.
    """
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    options: dict[str, Any] = {"dtype": torch.bfloat16, "gguf_file": gguf.name}
    if hasattr(transformers, "GgufConfig"):
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(gguf.parent, **options)
    if tie_embeddings:
        # The finer of the two stored matrices; both names then share one tensor, as in the published model.
        model.get_input_embeddings().weight = model.get_output_embeddings().weight
        model.config.tie_word_embeddings = True

    end_of_turn: int = model.config.eos_token_id
    end_of_text = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end_of_turn)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(model.config.pad_token_id)
    # Clean-up would drop blanks before punctuation, and decoded code would differ from what was sampled.
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.model_max_length = model.config.max_position_embeddings
    ends = [end_of_turn] if end_of_text in (None, end_of_turn) else [end_of_turn, end_of_text]
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=model.config.bos_token_id, eos_token_id=ends, pad_token_id=model.config.pad_token_id
    )
    _forget_origin(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _forget_origin(model: Any) -> None:
    """Removes the mark of packed GGUF blocks: the weights are dense now."""
    for owner, name in ((model.config, "quantization_config"), (model, "hf_quantizer")):
        if hasattr(owner, name):
            delattr(owner, name)
    model.is_quantized = False
    model.config.__dict__.pop("_model_name_or_path", None)


if __name__ == "__main__":
    convert_gguf(Path(sys.argv[1]), Path(sys.argv[2]), tie_embeddings="--tie-embeddings" in sys.argv[3:])
