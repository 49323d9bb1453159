"""A model whose template thinks, as Qwen3's does, through SFT, PRM and DPO into a benchmark."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", exc_type=ImportError)
pytest.importorskip("peft", exc_type=ImportError)

from o1coder_gym.agents.rl.dpo import pair_tokens, train_dpo
from o1coder_gym.agents.rl.settings import DPOSettings
from o1coder_gym.models.chat_template import with_template_arguments
from o1coder_gym.models.finetuning import finetune
from o1coder_gym.models.trainers import PRM_SETTINGS, TrainingSettings
from o1coder_gym.policies.token_text import TokenText
from o1coder_gym.prm.training.trainer import train_prm
from o1coder_gym.process_data import ProcessData, write_data
from o1coder_gym.process_data.exports import demonstrations
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import Problem, State
from tests.command_line import call

TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>"
    "{% if message['role'] == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ message['content'].split('</think>')[-1] }}"
    "{% if message['role'] == 'assistant' %}<eos>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)
CLOSED = "<assistant><think>\n\n</think>\n\n### Step 1 (define)\n"
BRIEF: dict[str, Any] = {
    "max_steps": 1,
    "batch_size": 2,
    "rows_at_once": 2,
    "lora_rank": 0,
    "max_length": 2400,
}


@pytest.fixture
def thinking(model: Path, tmp_path: Path) -> Path:
    """The tiny model with a template that thinks, and room for prompts."""
    folder = tmp_path / "thinking"
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 4096}))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


def tokenizer_at(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("arguments", [{}, {"enable_thinking": False}], ids=["as it is", "told not to"])
def test_the_thought_is_closed_in_prompts(arguments: dict[str, Any], thinking: Path) -> None:
    text = TokenText(with_template_arguments(tokenizer_at(thinking), arguments))
    assert text.decode(text.encode(PSEUDOCODE.prompt(Problem("p", "q"), State("p")))).endswith(CLOSED)


def test_one_prompt_from_training_to_benchmark(thinking: Path, few: ProcessData, tmp_path: Path) -> None:
    write_data(tmp_path / "data", few)
    rows = list(demonstrations(few))[:2]
    settings = TrainingSettings(**BRIEF, template_arguments={"enable_thinking": False})
    sft = finetune("sft", str(thinking), rows, [], tmp_path / "sft", settings)
    prm_settings = TrainingSettings(**BRIEF, learning_rate=PRM_SETTINGS.learning_rate)
    prm = train_prm(str(sft.model), tmp_path / "data", tmp_path / "prm", "soft", prm_settings)
    dpo_settings = DPOSettings(batch_size=2, rows_at_once=2, pairs=2, max_length=4000)
    dpo = train_dpo(str(sft.model), few, tmp_path / "dpo", dpo_settings, step_format=PSEUDOCODE)

    problems = {problem.task_id: problem for problem in few.problems}
    prompt = PSEUDOCODE.prompt(few.problems[0], State(few.problems[0].task_id))
    shown = {TokenText(tokenizer_at(folder)).encode(prompt) for folder in (sft.model, prm.model, dpo)}
    assert len(shown) == 1
    tokenizer = tokenizer_at(dpo)
    assert tokenizer.decode(shown.pop()).endswith(CLOSED)
    pair = next(iter(pair_tokens(TokenText(tokenizer), PSEUDOCODE, problems, few.pairs)))
    assert "<think>\n\n</think>\n\n### Step 1 (define)\n" in tokenizer.decode(pair["prompt_ids"])

    command = ["bench", "--problems", "starter", "--limit", "1", "--policy", f"hf:{dpo}", "--tokens", "24"]
    told = call(*command, "--agent", "greedy", "--scorer", f"prm:{prm.model}", "--out", tmp_path / "bench")
    assert told.exit_code == 0, told.output
