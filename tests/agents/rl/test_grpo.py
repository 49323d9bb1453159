"""GRPO by step: what is minimised equals a plain loop; a killed run ends where an undisturbed one does."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents.rl.advantages import step_advantages, step_returns
from o1coder_gym.agents.rl.sampling.actors import tagged
from o1coder_gym.agents.rl.settings import DPOSettings, RLSettings, common_arguments
from o1coder_gym.errors import O1CoderError, UsageError
from o1coder_gym.policies import HFEngine, LanguageModelPolicy
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import Outcome, Transition, Verdict
from tests.agents.rl.trainers import log_probabilities, trainer_for

pytest.importorskip("trl")


INPUTS = [{"prompt": slot} for slot in ("0", "1") for _ in range(4)]


def test_the_loss_is_that_of_a_plain_loop(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path
) -> None:
    import torch

    settings = replace(settings, iterations=2, alpha="0.3", beta=0.5, clip=0.05)
    trainer = trainer_for(weights, process, settings, tmp_path)
    batch = trainer._generate_and_score_completions(INPUTS)
    scored = trainer.scored
    assert len({round(one.reward, 6) for one in scored}) > 2

    old = [log_probabilities(trainer.model, one.row) for one in scored]
    for one, logs in zip(scored, old, strict=True):
        # what the engine says it sampled is what the trainer sees: same tokens, same likelihood
        sampled = [place for place, step in enumerate(one.row.step_of) if step >= 0]
        assert len(sampled) == one.episode.tokens
        assert [logs[place] for place in sampled] == pytest.approx(
            [one.row.logprobs[place] for place in sampled], abs=1e-3
        )
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in trainer.model.parameters():
            weight.add_(0.02 * torch.randn_like(weight))

    loss = trainer._compute_loss(trainer.model, batch).item()
    assert loss == pytest.approx(plain_loss(trainer, settings, old), rel=1e-3)
    # advantages of the whole episode instead of the step are another number
    assert loss != pytest.approx(plain_loss(trainer, settings, old, by_step=False), rel=1e-3)


def plain_loss(trainer: Any, settings: RLSettings, old: list[list[float]], by_step: bool = True) -> float:
    """Σ over sampled tokens of −min(ρA, clip(ρ)A) + β·ρ·KL, over their number."""
    scored = trainer.scored
    returns = [
        step_returns(one.episode.last.verdict.pass_ratio, one.episode.process, 0.3, 0.9) for one in scored
    ]
    advantages = step_advantages(returns, 4, gap=0.3)
    total, count = 0.0, 0
    for one, before, credit in zip(scored, old, advantages, strict=True):
        now = log_probabilities(trainer.model, one.row)
        for place, step in enumerate(one.row.step_of):
            if step < 0:
                continue
            advantage = credit[step if by_step else 0]
            ratio = math.exp(now[place] - before[place])
            clipped = min(max(ratio, 1 - settings.clip), 1 + settings.clip)
            back = before[place] - now[place]  # the reference is where the training started
            kl = math.exp(back) - back - 1
            total += -min(ratio * advantage, clipped * advantage) + settings.beta * ratio * kl
            count += 1
    return total / count


def test_headers_are_shown_and_not_learned(weights: Path, process: Any, settings: RLSettings) -> None:
    from o1coder_gym.agents.rl.episodes import sample_episodes, token_row

    policy = LanguageModelPolicy(HFEngine.from_name(str(weights)), PSEUDOCODE)
    (episode,) = sample_episodes(process, policy, ["one"], sampling=settings.sampling, seed=3)
    row = token_row(policy, episode)
    assert len(row.step_of) == len(row.completion_ids)
    for index, proposal in enumerate(episode.proposals):
        mine = [t for t, step in zip(row.completion_ids, row.step_of, strict=True) if step == index]
        assert tuple(mine) == proposal.sampled_ids
    text = policy.engine._ready()[0].text  # pyright: ignore[reportAttributeAccessIssue]
    shown = "".join(
        text.decode([t]) for t, step in zip(row.completion_ids, row.step_of, strict=True) if step < 0
    )
    assert shown.split() == ["###", "Step", "2", "(", "###", "Step", "3", "("]


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_a_killed_run_ends_where_an_undisturbed_one_does(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path, lora_rank: int
) -> None:
    from safetensors.torch import load_file

    from o1coder_gym.agents.rl.grpo import train_policy

    settings = replace(settings, lora_rank=lora_rank, iterations=2)
    seen: list[tuple[int, dict[str, float]]] = []
    whole = train_policy(
        str(weights),
        process,
        process.task_ids,
        tmp_path / "whole",
        settings,
        step_format=PSEUDOCODE,
        on_update=lambda t, metrics: seen.append((t, metrics)),
    )
    assert [t for t, _ in seen] == [0, 2]
    assert seen[0][1]["reward_terms/alpha"] == 0.5
    logged = {"episodes/pass_rate", "episodes/format_compliance", "reward_terms/process_return"}
    assert logged <= seen[0][1].keys()
    assert list((tmp_path / "whole").rglob("events.out.tfevents.*"))
    cut = tmp_path / "cut" / "checkpoints"
    shutil.copytree(tmp_path / "whole" / "checkpoints" / "checkpoint-2", cut / "checkpoint-2")
    (cut / "checkpoint-4").mkdir()  # a torn one, without its last file
    arguments: dict[str, Any] = {"step_format": PSEUDOCODE}
    with pytest.raises(O1CoderError, match="holds checkpoints"):
        train_policy(str(weights), process, process.task_ids, tmp_path / "cut", settings, **arguments)
    resumed = train_policy(
        str(weights), process, process.task_ids, tmp_path / "cut", settings, resume=True, **arguments
    )
    after, again, start = (load_file(folder / "model.safetensors") for folder in (whole, resumed, weights))
    assert all(after[name].equal(again[name]) for name in after)
    assert any(not after[name].equal(start[name]) for name in start)


def test_a_killed_run_goes_on_counting_late_episodes(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from o1coder_gym.agents.rl.grpo import train_policy
    from o1coder_gym.agents.rl.sampling import hf

    versions = [-7]  # of the first batch: as by a server that was started again

    def sample(actor: Any, draw: Any) -> Any:
        return tagged(draw(actor.policy), versions.pop() if versions else actor._version)

    monkeypatch.setattr(hf.HFActor, "sample", sample)
    told: list[float] = []
    given = (str(weights), process, process.task_ids)
    again: dict[str, Any] = {
        "step_format": PSEUDOCODE,
        "on_update": lambda _, figures: told.append(figures["sampling/late_episodes"]),
    }
    train_policy(*given, tmp_path / "whole", settings, **again)
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole/checkpoints/checkpoint-1", cut / "checkpoints/checkpoint-1")
    train_policy(*given, cut, settings, resume=True, **again)
    assert told == [8.0, 8.0, 8.0]  # of two batches, and of the second one again


def test_figures_do_not_depend_on_the_rows_read_at_once(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path
) -> None:
    from o1coder_gym.agents.rl.grpo import train_policy
    from tests.models.batches.ranked_trainings import curve

    # at this rate a second step on a batch is clipped, in some episodes and not in others
    settings = replace(settings, iterations=2, learning_rate=0.02, max_tokens=9)
    curves = []
    for rows in (2, 8):
        out = tmp_path / str(rows)
        chosen = replace(settings, rows_at_once=rows)
        train_policy(str(weights), process, process.task_ids, out, chosen, step_format=PSEUDOCODE)
        curves.append(curve(out))
    assert any(row.get("clip_ratio/high_max", 0) > 0 for row in curves[0])
    assert any(row.get("clip_ratio/low_min", 1) < row.get("clip_ratio/low_mean", 0) for row in curves[0])
    for mine, theirs in zip(*curves, strict=True):
        assert mine == pytest.approx(theirs, rel=2e-3, abs=1e-4)


def test_a_killed_run_goes_on_with_fewer_rows_at_once(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    from o1coder_gym.agents.rl.grpo import train_policy

    again: dict[str, Any] = {"step_format": PSEUDOCODE}
    given = (str(weights), process, process.task_ids)
    whole = train_policy(*given, tmp_path / "whole", settings, **again)
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole/checkpoints/checkpoint-1", cut / "checkpoints/checkpoint-1")
    shutil.copy(tmp_path / "whole/started.json", cut)
    fewer = replace(settings, rows_at_once=2)
    resumed = train_policy(*given, cut, fewer, resume=True, **again)
    after, other = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    assert all(after[name].sub(other[name]).abs().max() < 1e-5 for name in after)


@pytest.mark.parametrize(
    ("changed", "task_ids", "told"),
    [
        ({"learning_rate": 1e-4}, ("one", "two", "three"), "a training with learning_rate 0.001, not 0.0001"),
        ({"updates": 9}, ("one", "two", "three"), "a training with updates 2, not 9"),
        ({}, ("one", "two"), "a training with data '"),
    ],
)
def test_a_training_of_another_kind_is_refused(
    weights: Path,
    process: Any,
    settings: RLSettings,
    tmp_path: Path,
    changed: dict[str, Any],
    task_ids: tuple[str, ...],
    told: str,
) -> None:
    from o1coder_gym.agents.rl.grpo import train_policy

    train_policy(str(weights), process, process.task_ids, tmp_path, settings, step_format=PSEUDOCODE)
    again: dict[str, Any] = {"step_format": PSEUDOCODE, "resume": True}
    with pytest.raises(O1CoderError, match=told):
        train_policy(str(weights), process, task_ids, tmp_path, replace(settings, **changed), **again)
    (tmp_path / "started.json").unlink()  # an earlier version wrote none; its runs go on
    train_policy(str(weights), process, process.task_ids, tmp_path, settings, **again)


def test_a_resumed_monitor_remembers(settings: RLSettings) -> None:
    from o1coder_gym.agents.rl.monitor import HACKING, Monitor

    row = {"episodes/steps": 2.0, "monitor/without_code": 1.0}
    rows = [row | {"episodes/process": 0.2, "episodes/pass_rate": 0.8}] * 10
    rows += [{"loss": 0.1}, *[row | {"episodes/process": 0.8, "episodes/pass_rate": 0.2}] * 9]
    fresh, resumed = Monitor(settings), Monitor(settings)
    resumed.recall(rows)
    assert fresh._divergence(0.8, 0.2, 19) == 0.0
    with pytest.warns(UserWarning, match="exploiting the PRM"):
        assert resumed._divergence(0.8, 0.2, 19) > HACKING
    for _ in range(1):  # PATIENCE is 3, and the run had one batch without a program before it was killed
        resumed._require_code([])
    with pytest.raises(O1CoderError, match="no program in 3 batches"):
        resumed._require_code([])
    resumed.recall([])
    assert resumed._without_code == 0
    resumed.recall([{"episodes/steps": 2.0}])  # as earlier versions logged it
    assert resumed._without_code == 0
    # of a batch without a judged episode no mean is logged
    resumed.recall([row, {"episodes/judge_failures": 8.0, "monitor/without_code": 2.0}, {"loss": 0.1}])
    assert resumed._without_code == 2


def test_a_stopped_run_ends_for_want_of_programs_where_one_run_would(
    weights: Path, silent: Any, settings: RLSettings, tmp_path: Path
) -> None:
    from o1coder_gym.agents.rl.grpo import train_policy

    settings = replace(settings, updates=5, beta=0.0)
    for resume, batches in ((False, [0, 1]), (True, [])):  # the third batch ends it before it is told
        seen: list[int] = []
        with pytest.raises(O1CoderError, match="wrote no program in 3 batches"):
            train_policy(
                str(weights),
                silent,
                silent.task_ids,
                tmp_path,
                settings,
                step_format=PSEUDOCODE,
                resume=resume,
                on_update=lambda t, _, seen=seen: seen.append(t),
            )
        assert seen == batches


def test_a_batch_leans_on_no_scores_of_earlier_ones(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path
) -> None:
    forgotten: list[int] = []
    process.forget_scores = lambda: forgotten.append(1)
    trainer = trainer_for(weights, process, settings, tmp_path)
    for batch in (1, 2):
        trainer._generate_and_score_completions(INPUTS)
        assert len(forgotten) == batch


def test_the_actor_is_the_policy_in_training_with_its_adapters(weights: Path) -> None:
    import torch
    from peft import get_peft_model

    from o1coder_gym.agents.rl.sampling.hf import HFActor
    from o1coder_gym.models.checkpoints import load_weights
    from o1coder_gym.models.training.arguments import lora

    model, tokenizer = load_weights(weights, "float32")
    actor = HFActor(model, tokenizer, PSEUDOCODE)
    adapted = get_peft_model(model, lora(2))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    ids = torch.tensor([[5, 6, 7, 8]])
    actor.refresh(adapted, 1)
    with torch.no_grad():
        assert torch.allclose(actor._model(ids).logits, adapted.eval()(ids).logits, atol=1e-5)
        with adapted.disable_adapter():
            assert not torch.allclose(actor._model(ids).logits, adapted(ids).logits, atol=1e-3)


def test_the_copy_that_samples_may_be_of_a_narrower_type(weights: Path) -> None:
    import torch

    from o1coder_gym.agents.rl.sampling.hf import HFActor
    from o1coder_gym.models.checkpoints import load_weights

    model, tokenizer = load_weights(weights, "float32")
    actor = HFActor(model, tokenizer, PSEUDOCODE, dtype="bfloat16")
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1.5)
    actor.refresh(model, 1)
    mine, trained = actor._model.state_dict(), model.state_dict()
    assert all(trained[name].bfloat16().equal(value) for name, value in mine.items())
    assert {one.dtype for one in actor._model.buffers()} <= {torch.float32}
    assert model.dtype == torch.float32


def test_a_policy_that_never_writes_a_program_ends_the_training(
    weights: Path, silent: Any, settings: RLSettings, tmp_path: Path
) -> None:
    from o1coder_gym.agents.rl.grpo import train_policy

    with pytest.raises(O1CoderError, match="wrote no program in 3 batches of 8 episodes"):
        train_policy(
            str(weights),
            silent,
            silent.task_ids,
            tmp_path,
            replace(settings, updates=5, beta=0.0),
            step_format=PSEUDOCODE,
        )
    assert (tmp_path / "checkpoints" / "checkpoint-2").exists()


def test_a_scorer_that_returns_nan_is_one_sentence(
    weights: Path, settings: RLSettings, tmp_path: Path
) -> None:
    from o1coder_gym.agents.rl.grpo import train_policy
    from o1coder_gym.envs.reasoning_model import ReasoningModel
    from o1coder_gym.types import Problem

    class Broken:
        def score(self, items: Any, /) -> list[float]:
            return [math.nan] * len(items)

        def evaluate(self, submissions: Any, /) -> list[Any]:
            raise AssertionError

    problems = [Problem("one", "count", "f"), Problem("two", "count", "f")]
    process = ReasoningModel(problems, Broken(), scorer=Broken(), max_steps=2)
    with pytest.raises(O1CoderError, match="was scored nan, not in"):
        train_policy(str(weights), process, process.task_ids, tmp_path, settings, step_format=PSEUDOCODE)


def test_settings_that_make_no_sense_are_refused(settings: RLSettings, process: Any, tmp_path: Path) -> None:
    from o1coder_gym.agents.rl.grpo import train_policy

    assert "importance_cap" not in settings.to_row()  # a run of an earlier version goes on
    assert replace(settings, importance_cap=2.0).to_row()["importance_cap"] == 2.0
    for wrong in (
        {"credit": "token"}, {"updates": 0}, {"episodes": 1}, {"rows_at_once": 3}, {"learning_rate": 0.0},
        {"beta": -1.0}, {"alpha": "steep"}, {"gamma": 2.0}, {"dtype": "int8"}, {"save_every": 0},
        {"importance_cap": 0.5}, {"importance_cap": 2.0, "temperature": 0.7},
    ):  # fmt: skip
        with pytest.raises(UsageError):
            replace(settings, **wrong)
    with pytest.raises(
        UsageError, match=r"2 problems, there are 1; give --batch-problems 1 .* problems = 1 and"
    ):
        train_policy("any", process, ["one"], tmp_path, settings, step_format=PSEUDOCODE)


@pytest.mark.parametrize("credit", ["step", "outcome"])
def test_a_judge_that_failed_gives_no_reward(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path, credit: str
) -> None:
    import torch

    from o1coder_gym.agents.rl.data_order import batch_problems

    honest = process.advance
    trainer = trainer_for(weights, process, replace(settings, credit=credit), tmp_path)
    first, _ = batch_problems(process.task_ids, 2, 0, settings.seed)

    def failing(pairs: Any, /) -> list[Transition]:
        return [
            judge_failed(found) if found.terminated and state.problem_id == first else found
            for (state, _), found in zip(pairs, honest(pairs), strict=True)
        ]

    process.advance = failing
    batch = trainer._generate_and_score_completions(INPUTS)
    assert batch["advantages"][:4].abs().sum() == 0
    assert batch["advantages"][4:].abs().sum() > 0 or credit == "outcome"  # all of these fail alike
    # nor is it in the mean of the loss, nor held to the reference: the loss is that of the judged half
    assert batch["num_items_in_batch"] == sum(one.episode.tokens for one in trainer.scored[4:])
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in trainer.model.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    judged = {name: value if value.dim() == 0 else value[4:] for name, value in batch.items()}
    whole, half = (trainer._compute_loss(trainer.model, part).item() for part in (batch, judged))
    assert whole == pytest.approx(half, rel=1e-4)
    assert abs(whole) > 1e-6


@pytest.mark.parametrize(("credit", "worth"), [("step", 0.3), ("phi", 0.3), ("outcome", 1.0)])
def test_a_success_is_worth_what_it_adds_to_the_reward(
    settings: RLSettings, tmp_path: Path, credit: Any, worth: float
) -> None:
    from o1coder_gym.agents.rl.credit import worth_of_success

    settings = replace(settings, credit=credit, alpha="0.3")
    assert worth_of_success(settings, 0) == pytest.approx(worth)
    assert worth_of_success(replace(settings, tau_pass=0.75, tau_fail=0.25), 0) == pytest.approx(worth / 2)
    own = tmp_path / "own.py"
    own.write_text("def pay(evidence):\n    return 0.001\n")
    assert worth_of_success(replace(settings, reward=f"{own}:pay"), 0) == 0.0  # nobody knows


def judge_failed(found: Transition) -> Transition:
    terms = {**found.reward_terms, "value": math.nan}
    return replace(found, verdict=Verdict(Outcome.INFRASTRUCTURE), reward_terms=terms)


def test_every_problem_comes_once_before_one_comes_again() -> None:
    from o1coder_gym.agents.rl.data_order import batch_problems

    tasks = ["a", "b", "c", "d"]
    batches = [batch_problems(tasks, 2, batch, seed=5) for batch in range(4)]
    assert sorted(batches[0] + batches[1]) == sorted(batches[2] + batches[3]) == tasks
    assert batches != [batch_problems(tasks, 2, batch, seed=6) for batch in range(4)]


def test_a_model_with_dropout_is_trained_as_it_samples(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    tokenizer = AutoTokenizer.from_pretrained(weights)
    tokenizer.save_pretrained(tmp_path / "gpt2")
    end = tokenizer.eos_token_id
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=256)
    config.update({"bos_token_id": end, "eos_token_id": end, "resid_pdrop": 0.5, "embd_pdrop": 0.5})
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    for at_once in (1, 8):
        settings = replace(settings, rows_at_once=at_once, importance_cap=2.0)
        trainer = trainer_for(tmp_path / "gpt2", process, settings, tmp_path / str(at_once))
        trainer.model.train()
        batch = trainer._generate_and_score_completions(INPUTS)
        likely, sampled, mask = trainer._sides(batch["old_per_token_logps"], batch)
        assert torch.allclose(likely * mask, sampled * mask, atol=1e-3)


@pytest.mark.parametrize(("dtype", "half"), [("auto", True), ("bfloat16", True), ("float32", False)])
def test_on_a_gpu_float32_is_multiplied_as_such(
    settings: RLSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: Any, half: bool
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    for one in (replace(settings, dtype=dtype), DPOSettings(dtype=dtype)):
        assert common_arguments(tmp_path, one)["bf16"] is half


def test_shared_prefixes_have_the_gradients_of_rows_alone(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path
) -> None:
    import torch

    settings = replace(settings, iterations=2, beta=0.0)
    trainer = trainer_for(weights, process, settings, tmp_path)
    batch = trainer._generate_and_score_completions(INPUTS)
    seen: list[int] = []
    trainer.model.base_model.get_input_embeddings().register_forward_pre_hook(
        lambda _, given: seen.append(given[0].numel())
    )
    trainer.model.zero_grad()
    trainer._compute_loss(trainer.model, batch).backward()
    mine = {name: weight.grad.clone() for name, weight in trainer.model.named_parameters()}
    tokens = int(batch["prompt_mask"].sum() + batch["completion_mask"].sum())
    # Four episodes have one prompt; attention counts for so much in a model of this size that two share it.
    assert seen[-1] < 0.75 * tokens

    # ρ is 1 where nothing was learned yet: the gradient of a token's loss is −A ∇log π.
    trainer.model.zero_grad()
    learned = sum(step >= 0 for one in trainer.scored for step in one.row.step_of)
    for number, one in enumerate(trainer.scored):
        for place, token in enumerate(one.row.completion_ids):
            if one.row.step_of[place] >= 0:
                path, before = [], one.row.parents[place]
                while before >= 0:
                    path.append(one.row.completion_ids[before])
                    before = one.row.parents[before]
                ids = torch.tensor([[*one.row.prompt_ids, *path[::-1]]])
                found = trainer.model(ids).logits[0, -1].log_softmax(-1)[token]
                (-batch["advantages"][number, place] * found / learned).backward()
    for name, weight in trainer.model.named_parameters():
        apart = (mine[name] - weight.grad).abs().max()
        assert apart <= 1e-4 * weight.grad.abs().max() + 1e-7, name
