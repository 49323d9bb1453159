"""A model whose template thinks, as Qwen3's does, by the commands from its first search to a benchmark."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", exc_type=ImportError)
pytest.importorskip("peft", exc_type=ImportError)

import o1coder_gym
from o1coder_gym.agents.rl.dpo import pair_tokens
from o1coder_gym.experiments.micro.problems import micro_rows, write_rows
from o1coder_gym.models.chat_template import with_template_arguments
from o1coder_gym.policies.token_text import TokenText
from o1coder_gym.prm.training.head_only import FitSettings, fit_prm
from o1coder_gym.process_data import read_data
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import Problem, State
from tests.command_line import call

TINY = Path(o1coder_gym.__file__).parent / "data" / "tiny"
TEMPLATE = (  # as Qwen3's: thoughts of earlier turns are dropped, none at all are written by an argument
    "{% for message in messages if message['role'] != 'system' %}<{{ message['role'] }}>"
    "{% if message['role'] == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ message['content'].split('</think>')[-1] }}"
    "{% if message['role'] == 'assistant' %}<end>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)
CLOSED = "<assistant><think>\n\n</think>\n\n### Step 1 (define)\n"
TOLD = {"enable_thinking": False}
ARGUMENT = ("--template-arguments", json.dumps(TOLD))
BRIEF = ("--lora-rank", 0, "--rows-at-once", 2, "--max-length", 2000)
PROBLEM = Problem("p", "q")


@pytest.fixture
def thinking(tmp_path: Path) -> Path:
    """The tiny model that ships with the package, with a template that thinks."""
    folder = tmp_path / "thinking"
    shutil.copytree(TINY, folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 4096}))
    return folder


def tokenizer_at(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def told(*words: object) -> dict[str, Any]:
    done = call(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("arguments", [{}, TOLD], ids=["as it is", "told not to"])
def test_the_thought_is_closed_in_prompts(arguments: dict[str, Any], thinking: Path) -> None:
    text = TokenText(with_template_arguments(tokenizer_at(thinking), arguments))
    assert text.decode(text.encode(PSEUDOCODE.prompt(PROBLEM, State("p")))).endswith(CLOSED)


@pytest.mark.timeout(900)
def test_one_prompt_from_the_first_search_to_the_benchmark(thinking: Path, tmp_path: Path) -> None:
    problems, data = tmp_path / "micro.jsonl", tmp_path / "data"
    write_rows(micro_rows({"train": 4, "test": 2}), problems)
    policy = f"hf:{thinking}?dtype=float32&template_arguments={json.dumps(TOLD)}"
    search = ("--problems", problems, "--agent", "mcts?simulations=5&width=3", "--policy", policy)
    limits = ("--split", "train", "--tokens", 400, "--tests", 4)
    assert told("synthesize", *search, *limits, "--out", data)["paths"]

    trainings: dict[str, tuple[object, ...]] = {
        "sft": ("--data", data, "--model", thinking, "--batch", 2, "--max-steps", 1, *BRIEF),
        "prm train": ("--data", data, "--model", thinking, "--batch", 2, "--max-steps", 1, *BRIEF),
        "rl dpo": ("--data", data, "--model", thinking, "--batch", 2, "--pairs", 2, *BRIEF),
    }
    made = {
        command: Path(told(*command.split(), *words, *ARGUMENT, "--out", tmp_path / command)["model"])
        for command, words in trainings.items()
    }
    found = read_data(data)
    (head,) = fit_prm(str(thinking), data, tmp_path / "fit", ["soft"], FitSettings(template_arguments=TOLD))
    prompt = PSEUDOCODE.prompt(PROBLEM, State("p"))
    shown = {TokenText(tokenizer_at(folder)).encode(prompt) for folder in (*made.values(), head.model)}
    assert len(shown) == 1
    tokenizer = tokenizer_at(made["rl dpo"])
    assert tokenizer.decode(shown.pop()).endswith(CLOSED)
    for folder in made.values():
        assert json.dumps(TOLD) in (folder / "provenance.json").read_text()
        assert "enable_thinking" in (folder / "README.md").read_text()
    problem_of = {problem.task_id: problem for problem in found.problems}
    pair = next(iter(pair_tokens(TokenText(tokenizer), PSEUDOCODE, problem_of, found.pairs)))
    assert "<think>\n\n</think>\n\n### Step 1 (define)\n" in tokenizer.decode(pair["prompt_ids"])

    agents = ("--agent", "greedy", "--agent", "puct?simulations=4", "--scorer", f"prm:{made['prm train']}")
    chosen = ("--problems", problems, "--split", "test", "--tokens", 200, "--policy", f"hf:{made['rl dpo']}")
    assert call("bench", *chosen, *agents, "--out", tmp_path / "bench").exit_code == 0
    rows = [json.loads(line) for line in (tmp_path / "bench" / "results.jsonl").read_text().splitlines()]
    assert len(rows) == 4
    assert all(row["code"] and not row["error"] for row in rows)
    assert all(0 < row["usage"]["tokens"] <= 200 for row in rows)
