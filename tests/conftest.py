"""What tests of several parts share: a tiny model to train, and a way to import files of no package."""

from __future__ import annotations  # pytest names the type of its reporter from version 9 on

import gc
import importlib.util
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import tests.examples  # noqa: F401 - registers a profile for --hypothesis-profile

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each core has a process of tests already; two pools of threads of torch would wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

_TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}<eos>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
_SPECIAL = ["<pad>", "<eos>", "<user>", "<assistant>", "<system>", "<extra_0>"]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keeps what is imported and collected from being looked through for garbage, now and as tests run.

    It stays to the end, and is so much that a full collection takes a third of a second. transformers begins
    each training with one.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()  # what of it is garbage warns now, where it would have
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts slow files first, then large ones: `make test` deals out whole files, and ends with short ones."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -sizes[item.path], item.path))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says in one line what the tests of the sandbox ran under; nothing if no test imported it."""
    distributed = getattr(terminalreporter.config.option, "numprocesses", None)  # the imports are elsewhere
    if "o1coder_gym.sandbox" not in sys.modules and not distributed:
        return
    from o1coder_gym.errors import O1CoderError
    from o1coder_gym.sandbox import Judge

    with warnings.catch_warnings(), Judge(1) as judge:
        warnings.simplefilter("ignore")
        try:
            line = judge.report().summary
        except O1CoderError as error:
            line = str(error)
    terminalreporter.write_line(f"sandbox: {line}")


@pytest.fixture(scope="session")
def import_file() -> Callable[[Path], ModuleType]:
    """Imports a file that is in no package."""

    def run(path: Path) -> ModuleType:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return run


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random causal model of two layers, a byte tokenizer and a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("model")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*_SPECIAL, *alphabet])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="<eos>",
        additional_special_tokens=_SPECIAL[2:],
    )
    tokenizer.chat_template = _TEMPLATE
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        eos_token_id=1,
        pad_token_id=0,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
