"""A causal language model of two million weights, trained from scratch on traces with slips.

It writes the step format without fault and mistakes some operations more often than not: what a pretrained
model is to real problems, in about a minute on two cores. Its folder loads as ``hf:FOLDER``. The chat
template shows it the question alone, without instruction and example, so that prompts are short.

Shapes: B traces, T tokens.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from o1coder_gym.errors import UsageError, require
from o1coder_gym.experiments.micro.operations import Pipeline
from o1coder_gym.experiments.micro.problems import MOST, draw_pipelines, micro_problem
from o1coder_gym.experiments.micro.splits import TRACES, is_held_out
from o1coder_gym.experiments.micro.traces import trace
from o1coder_gym.runs.files import replacing, write_json
from o1coder_gym.runs.provenance import config_hash, content_hash
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.steps.prompts import question

if TYPE_CHECKING:
    import torch

END, PAD, USER, ASSISTANT = "<end>", "<pad>", "<user>", "<assistant>"
CHAT_TEMPLATE = (
    "{%- set place = namespace(last=0) -%}"
    "{%- for message in messages -%}{%- if message['role'] == 'user' -%}"
    "{%- set place.last = loop.index0 -%}{%- endif -%}{%- endfor -%}"
    f"{{{{- '{USER}' + messages[place.last]['content'] -}}}}"
    "{%- for message in messages[place.last + 1:] -%}"
    f"{{{{- '{ASSISTANT}' + message['content'] + '{END}' -}}}}{{%- endfor -%}}"
    f"{{%- if add_generation_prompt -%}}{{{{- '{ASSISTANT}' -}}}}{{%- endif -%}}"
)
"""Renders the last question and the answer to it, if there is one."""

RECIPE = "recipe.json"
"""Name of the file in a model's folder that says what it was made from."""

_PIECES = r"\n+|[0-9]|[^\n0-9(,:]+[(,:]?|[(,:]"

_STEPS_A_CHECKPOINT = 25

OnStep = Callable[[int, float], None]
"""Called with each optimizer step: its number from 1, and the loss."""


@dataclass(frozen=True, slots=True)
class TinySettings:
    """Size and training of the tiny model.

    Attributes:
        layers: Transformer blocks.
        width: Hidden size; divisible by `heads`.
        heads: Attention heads.
        vocabulary: Entries of the tokenizer.
        traces: Different traces that it is trained on.
        steps: Optimizer steps.
        batch_size: Traces per step.
        learning_rate: Peak, reached after a twentieth of the steps; falls to zero.
        seed: Of traces, weights and order.
    """

    layers: int = 2
    width: int = 256
    heads: int = 4
    vocabulary: int = 640
    traces: int = 4000
    steps: int = 250
    batch_size: int = 24
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.layers, self.heads, self.traces, self.steps, self.batch_size) < 1:
            raise UsageError("layers, heads, traces, steps and batch size are at least 1")
        if self.width % (2 * self.heads):
            raise UsageError(f"a width of {self.width} does not divide into {self.heads} heads of even size")


def train_tiny_model(
    folder: Path,
    settings: TinySettings = TinySettings(),
    *,
    checkpoint: Path | None = None,
    on_step: OnStep | None = None,
) -> Path:
    """Trains a model and saves it with its tokenizer and its recipe.

    Args:
        folder: Where weights and tokenizer go.
        settings: Size and training; equal settings give equal weights on the same machine, and anywhere
            the recipe in ``recipe.json``.
        checkpoint: File of a training of the same settings that was stopped, or will be: it is continued,
            ends with the same weights, and is deleted at the end.
        on_step: Called with each step.

    Returns:
        `folder`.

    Raises:
        MissingExtraError: When torch or transformers is not installed.
    """
    require("hf", "torch", "transformers")
    chats = training_chats(settings)
    tokenizer = train_tokenizer([prompt + answer for prompt, answer in chats], settings.vocabulary)
    model = new_model(tokenizer, settings)
    _fit(model, tokenizer, chats, settings, checkpoint, on_step)
    _save(model, tokenizer, training_recipe(settings, chats), folder)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return folder


