"""Loads, resumes and saves the weights of a training."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from o1coder_gym.errors import O1CoderError, UnknownNameError, UsageError
from o1coder_gym.models.card import write_card
from o1coder_gym.models.chat_template import with_template_arguments
from o1coder_gym.models.lookup import model_path
from o1coder_gym.problems.likeness import trained_on
from o1coder_gym.runs.files import replacing
from o1coder_gym.runs.journal import begun_with, require_folder
from o1coder_gym.runs.provenance import FILE, Provenance, content_hash, package_versions

CHECKPOINTS, MODEL = "checkpoints", "model"
"""Folders of a training's run folder."""

STARTED = "started.json"
"""Lies in a run folder: what its checkpoints are of."""

EXPORT = "rl export"
"""Stage of what `export_policy` makes."""


def last_checkpoint(folder: Path, resume: bool) -> str | None:
    """Returns the last whole checkpoint in a folder, None if there is none.

    Raises:
        O1CoderError: When there is one and `resume` is false.
    """
    # a training that was killed while it saved leaves a checkpoint without its last file
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    # By number: as text checkpoint-100 would come before checkpoint-20.
    found = sorted(whole, key=step_of)
    if found and not resume:
        raise O1CoderError(f"{folder} holds checkpoints already; resume, or choose another run folder")
    return str(found[-1]) if found else None


def weight_type(dtype: str) -> str:
    """Returns ``"float32"`` or ``"bfloat16"``; for ``"auto"`` bfloat16 on a GPU, else float32."""
    import torch

    if dtype != "auto":
        return dtype
    return "bfloat16" if torch.cuda.is_available() else "float32"


ACTIVATIONS = "O1CODER_ACTIVATIONS"
"""Variable that says whether trainers keep the activations of a forward pass or compute them again: ``kept``,
``again``, or ``auto``, again on a GPU. It is not a setting, for no result depends on it."""


def computes_again(on_gpu: bool) -> bool:
    """Whether trainers compute activations again in the backward pass, see `ACTIVATIONS`.

    Args:
        on_gpu: Whether they train on a GPU, here or elsewhere.

    Raises:
        UnknownNameError: When `ACTIVATIONS` says what is not known.
    """
    told = {"auto": on_gpu, "kept": False, "again": True}
    asked = os.environ.get(ACTIVATIONS, "auto")
    if asked not in told:
        raise UnknownNameError(f"value of {ACTIVATIONS}", asked, told)
    return told[asked]


def activation_checkpointing() -> dict[str, bool]:
    """Returns the training argument that saves memory, as the installed transformers calls it.

    TRL's default is to save it everywhere.

    Raises:
        UnknownNameError: As by `computes_again`.
    """
    import torch
    from transformers import TrainingArguments

    new = "activation_checkpointing"  # since 5.24, where the other name warns
    name = new if any(field.name == new for field in fields(TrainingArguments)) else "gradient_checkpointing"
    return {name: computes_again(torch.cuda.is_available())}


def load_weights(
    folder: Path, dtype: str, template_arguments: Mapping[str, Any] | None = None
) -> tuple[Any, Any]:
    """Returns a folder's model and tokenizer, able to pad, after a trial that both can be saved.

    Args:
        folder: Of a causal language model.
        dtype: See `weight_type`; ``"saved"`` keeps that of the file.
        template_arguments: Variables of the chat template; what is saved has them too.

    Raises:
        UsageError: When the model has no template that could take the arguments.
        O1CoderError: When the model could not be saved after a training.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet():
        precision = "auto" if dtype == "saved" else getattr(torch, weight_type(dtype))
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=precision)
    tokenizer = with_template_arguments(AutoTokenizer.from_pretrained(folder), template_arguments)
    make_paddable(tokenizer)
    try_saving(model, tokenizer)
    return model, tokenizer


def make_paddable(tokenizer: Any) -> None:
    """Lets a tokenizer without a padding token pad with its end token, or any other: padding is unread."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)


