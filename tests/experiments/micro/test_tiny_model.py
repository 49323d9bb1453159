"""The tiny model: seeded, and what is saved is what was trained."""

import importlib.util
import json
from functools import partial
from pathlib import Path

import pytest

from o1coder_gym.errors import MissingExtraError, UsageError
from o1coder_gym.experiments.micro import tiny_model
from o1coder_gym.experiments.micro.make import make_micro
from o1coder_gym.experiments.micro.problems import micro_rows
from o1coder_gym.experiments.micro.tiny_model import TinySettings, train_tiny_model, training_chats
from o1coder_gym.policies import LanguageModelPolicy, load_policy
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import PolicyRequest, Sampling, State
from tests.command_line import call

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs the hf extra"
)
SETTINGS = TinySettings(layers=1, width=32, heads=2, vocabulary=420, traces=60, steps=8, batch_size=4)


@needs_torch
def test_equal_seeds_give_equal_models_and_tokens_survive_the_disk(tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import AutoTokenizer

    losses: list[float] = []
    one = train_tiny_model(tmp_path / "one", SETTINGS, on_step=lambda step, loss: losses.append(loss))
    two = train_tiny_model(tmp_path / "two", SETTINGS)
    assert len(losses) == 8
    assert losses[-1] < losses[0]
    weights, again = (load_file(folder / "model.safetensors") for folder in (one, two))
    assert all(weights[name].equal(again[name]) for name in weights)
    texts = [prompt + answer for prompt, answer in training_chats(SETTINGS)[:20]]
    trained = tiny_model.train_tokenizer(texts, SETTINGS.vocabulary)
    trained.save_pretrained(tmp_path / "two")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "two")
    assert [loaded.encode(text) for text in texts] == [trained.encode(text) for text in texts]
    assert [loaded.decode(loaded.encode(text)) for text in texts] == texts


@needs_torch
def test_a_training_that_was_stopped_goes_on_and_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    monkeypatch.setattr(tiny_model, "_STEPS_A_CHECKPOINT", 3)
    steps: list[int] = []

    def stop(step: int, _: float) -> None:
        steps.append(step)
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_micro(tmp_path / "run", {"train": 1}, SETTINGS, on_step=stop)
    resumed: list[int] = []
    made = make_micro(
        tmp_path / "run", {"train": 1}, SETTINGS, resume=True, on_step=lambda step, _: resumed.append(step)
    )
    assert (steps, resumed) == ([1, 2, 3, 4, 5, 6, 7], [7, 8])
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    whole = train_tiny_model(tmp_path / "whole", SETTINGS)
    weights, again = (load_file(folder / "model.safetensors") for folder in (whole, made.model))
    assert all(weights[name].equal(again[name]) for name in weights)


@needs_torch
def test_text_cut_at_a_step_is_encoded_as_in_the_whole(tmp_path: Path) -> None:
    prompt, answer = training_chats(SETTINGS)[0]
    tokenizer = tiny_model.train_tokenizer([prompt + answer], 640)
    parts = answer.split("\n\n### Step 2 (")
    pieces = [prompt, parts[0], "\n\n### Step 2 (", parts[1]]
    encoded = [token for piece in pieces for token in tokenizer.encode(piece)]
    assert encoded == tokenizer.encode(prompt + answer)


def test_traces_are_learned_whole_as_fine_tuning_writes_them() -> None:
    # a header that the model never learned would be all that SFT on its own paths teaches it
    prompt, answer = training_chats(SETTINGS)[0]
    assert prompt.endswith("<assistant>")
    assert answer.startswith("### Step 1 (define)\n")
    assert answer.endswith("```\n<end>")


@needs_torch
def test_the_saved_model_is_a_policy_that_is_shown_the_question_alone(tmp_path: Path) -> None:
    folder = train_tiny_model(tmp_path / "model", SETTINGS)
    policy = load_policy(f"hf:{folder}?dtype=float32")
    assert isinstance(policy, LanguageModelPolicy)
    problem = micro_rows({"train": 1})[0].problem
    ids = policy.engine.encode(PSEUDOCODE.prompt(problem, State(problem.task_id)))
    assert len(ids) < 120
    request = PolicyRequest(problem, State(problem.task_id), 2, Sampling(max_tokens=6))
    assert [proposal.tokens <= 6 for proposal in policy.propose([request])[0]] == [True, True]


@needs_torch
def test_chats_are_rendered_as_in_training(tmp_path: Path) -> None:
    tokenizer = tiny_model.train_tokenizer(["abc"], 300)
    chat = [{"role": role, "content": role} for role in ("system", "user", "assistant", "user")]
    asked = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert asked == "<user>user<assistant>"
    answered = [*chat, {"role": "assistant", "content": "### Step"}]
    assert tokenizer.apply_chat_template(answered, tokenize=False) == "<user>user<assistant>### Step<end>"


def test_a_missing_library_and_impossible_sizes_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="heads of even size"):
        TinySettings(width=30, heads=4)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"o1coder-gym\[hf\]"):
        train_tiny_model(tmp_path, SETTINGS)


@needs_torch
def test_the_command_makes_both_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {name: getattr(SETTINGS, name) for name in ("layers", "width", "heads", "vocabulary", "traces")}
    monkeypatch.setattr("o1coder_gym.cli.training.micro.TinySettings", partial(TinySettings, **small))
    command = ["micro", "--out", str(tmp_path / "m"), "--train", "2", "--validation", "0", "--test", "1"]
    done = call(*command, "--steps", "1", "--json")
    assert done.exit_code == 0, done.output
    assert (Path(json.loads(done.stdout.splitlines()[-1])["model"]) / "model.safetensors").exists()
    assert len((tmp_path / "m" / "problems.jsonl").read_text().splitlines()) == 3
    again = call(*command, "--steps", "1", "--resume")
    assert again.exit_code == 0
    assert "--policy hf:" in again.stdout
