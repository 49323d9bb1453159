"""Measures optimizer steps of SFT, DPO, GRPO and PRM beside plain TRL (or transformers), with the same rows.

    python benchmarks/speed/models/training.py [--model qwen2.5-coder-0.5b] [--stages sft dpo grpo prm]
        [--prompts 1] [--completions 8] [--prompt 400] [--completion 60] [--steps 2] [--lora 8] [--out FILE]

A batch has so many prompts with so many completions each (DPO: half as many pairs) of random tokens, on which
time does not depend. Both sides have the same rows in the same order, the same LoRA adapters and settings;
the plain side is the library's trainer as it comes. Printed are rows per second of both, their ratio, and the
largest relative difference of a loss or a gradient's norm. With --out a stage that is measured already is not
measured again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import transformers
import trl
from datasets import Dataset
from trl.kernels import chunked_logprob
from trl.trainer import grpo_trainer
from trl.trainer import utils as trl_utils

from o1coder_gym.models.batches.projection import project_completions_only
from o1coder_gym.models.batches.shared_prefixes import share_prefixes
from o1coder_gym.models.checkpoints import load_weights, quiet
from o1coder_gym.models.lookup import model_path
from o1coder_gym.models.training.arguments import lora
from o1coder_gym.prm.collators import PointwiseCollator
from o1coder_gym.prm.losses import IGNORED, pointwise_loss
from o1coder_gym.prm.training.trainer import StepTrainer, load_model

Row = dict[str, Any]


class Batch:
    """Random rows: P prompts with C completions each."""

    def __init__(self, options: argparse.Namespace, vocabulary: int) -> None:
        generator = torch.Generator().manual_seed(0)

        def tokens(count: int) -> list[int]:
            return torch.randint(vocabulary // 10, vocabulary // 2, (count,), generator=generator).tolist()

        prompts = [tokens(options.prompt) for _ in range(options.prompts)]
        self.pairs = [
            (prompt, tokens(options.completion)) for prompt in prompts for _ in range(options.completions)
        ]

    def sft(self) -> list[Row]:
        """Returns rows of SFTTrainer."""
        return [
            {"input_ids": prompt + answer, "completion_mask": [0] * len(prompt) + [1] * len(answer)}
            for prompt, answer in self.pairs
        ]

    def dpo(self) -> list[Row]:
        """Returns rows of DPOTrainer, half as many."""
        sides = zip(self.pairs[::2], self.pairs[1::2], strict=True)
        return [
            {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}
            for (prompt, chosen), (_, rejected) in sides
        ]

    def prm(self) -> list[Row]:
        """Returns rows of the PRM's collator: a label every 20 tokens of a completion."""
        rows = []
        for prompt, answer in self.pairs:
            labels = [IGNORED] * (len(prompt) + len(answer))
            labels[len(prompt) + 19 :: 20] = [0.5] * len(labels[len(prompt) + 19 :: 20])
            rows.append({"input_ids": prompt + answer, "labels": labels})
        return rows


class PlainTokens:
    """Mixin: rows that are tokens already, in their order."""

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return torch.utils.data.SequentialSampler(train_dataset or self.train_dataset)  # pyright: ignore


class SFT(PlainTokens, trl.SFTTrainer):
    """TRL's."""


class DPO(PlainTokens, trl.DPOTrainer):
    """TRL's."""


class PRM(PlainTokens, StepTrainer):
    """transformers' Trainer with this project's loss."""


def sft(options: argparse.Namespace, batch: Batch, out: str, shared: bool) -> Any:
    """Returns a trainer of SFT."""
    model, tokenizer = _weights(options, shared)
    common = _arguments(options, out, len(batch.pairs))
    return SFT(
        model=model,
        args=trl.SFTConfig(**common, completion_only_loss=True, max_length=None),
        train_dataset=Dataset.from_list(batch.sft() * options.steps),
        processing_class=tokenizer,
        peft_config=lora(options.lora),
    )


def dpo(options: argparse.Namespace, batch: Batch, out: str, shared: bool) -> Any:
    """Returns a trainer of DPO; the reference is the model without its adapters."""
    model, tokenizer = _weights(options, shared)
    rows = batch.dpo()
    return DPO(
        model=model,
        args=trl.DPOConfig(**_arguments(options, out, len(rows)), max_length=None),
        train_dataset=Dataset.from_list(rows * options.steps),
        processing_class=tokenizer,
        peft_config=lora(options.lora),
    )


def grpo(options: argparse.Namespace, batch: Batch, out: str, shared: bool) -> Any:
    """Returns a trainer of GRPO on given episodes, every second of which is paid."""
    model, tokenizer = _weights(options, shared)
    per_problem = options.completions

    def episodes(prompts: list[str], trainer: Any = None) -> Row:
        sides = [batch.pairs[int(prompt) * per_problem + i % per_problem] for i, prompt in enumerate(prompts)]
        return {
            "prompt_ids": [side[0] for side in sides],
            "completion_ids": [side[1] for side in sides],
            "logprobs": [[0.0] * len(side[1]) for side in sides],
        }

    def paid(completions: list[str], **_: Any) -> list[float]:
        return [float(place % 2) for place in range(len(completions))]

    config = trl.GRPOConfig(
        **_arguments(options, out, len(batch.pairs)),
        num_generations=per_problem,
        beta=0.02,
        max_completion_length=options.completion,
    )
    return trl.GRPOTrainer(
        model=model,
        reward_funcs=[paid],  # pyright: ignore[reportArgumentType]
        args=config,
        train_dataset=Dataset.from_list([{"prompt": str(place)} for place in range(options.prompts)]),
        processing_class=tokenizer,
        peft_config=lora(options.lora),
        rollout_func=episodes,
    )