def try_saving(model: Any, tokenizer: Any) -> None:
    """Saves all but the weights as a trial; repairs an unsavable generation configuration, and warns of it.

    Some load and yet cannot be saved, a temperature without sampling for instance, or one among the settings
    of the model itself, and then a training would be lost at its end.

    Raises:
        O1CoderError: When configuration or tokenizer cannot be saved.
    """
    with tempfile.TemporaryDirectory() as folder:
        if (generation := getattr(model, "generation_config", None)) is not None:
            try:
                generation.save_pretrained(folder)
            except _UNSAVABLE as error:
                model.generation_config = _mended(generation, folder)
                warnings.warn(f"the generation configuration is mended: {_first_line(error)}", stacklevel=2)
        try:
            try:
                model.config.save_pretrained(folder)
            except ValueError:
                if not (dropped := _drop_sampling(model.config)):
                    raise
                model.config.save_pretrained(folder)
                told = ", ".join(dropped)
                warnings.warn(f"settings of generation in the model's own are dropped: {told}", stacklevel=2)
            tokenizer.save_pretrained(folder)
        except (*_UNSAVABLE, NotImplementedError) as error:
            what = _first_line(error)
            raise O1CoderError(f"the model could not be saved after a training: {what}") from error


_UNSAVABLE = (ValueError, TypeError, AttributeError)


def _mended(generation: Any, folder: str) -> Any:
    """Returns what can be saved of tokens and lengths; sampling settings are each policy's own."""
    from transformers import GenerationConfig

    mended = GenerationConfig()
    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "max_length", "max_new_tokens"):
        before = getattr(mended, name)
        setattr(mended, name, getattr(generation, name, before))
        try:  # each by itself: a padding token of -1 must not cost the end tokens
            mended.save_pretrained(folder)
        except _UNSAVABLE:
            setattr(mended, name, before)
    return mended


def _drop_sampling(config: Any) -> list[str]:
    """Drops settings of generation from those of a model that has none of that name; returns their names."""
    from transformers import GenerationConfig

    # Names with an underscore are those of transformers' own records, which both configurations have.
    own = vars(type(config)())
    names = [name for name in vars(GenerationConfig()) if name in vars(config) and name not in own]
    names = [name for name in names if not name.startswith("_")]
    for name in names:
        delattr(config, name)
    return names


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def whole(model: Any) -> Any:
    """Returns a trained model with all of its weights; all ranks call it.

    FSDP2 spreads weights over the ranks, and what is saved of a rank would be a part. The first one gets a
    model into which they are gathered; the others get what they have, which is not to be saved.
    """
    from torch.distributed.fsdp import FSDPModule

    if not any(isinstance(module, FSDPModule) for module in model.modules()):
        return model
    import torch
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    # Gathered on the CPU: no device has room for all weights, or they would not be sharded.
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights = get_model_state_dict(model, options=options)
    if not weights:  # in all ranks but the first
        return model
    adapters = getattr(model, "peft_config", {}).get("default")
    inner = model.get_base_model() if adapters is not None else model
    # Sharding has made a class of its own of each module's, on top of it.
    kind = next(one for one in type(inner).__mro__ if not issubclass(one, FSDPModule))
    # A model without memory: the gathered weights are assigned, not copied, so they exist once.
    with torch.device("meta"):
        bare = kind(inner.config)
        if inner.can_generate():  # more tokens may end a text than the configuration of the model says
            bare.generation_config = inner.generation_config
        if adapters is not None:
            from peft import get_peft_model

            bare = get_peft_model(bare, adapters)
    bare.load_state_dict(weights, assign=True, strict=False)
    bare.tie_weights() if adapters is None else bare.get_base_model().tie_weights()
    return bare


def save_merged(model: Any, tokenizer: Any, folder: Path) -> Any:
    """Saves a trained model, adapters merged in, in place of an earlier one; returns what was saved.

    The model comes through a second folder, so `folder` is whole or absent.
    """
    merged = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    with replacing(folder) as part:
        with quiet():
            merged.save_pretrained(part)
        tokenizer.save_pretrained(part)
        if folder.exists():  # of a training that was killed before it said that it was done
            shutil.rmtree(folder)
    return merged


