"""A model whose template thinks, as Qwen3's does, by commands from a search to a benchmark."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", exc_type=ImportError)
pytest.importorskip("peft", exc_type=ImportError)

from o1coder_gym.agents.rl.dpo import pair_tokens
from o1coder_gym.models.chat_template import with_template_arguments
from o1coder_gym.policies.token_text import TokenText
from o1coder_gym.process_data import read_data
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
TOLD = {"enable_thinking": False}
BRIEF = ("--batch", 2, "--rows-at-once", 2, "--lora-rank", 0, "--max-length", 2400)
ARGUMENT = ("--template-arguments", json.dumps(TOLD))
PROBLEM = {
    "task_id": "toy/double",
    "prompt": "def double(x):\n    'Return twice x.'\n",
    "entry_point": "double",
    "public_tests": [{"kind": "call", "args": "[1]", "expected": "2"}],
    "tests": [{"kind": "call", "args": "[3]", "expected": "6"}],
    "reference": "def double(x):\n    return 2 * x",
    "meta": {},
}
PLANS = [{"type": "define", "text": text} for text in ("Double it.", "Square it.")]
PROGRAMS = [{"type": "code", "text": f"def double(x):\n    return x {what}"} for what in ("* 2", "** 2")]
SCRIPT = {
    "draw": "cycle",
    "problems": {"*": [plan | {"then": [end]} for plan, end in zip(PLANS, PROGRAMS, strict=True)]},
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


def told(*words: object) -> dict[str, Any]:
    done = call(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("arguments", [{}, TOLD], ids=["as it is", "told not to"])
def test_the_thought_is_closed_in_prompts(arguments: dict[str, Any], thinking: Path) -> None:
    text = TokenText(with_template_arguments(tokenizer_at(thinking), arguments))
    assert text.decode(text.encode(PSEUDOCODE.prompt(Problem("p", "q"), State("p")))).endswith(CLOSED)


def test_the_commands_from_the_first_search_to_the_benchmark(thinking: Path, tmp_path: Path) -> None:
    problems, script = tmp_path / "problems.jsonl", tmp_path / "script.json"
    problems.write_text(json.dumps(PROBLEM) + "\n")
    script.write_text(json.dumps(SCRIPT))
    search = ("synthesize", "--problems", problems, "--agent", "mcts?simulations=4&width=2", "--tests", 0)
    earlier = tmp_path / "earlier"  # a random model solves nothing
    assert told(*search, "--policy", f"scripted:{script}", "--out", earlier, "--validation", 0)["paths"]
    policy = f"hf:{thinking}?template_arguments={json.dumps(TOLD)}"
    limits = ("--tokens", 48, "--add", earlier, "--validation", 0)
    told(*search, *limits, "--policy", policy, "--out", tmp_path / "data")
    data = read_data(tmp_path / "data")
    assert len(data.sources) == 2
    assert data.paths
    assert data.pairs

    made: dict[str, Path] = {}
    for command, more in {"sft": ("--max-steps", 1), "prm train": ("--max-steps", 1), "rl dpo": ()}.items():
        words = (*command.split(), "--data", tmp_path / "data", "--model", thinking, *more, *BRIEF, *ARGUMENT)
        made[command] = Path(told(*words, "--out", tmp_path / command)["model"])
    prompt = PSEUDOCODE.prompt(data.problems[0], State(data.problems[0].task_id))
    shown = {TokenText(tokenizer_at(folder)).encode(prompt) for folder in made.values()}
    assert len(shown) == 1
    tokenizer = tokenizer_at(made["rl dpo"])
    assert tokenizer.decode(shown.pop()).endswith(CLOSED)
    asked = {problem.task_id: problem for problem in data.problems}
    pair = next(iter(pair_tokens(TokenText(tokenizer), PSEUDOCODE, asked, data.pairs)))
    assert tokenizer.decode(pair["prompt_ids"]).endswith(CLOSED)
    for folder in made.values():
        assert '"enable_thinking": false' in (folder / "provenance.json").read_text()

    agents = ("--agent", "greedy", "--scorer", f"prm:{made['prm train']}", "--tokens", 24, "--no-controls")
    out = tmp_path / "bench"
    bench = call("bench", "--problems", problems, *agents, "--policy", f"hf:{made['rl dpo']}", "--out", out)
    assert bench.exit_code == 0, bench.output
    (row,) = map(json.loads, (out / "results.jsonl").read_text().splitlines())
    assert not row["error"]
    assert 0 < row["usage"]["tokens"] <= 24
