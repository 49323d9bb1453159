"""DPO on siblings: the tokens of search, the loss of the paper."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents.rl.settings import DPOSettings
from o1coder_gym.errors import O1CoderError, UsageError
from o1coder_gym.process_data import LabelRule, PairRow, PairRule, ProcessData
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import ActionType, Problem, State, Step

pytest.importorskip("trl")

PROBLEM = Problem("p", "double it", "f")
DEFINE = Step(ActionType.DEFINE, "double")


def pair(state: State, chosen: Step, rejected: Step) -> PairRow:
    return PairRow(state, chosen, rejected, 0.9, 0.1, 1, "train", ("run",))


PAIRS = (
    pair(State("p"), DEFINE, Step(ActionType.DEFINE, "square")),
    pair(State("p", (DEFINE,)), Step(ActionType.CODE, "x = 2"), Step(ActionType.REFINE, "two")),
)
DATA = ProcessData("pseudocode", (PROBLEM,), (), (), PAIRS, LabelRule(), PairRule(), 0.0, {}, {})


def settings() -> DPOSettings:
    return DPOSettings(
        learning_rate=1e-2, imitation=0.0, batch_size=2, rows_at_once=2, epochs=2, save_steps=1
    )


def test_pairs_are_the_tokens_that_search_would_see(weights: Path) -> None:
    from o1coder_gym.agents.rl.dpo import pair_tokens
    from o1coder_gym.models.checkpoints import load_weights
    from o1coder_gym.policies.token_text import TokenText

    text = TokenText(load_weights(weights, "float32")[1])
    first, second = pair_tokens(text, PSEUDOCODE, {"p": PROBLEM}, PAIRS)
    assert tuple(first["prompt_ids"]) == text.encode(PSEUDOCODE.prompt(PROBLEM, State("p")))
    assert text.decode(first["chosen_ids"]).rstrip() == "double\n\n### Step"  # no "2 (", which is put in
    assert text.decode(first["rejected_ids"]).rstrip() == "square\n\n### Step"
    assert text.decode(second["prompt_ids"]).endswith("### Step 1 (define)\ndouble\n\n### Step 2 (")
    assert text.decode(second["chosen_ids"]) == "code)\n```python\nx = 2\n```\n"
    malformed = pair(State("p"), DEFINE, Step(ActionType.MALFORMED, "hm"))
    assert not list(pair_tokens(text, PSEUDOCODE, {"p": PROBLEM}, [malformed]))


def test_of_equal_margins_any_are_taken_not_those_of_the_first_problems() -> None:
    from o1coder_gym.agents.rl.dpo import widest

    equal = [pair(State(f"p{place}"), DEFINE, Step(ActionType.DEFINE, "square")) for place in range(100)]
    wide = replace(equal[0], state=State("wide"), rejected_value=0.0)
    found = [[one.state.problem_id for one in widest([*equal, wide], 11, seed)] for seed in (0, 0, 1)]
    assert found[0] == found[1]
    for chosen in (found[0], found[2]):
        assert chosen[0] == "wide"
        assert len(set(chosen)) == 11
        assert max(int(name[1:]) for name in chosen[1:]) >= 50
    assert set(found[0]) != set(found[2])
    assert widest(equal, None, 0) == equal


def test_a_round_starts_at_log_two_and_learns_the_better_step(weights: Path, tmp_path: Path) -> None:
    from o1coder_gym.agents.rl.dpo import train_dpo

    folder = train_dpo(str(weights), DATA, tmp_path, settings(), step_format=PSEUDOCODE)
    assert (folder / "model.safetensors").exists()
    losses = losses_of(tmp_path)
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3)  # π = π_ref
    assert losses[1] < losses[0]
    with pytest.raises(O1CoderError, match="holds checkpoints"):
        train_dpo(str(weights), DATA, tmp_path, settings(), step_format=PSEUDOCODE)
    saved = (folder / "model.safetensors").read_bytes()
    # a run that was killed after it had saved the model, and before it said so
    again = train_dpo(str(weights), DATA, tmp_path, settings(), step_format=PSEUDOCODE, resume=True)
    assert (again / "model.safetensors").read_bytes() == saved


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"learning_rate": 1e-3}, "a training with learning_rate 0.01, not 0.001"),
        ({"beta": 0.3}, "a training with beta 0.1, not 0.3"),
        ({"pairs": 1}, "a training with pairs 0, not 1"),
    ],
)
def test_a_round_goes_on_as_it_was_begun(
    weights: Path, tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    from o1coder_gym.agents.rl.dpo import train_dpo

    whole = train_dpo(str(weights), DATA, tmp_path / "whole", settings(), step_format=PSEUDOCODE)
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole/checkpoints/checkpoint-1", cut / "checkpoints/checkpoint-1")
    shutil.copy(tmp_path / "whole/started.json", cut)
    again = {"step_format": PSEUDOCODE, "resume": True}
    with pytest.raises(O1CoderError, match=told):
        train_dpo(str(weights), DATA, cut, replace(settings(), **changed), **again)
    resumed = train_dpo(str(weights), DATA, cut, settings(), **again)
    assert (resumed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_round_that_was_killed_after_its_last_step_makes_no_further_one(
    weights: Path, tmp_path: Path
) -> None:
    from o1coder_gym.agents.rl.dpo import train_dpo

    words = ("square", "halve", "negate", "sum")
    data = replace(DATA, pairs=tuple(pair(State("p"), DEFINE, Step(ActionType.DEFINE, one)) for one in words))
    half = replace(settings(), epochs=0.5, batch_size=1, rows_at_once=1)  # two steps of four
    whole = train_dpo(str(weights), data, tmp_path / "whole", half, step_format=PSEUDOCODE)
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole", cut)
    shutil.rmtree(cut / "model")
    (cut / "training.json").unlink()
    resumed = train_dpo(str(weights), data, cut, half, step_format=PSEUDOCODE, resume=True)
    # the rate is constant: a third step would move the weights as far as the others did
    assert (resumed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert sorted(path.name for path in (cut / "checkpoints").glob("checkpoint-*")) == [
        "checkpoint-1",
        "checkpoint-2",
    ]
    told, again = (json.loads((one / "training.json").read_text()) for one in (tmp_path / "whole", cut))
    for name in ("epoch", "train_loss"):
        assert again["metrics"][name] == pytest.approx(told["metrics"][name])


@pytest.mark.parametrize("rows_at_once", [1, 2])
@pytest.mark.parametrize("lora_rank", [0, 2])
def test_imitation_adds_the_likelihood_of_the_better_steps(
    weights: Path, tmp_path: Path, rows_at_once: int, lora_rank: int
) -> None:
    import torch

    from o1coder_gym.agents.rl.dpo import pair_tokens, train_dpo
    from o1coder_gym.models.checkpoints import load_weights
    from o1coder_gym.policies.token_text import TokenText

    model, tokenizer = load_weights(weights, "float32")
    means, lengths = [], []
    for row in pair_tokens(TokenText(tokenizer), PSEUDOCODE, {"p": PROBLEM}, PAIRS):
        ids, start = row["prompt_ids"] + row["chosen_ids"], len(row["prompt_ids"])
        with torch.no_grad():
            table = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        logs = [table[place - 1, ids[place]].item() for place in range(start, len(ids))]
        means.append(sum(logs) / len(logs))
        lengths.append(len(logs))
    # a mean over pairs, whatever stands in one forward pass; over tokens it would be another number
    wanted = math.log(2) - 0.5 * sum(means) / 2
    over_tokens = sum(mean * length for mean, length in zip(means, lengths, strict=True)) / sum(lengths)
    assert wanted != pytest.approx(math.log(2) - 0.5 * over_tokens, abs=2e-4)
    chosen = replace(settings(), imitation=0.5, rows_at_once=rows_at_once, lora_rank=lora_rank)
    train_dpo(str(weights), DATA, tmp_path, chosen, step_format=PSEUDOCODE)
    assert losses_of(tmp_path)[0] == pytest.approx(wanted, abs=2e-4)
    with pytest.raises(UsageError, match="imitation must be at least 0"):
        replace(settings(), imitation=-1.0)


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_a_reference_of_its_own_is_what_the_policy_is_held_to(
    weights: Path, tmp_path: Path, lora_rank: int
) -> None:
    from o1coder_gym.agents.rl.dpo import train_dpo

    chosen = replace(settings(), lora_rank=lora_rank)
    first = train_dpo(str(weights), DATA, tmp_path / "one", settings(), step_format=PSEUDOCODE)
    margins = [margin_of(first, row) - margin_of(weights, row) for row in tokens_of(weights)]
    assert min(margins) > 0  # it has learned
    # −log σ(β m) of each pair, m = log π/π_ref of the better step less that of the worse, at the start
    wanted = sum(math.log1p(math.exp(-chosen.beta * margin)) for margin in margins) / len(margins)
    again: dict[str, Any] = {"step_format": PSEUDOCODE}
    train_dpo(str(first), DATA, tmp_path / "fixed", chosen, reference=str(weights), **again)
    train_dpo(str(first), DATA, tmp_path / "moving", chosen, **again)
    assert losses_of(tmp_path / "fixed")[0] == pytest.approx(wanted, abs=1e-3) != math.log(2)
    assert losses_of(tmp_path / "moving")[0] == pytest.approx(math.log(2), abs=1e-3)
    with pytest.raises(O1CoderError, match="a training with reference"):
        train_dpo(str(first), DATA, tmp_path / "fixed", chosen, resume=True, **again)


@pytest.mark.parametrize("limit", ["max_length", "context"])
def test_pairs_that_do_not_fit_are_counted_and_take_no_place(
    weights: Path, tmp_path: Path, limit: str
) -> None:
    from o1coder_gym.agents.rl.dpo import train_dpo

    lengths = [len(row["prompt_ids"]) + len(row["chosen_ids"]) for row in tokens_of(weights)]
    assert lengths[0] + 8 < lengths[1]
    longest, model, chosen = lengths[0] + 8, weights, replace(settings(), pairs=1)
    if limit == "context":
        model = tmp_path / "short"
        shutil.copytree(weights, model)
        config = json.loads((weights / "config.json").read_text())
        (model / "config.json").write_text(json.dumps(config | {"max_position_embeddings": longest}))
    else:
        chosen = replace(chosen, max_length=longest)
    wide = replace(DATA, pairs=(PAIRS[0], replace(PAIRS[1], rejected_value=0.0)))
    folder = train_dpo(str(model), wide, tmp_path / "run", chosen, step_format=PSEUDOCODE)
    assert json.loads((tmp_path / "run/training.json").read_text())["metrics"]["rows_left_out"] == 1
    assert "| rows_left_out | 1 |" in (folder / "README.md").read_text()
    long = replace(DATA, pairs=PAIRS[1:])
    if limit == "max_length":
        with pytest.raises(O1CoderError, match=rf"none of 1 pairs .* \(1 are over {longest} tokens"):
            train_dpo(str(model), long, tmp_path / "none", chosen, step_format=PSEUDOCODE)


def tokens_of(model: Path) -> list[dict[str, list[int]]]:
    from o1coder_gym.agents.rl.dpo import pair_tokens
    from o1coder_gym.models.checkpoints import load_weights
    from o1coder_gym.policies.token_text import TokenText

    return list(pair_tokens(TokenText(load_weights(model, "float32")[1]), PSEUDOCODE, {"p": PROBLEM}, PAIRS))


def margin_of(model: Path, row: dict[str, list[int]]) -> float:
    """Returns log π of the better step less that of the worse."""
    import torch

    from o1coder_gym.models.checkpoints import load_weights

    loaded, sums = load_weights(model, "float32")[0], []
    for side in ("chosen_ids", "rejected_ids"):
        ids, start = row["prompt_ids"] + row[side], len(row["prompt_ids"])
        with torch.no_grad():
            table = loaded(torch.tensor([ids])).logits[0].log_softmax(-1)
        sums.append(sum(table[place - 1, ids[place]].item() for place in range(start, len(ids))))
    return sums[0] - sums[1]


def losses_of(folder: Path) -> list[float]:
    state = json.loads((folder / "checkpoints" / "checkpoint-2" / "trainer_state.json").read_text())
    return [row["loss"] for row in state["log_history"] if "loss" in row]


def test_no_pairs_is_one_sentence(weights: Path, tmp_path: Path) -> None:
    from o1coder_gym.agents.rl.dpo import train_dpo

    empty = replace(DATA, pairs=())
    with pytest.raises(O1CoderError, match="none of 0 pairs can be learned from; search wider"):
        train_dpo(str(weights), empty, tmp_path, settings(), step_format=PSEUDOCODE)
    with pytest.raises(UsageError, match="a batch of 3"):
        replace(settings(), batch_size=3, rows_at_once=2)