def export_policy(run: Path, step: int | None = None, out: Path | None = None) -> Path:
    """Makes a model from a checkpoint of a stopped or running training: ``o1coder rl export``.

    It is what the training would have saved there: with its type of weights and its chat template.

    Args:
        run: Run folder of GRPO, DPO or SFT.
        step: Optimizer steps of the checkpoint; None takes the last whole one.
        out: Folder of the model; None makes ``RUN/model-STEP``.

    Returns:
        The folder, adapters merged in; ``hf:FOLDER`` is its policy.

    Raises:
        UsageError: When there is no such run folder, or `out` holds anything but an earlier export.
        O1CoderError: When there is no such checkpoint, or it is of no policy.
        WeightsError: When the model that its adapters belong to cannot be found.
    """
    folder = _checkpoint(run, step)
    step, base, settings = step_of(folder), _base_of(folder), _settings_of(run)
    target = out or run / f"{MODEL}-{step}"
    if out is not None and not _may_be_replaced(out):
        raise UsageError(f"{out} holds something other than an export; choose a new folder")
    if base is None:
        model, tokenizer = load_weights(folder, "saved")
    else:
        # A checkpoint of LoRA holds adapters alone; their base is named in their configuration. The type is
        # not that of its file: bfloat16 would lose most of what adapters in float32 add.
        model, tokenizer = load_weights(model_path(base), settings.get("dtype", "float32"))
        model, tokenizer = _with_adapters(model, tokenizer, folder)
    save_merged(model, tokenizer, target)
    known = [path for path in (run / trained_on.FILE, run / MODEL / trained_on.FILE) if path.exists()]
    if known:
        shutil.copyfile(known[0], target / trained_on.FILE)
    inputs = {file.name: content_hash(file.read_bytes()) for file in sorted(folder.glob("*.safetensors"))}
    config = {"run": str(run), "step": step, "base": base, "settings": settings}
    made = Provenance(EXPORT, config, inputs, package_versions("torch", "transformers", "peft"))
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    last = {name: value for row in history for name, value in row.items()}
    write_card(target, made, last, model)
    made.write(target)
    return target


def _may_be_replaced(folder: Path) -> bool:
    """Whether a folder is new or empty, or an earlier export."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return True
    record = folder / FILE
    return record.is_file() and json.loads(record.read_text()).get("stage") == EXPORT


def _checkpoint(run: Path, step: int | None) -> Path:
    """Returns the whole checkpoint of a step, the last one for None."""
    require_folder(run, "rl policy, rl dpo or sft")
    whole = {step_of(path.parent): path.parent for path in (run / CHECKPOINTS).glob("*/trainer_state.json")}
    wanted = max(whole, default=0) if step is None else step
    if wanted not in whole:
        known = ", ".join(map(str, sorted(whole))) or "none"
        raise O1CoderError(f"{run} has no checkpoint of step {wanted}; it has: {known}")
    return whole[wanted]


def _base_of(checkpoint: Path) -> str | None:
    """Returns the model that a checkpoint's adapters belong to; None where it has all weights.

    Raises:
        O1CoderError: When it is of a process reward model, whose head would be lost.
    """
    adapters = checkpoint / "adapter_config.json"
    told = json.loads((adapters if adapters.exists() else checkpoint / "config.json").read_text())
    kinds = (str(told.get("task_type")), *map(str, told.get("architectures") or ()))
    if any(kind == "TOKEN_CLS" or kind.endswith("ForTokenClassification") for kind in kinds):
        raise O1CoderError(f"{checkpoint} is of a process reward model, not of a policy")
    return told["base_model_name_or_path"] if adapters.exists() else None


def _settings_of(run: Path) -> Mapping[str, Any]:
    """Returns the settings that a training was begun with; empty if its folder has none."""
    if (run / STARTED).exists():
        return json.loads((run / STARTED).read_text())["config"].get("settings", {})
    config = begun_with(run) or begun_with(run / "log")  # the latter is of RL in self-play
    return config.get("settings", {})


def _with_adapters(model: Any, tokenizer: Any, checkpoint: Path) -> tuple[Any, Any]:
    """Returns a model with the adapters of a checkpoint, and the tokenizer saved there, if it is."""
    from peft import PeftModel
    from transformers import AutoTokenizer

    if (checkpoint / "tokenizer_config.json").exists():
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)  # its template has the training's arguments
    return PeftModel.from_pretrained(model, str(checkpoint)), tokenizer


def step_of(checkpoint: Path) -> int:
    """Returns the optimizer steps of a checkpoint's folder."""
    return int(checkpoint.name.rpartition("-")[2])


@contextmanager
def quiet() -> Iterator[None]:
    """Hides the progress bars of transformers and datasets, and warnings that TRL's own code causes.

    TRL 1.16 asks for `is_gradient_checkpointing`, which transformers has renamed in 5.24.
    """
    import datasets
    from transformers.utils import logging

    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`\w*gradient_checkpointing\w*` is deprecated", FutureWarning)
            yield
    finally:
        logging.enable_progress_bar()
        datasets.enable_progress_bars()