def training_chats(settings: TinySettings) -> list[tuple[str, str]]:
    """Returns (prompt, answer) texts of traces with slips; problems recur with other slips.

    Questions are of the split ``traces``, and no answer's program computes what a held-out problem asks for:
    a slip may turn one problem's program into another's.
    """
    count = min(max(1, settings.traces // 3), MOST)
    # A third as many problems as traces, so that each recurs with other slips.
    pipelines = draw_pipelines(count, settings.seed, TRACES)
    generator = random.Random(settings.seed)
    return [_chat(generator.choice(pipelines), generator) for _ in range(settings.traces)]


def training_recipe(settings: TinySettings, chats: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Returns the recipe of a tiny model; equal recipes make models that differ at most by rounding.

    Args:
        settings: Size and training.
        chats: `training_chats` of the settings.

    Returns:
        ``settings``; ``texts``, the SHA-256 of all chats in order; ``sha256`` of these two together.
    """
    texts = content_hash(json.dumps(chats, ensure_ascii=False))
    recipe = {"settings": asdict(settings), "texts": texts}
    return {**recipe, "sha256": config_hash(recipe)}


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    """Trains a byte-level BPE tokenizer; any text is encoded and comes back as it was.

    Its tokens may span words (as in SuperBPE, arXiv 2503.13423), which halves the length of traces, but no
    line, digit or opening bracket: text cut at the end of a step or header is encoded as in the whole.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, USER, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        padding_side="left",
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def new_model(tokenizer: Any, settings: TinySettings) -> Any:
    """Returns a Llama with random weights: `AutoTokenizer` leaves its tokenizer as it was saved."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(settings.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.width,
            intermediate_size=2 * settings.width,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            num_key_value_heads=settings.heads,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _save(model: Any, tokenizer: Any, recipe: Mapping[str, Any], folder: Path) -> None:
    """Writes into a second folder first, so that `folder` is whole or absent."""
    from transformers.utils import logging

    folder.parent.mkdir(parents=True, exist_ok=True)
    logging.disable_progress_bar()
    with replacing(folder) as part:
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)
        write_json(part / RECIPE, recipe)


def _chat(pipeline: Pipeline, generator: random.Random) -> tuple[str, str]:
    """Returns the question and a trace as the step format writes them."""
    problem = micro_problem(pipeline, f"trace/{generator.random()}", TRACES, 0)
    steps = trace(pipeline, generator, allowed=lambda meant: not is_held_out(meant))
    texts = (PSEUDOCODE.render(step, index).rstrip() for index, step in enumerate(steps, start=1))
    return f"{USER}{question(problem)}{ASSISTANT}", "\n\n".join(texts) + "\n" + END


def _fit(
    model: Any,
    tokenizer: Any,
    chats: Sequence[tuple[str, str]],
    settings: TinySettings,
    checkpoint: Path | None,
    on_step: OnStep | None,
) -> None:
    """Minimises the cross-entropy of the answers: AdamW, warm-up, linear decay."""
    import torch

    rows = [_encode(tokenizer, *chat) for chat in chats]
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings.steps))
    order = random.Random(settings.seed)
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    done = _read_checkpoint(checkpoint, parts)
    model.train()
    for step in range(1, settings.steps + 1):
        batch = order.sample(rows, min(settings.batch_size, len(rows)))
        if step <= done:  # drawn all the same, so that later batches are those of an unbroken training
            continue
        ids, labels = _batch(batch, tokenizer.pad_token_id)
        loss = model(input_ids=ids, attention_mask=ids != tokenizer.pad_token_id, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if checkpoint is not None and step % _STEPS_A_CHECKPOINT == 0:
            _write_checkpoint(checkpoint, step, parts)
        if on_step is not None:
            on_step(step, loss.item())
    model.eval()


def _write_checkpoint(file: Path, step: int, parts: Mapping[str, Any]) -> None:
    import torch

    with replacing(file) as part:
        torch.save({"step": step} | {name: one.state_dict() for name, one in parts.items()}, part)


def _read_checkpoint(file: Path | None, parts: Mapping[str, Any]) -> int:
    """Returns the number of finished steps, 0 without a file."""
    if file is None or not file.exists():
        return 0
    import torch

    found = torch.load(file, weights_only=True)
    for name, one in parts.items():
        one.load_state_dict(found[name])
    return int(found["step"])


def _encode(tokenizer: Any, prompt: str, answer: str) -> tuple[list[int], int]:
    """Returns the ids of a chat, and how many of them are the prompt's."""
    before = tokenizer.encode(prompt, add_special_tokens=False)
    return before + tokenizer.encode(answer, add_special_tokens=False), len(before)


def _batch(rows: Sequence[tuple[list[int], int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns ids and labels, ``[B, T]`` each, padded on the right; prompts and padding are not learned."""
    import torch

    length = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [pad] * (length - len(ids)) for ids, _ in rows])
    # −100: the label that cross-entropy ignores. [B, T].
    labels = torch.full_like(ids, -100)
    for row, (tokens, start) in enumerate(rows):
        labels[row, start : len(tokens)] = ids[row, start : len(tokens)]
    return ids, labels


def _rate(step: int, steps: int) -> float:
    # Linear to 1 over a twentieth of the steps, then linear to 0; the smaller of both lines.
    warm_up = max(1, steps // 20)
    return min((step + 1) / warm_up, (steps - step) / max(1, steps - warm_up))
