"""A random causal model with a byte tokenizer, and a task that a process reward model can learn on it."""

import random
from pathlib import Path

import pytest

from o1coder_gym.process_data import PairRule, PathRow, PrefixRow, ProcessData, write_data
from o1coder_gym.process_data.dataset import assembled
from o1coder_gym.types import ActionType, Problem, State, Step

_TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}<eos>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
_SPECIAL = ["<pad>", "<eos>", "<user>", "<assistant>", "<system>", "<extra_0>"]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights and tokenizer of two layers."""
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
        max_position_embeddings=512,
        tie_word_embeddings=True,
        eos_token_id=1,
        pad_token_id=0,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def synthetic(problems: int, *, validation: float = 0.25) -> ProcessData:
    """Chains of letters; what has an x in it can only be worth little, whatever follows.

    v = 0.9 without an x, else 0.1. Each problem has a good and a bad step at each of its states.
    """
    rows, paths, asked = [], [], []
    for number in range(problems):
        generator = random.Random(number)
        problem = Problem(f"p{number}", generator.choice("abc"))
        asked.append(problem)
        for _ in range(2):
            state = State(problem.task_id)
            for _ in range(generator.randint(1, 3)):
                letters = (generator.choice("klmno"), "x")
                rows += [_row(state.then(Step(ActionType.DEFINE, letter))) for letter in letters]
                state = state.then(Step(ActionType.DEFINE, generator.choice(letters)))
        code = State(problem.task_id, (Step(ActionType.DEFINE, "k"), Step(ActionType.CODE, "print(1)")))
        paths.append(PathRow(code, 1, 9, None, "", ("synthetic",)))
    unique = {row.state: row for row in rows}
    return assembled(
        "pseudocode",
        asked,
        unique.values(),
        paths,
        pair_rule=PairRule(0.5),
        validation=validation,
        sources={"synthetic": {"problems": problems}},
    )


def _row(state: State) -> PrefixRow:
    spoiled = any(step.text == "x" for step in state.steps)
    value, passing = (0.1, 0) if spoiled else (0.9, 9)
    return PrefixRow(state, value, 10, 10, passing, False, 0, 0, 10, -1.0, "", ("synthetic",))


@pytest.fixture(scope="session")
def process_data() -> ProcessData:
    """The task."""
    return synthetic(160)


@pytest.fixture(scope="session")
def data(process_data: ProcessData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The task as a folder."""
    folder = tmp_path_factory.mktemp("data")
    write_data(folder, process_data)
    return folder