def prm(options: argparse.Namespace, batch: Batch, out: str, shared: bool) -> Any:
    """Returns a trainer of a PRM on soft labels."""
    from peft import get_peft_model

    model, tokenizer, _ = load_model(model_path(options.model), "float32")
    if shared:
        share_prefixes(model)
    adapter = lora(options.lora, task="TOKEN_CLS", trained_whole=["score"])
    common = _arguments(options, out, len(batch.pairs))
    return PRM(
        loss=pointwise_loss,
        model=get_peft_model(model, adapter),
        args=transformers.TrainingArguments(**common, remove_unused_columns=False, label_names=["labels"]),
        train_dataset=batch.prm() * options.steps,
        data_collator=PointwiseCollator(int(tokenizer.pad_token_id)),  # pyright: ignore[reportArgumentType]
        processing_class=tokenizer,
    )


STAGES: dict[str, Callable[[argparse.Namespace, Batch, str, bool], Any]] = {
    "sft": sft,
    "dpo": dpo,
    "grpo": grpo,
    "prm": prm,
}


def _weights(options: argparse.Namespace, shared: bool) -> tuple[Any, Any]:
    model, tokenizer = load_weights(model_path(options.model), "float32")
    if shared:
        share_prefixes(model)
    return model, tokenizer


def _arguments(options: argparse.Namespace, out: str, rows: int) -> Row:
    return {
        "output_dir": out,
        "per_device_train_batch_size": rows,
        "max_steps": options.steps,
        "learning_rate": 1e-4,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "seed": 0,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
    }


class Watch(transformers.TrainerCallback):
    """Notes how long each optimizer step took, in seconds of time and of CPU."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.cpu: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Starts the clocks."""
        self._begun = time.perf_counter(), time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Reads them."""
        self.seconds.append(time.perf_counter() - self._begun[0])
        self.cpu.append(time.process_time() - self._begun[1])


_CHANGED = (
    (trl_utils, "_use_triton"),
    (chunked_logprob, "_forward_tile"),
    (chunked_logprob, "_backward_tile"),
)
"""What `project_completions_only` replaces in TRL."""


@contextlib.contextmanager
def _ours(shared: bool) -> Iterator[None]:
    """What this project's trainings change in TRL, for one side of the comparison."""
    with contextlib.ExitStack() as changed:
        for module, name in _CHANGED:  # undone at the end
            changed.enter_context(patch.object(module, name, getattr(module, name)))
        if shared:
            project_completions_only()
        changed.enter_context(patch.object(grpo_trainer, "shuffle_sequence_dict", lambda rows: rows))
        yield


def measure(stage: str, options: argparse.Namespace) -> Row:
    """Returns the figures of a stage."""
    vocabulary = transformers.AutoConfig.from_pretrained(model_path(options.model)).vocab_size
    sides: dict[bool, tuple[Watch, list[float]]] = {}
    with quiet(), tempfile.TemporaryDirectory() as out:
        for shared in (True, False):
            with _ours(shared):
                batch = Batch(options, vocabulary)
                trainer = STAGES[stage](options, batch, out, shared)
                watch = Watch()
                trainer.add_callback(watch)
                trainer.remove_callback(transformers.PrinterCallback)
                trainer.train()
                told = [row for row in trainer.state.log_history if "loss" in row]
                sides[shared] = watch, [row[name] for row in told for name in ("loss", "grad_norm")]
    rows = len(batch.pairs)
    (mine, my_figures), (theirs, their_figures) = sides[True], sides[False]
    apart = max(abs(a - b) / max(abs(b), 1e-2) for a, b in zip(my_figures, their_figures, strict=True))
    return {
        "rows_per_second": [rows / one for one in mine.seconds],
        "plain_rows_per_second": [rows / one for one in theirs.seconds],
        "ratio": min(theirs.seconds) / min(mine.seconds),
        "ratio_of_cpu": min(theirs.cpu) / min(mine.cpu),
        "apart": apart,
    }


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="qwen2.5-coder-0.5b", help="known name, Hub id or folder")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--prompts", type=int, default=1, help="prompts of a batch")
    parser.add_argument("--completions", type=int, default=8, help="of each prompt; even")
    parser.add_argument("--prompt", type=int, default=400, help="tokens of a prompt")
    parser.add_argument("--completion", type=int, default=60, help="tokens of a completion")
    parser.add_argument("--steps", type=int, default=2, help="optimizer steps of each side; the best counts")
    parser.add_argument("--lora", type=int, default=8, help="rank")
    parser.add_argument("--out", type=Path, help="JSON file of what is measured already")
    options = parser.parse_args()
    known = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    print(f"{'stage':6} {'rows/s':>8} {'plain':>8} {'ratio':>6} {'of CPU':>6}  apart")
    for stage in options.stages:
        if stage not in known:
            known[stage] = measure(stage, options)
            if options.out:
                options.out.write_text(json.dumps(known, indent=2))
        row = known[stage]
        best, plain = max(row["rows_per_second"]), max(row["plain_rows_per_second"])
        print(
            f"{stage:6} {best:8.3f} {plain:8.3f} {row['ratio']:6.2f} {row['ratio_of_cpu']:6.2f}"
            f"  {row['apart']:.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
