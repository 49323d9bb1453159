"""Architectures and templates: samples, scores, and rows of SFT, DPO and RL begin alike and weigh alike."""

from dataclasses import dataclass
from functools import lru_cache

import pytest

pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("trl", exc_type=ImportError)

import torch

from o1coder_gym.agents.rl.dpo import pair_tokens
from o1coder_gym.models.chat_template import end_tokens, training_tokens
from o1coder_gym.policies import HFEngine, HFSettings, LanguageModelPolicy
from o1coder_gym.policies.token_text import TokenText
from o1coder_gym.process_data import PairRow
from o1coder_gym.steps.formats import Prompt, PseudocodeFormat
from o1coder_gym.types import ActionType, PolicyRequest, Problem, Sampling, State, Step
from tests.examples import some
from tests.models.test_chat_template import TEMPLATES, tokenizer_of
from tests.policies.hf.test_architectures import ENGINE, OWN, REFUSED, tiny_model

CELLS = [(name, template) for name in (*ENGINE, *OWN, *REFUSED) for template in TEMPLATES]
PROBLEM = Problem("t/0", "f(a)", "f")
ROOT = State("t/0")
SAMPLING = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_tokens=5)
GOOD, BAD = (Step(ActionType.DEFINE, text) for text in ("a + b", "a - b"))
PAIR = PairRow(ROOT, GOOD, BAD, 0.9, 0.1, 1, "train", ())
OPENING = "### Step 1 (define)\n"


@dataclass(frozen=True, slots=True)
class Brief(PseudocodeFormat):
    """The paper's steps behind a prompt of a few words, for models of a few positions."""

    def prompt(self, problem, state):
        return Prompt((("system", "be brief"), ("user", problem.prompt)), OPENING, OPENING)


BRIEF = Brief()
TURNS = [{"role": role, "content": content} for role, content in BRIEF.prompt(PROBLEM, ROOT).messages]


@lru_cache(maxsize=1)
def model_of(name):
    """The cells of one architecture follow each other."""
    return tiny_model(name, {"vocab_size": 272, **(ENGINE | OWN | REFUSED)[name]})


def scores_of(model, ids):
    """Log-probabilities of each next token, ``[T, V]``, by one plain forward pass."""
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)


@pytest.mark.parametrize(("name", "template"), some(CELLS, len(TEMPLATES)))
def test_what_is_sampled_scored_and_trained_on(name, template):
    model, tokenizer = model_of(name), tokenizer_of(TEMPLATES[template])
    engine = HFEngine.from_model(
        model, tokenizer, HFSettings(attention="model" if name in REFUSED else "auto")
    )
    policy = LanguageModelPolicy(engine, BRIEF)
    (samples,) = policy.propose([PolicyRequest(PROBLEM, ROOT, 2, SAMPLING, 3)])
    shown = policy.prompt_ids(PROBLEM, ROOT)

    sft = training_tokens(tokenizer, TURNS, f"{OPENING}a + b\n")
    row = [*sft.prompt, *sft.answer]
    (dpo,) = pair_tokens(TokenText(tokenizer), BRIEF, {"t/0": PROBLEM}, [PAIR])
    assert row[: len(shown)] == dpo["prompt_ids"] == list(shown)
    written = len("a + b")  # a token a letter
    assert row[len(shown) :][:written] == dpo["chosen_ids"][:written] != dpo["rejected_ids"][:written]
    learned, asked = scores_of(model, row)[len(shown) - 1], scores_of(model, shown)[-1]
    torch.testing.assert_close(learned, asked, atol=2e-3, rtol=0)

    ends = end_tokens(model, tokenizer)
    for sample in samples:
        assert sample.tokens == len(sample.sampled_ids)
        assert not ends.intersection(sample.sampled_ids[:-1])
        row = [*shown, *sample.sampled_ids]  # of RL
        scores = scores_of(model, row)
        wanted = [float(scores[place - 1, row[place]]) for place in range(len(shown), len(row))]
        assert sample.sampled_logprobs == pytest.approx(wanted, abs=2e-3)
        assert sample.logprob == pytest.approx(sum(wanted[: len(sample.token_ids)]), abs=5e-3)
    cost = engine.counters
    assert cost.prompt_tokens + cost.cached_tokens == len(shown)
    assert cost.generated_tokens == sum(sample.tokens for sample in samples)
