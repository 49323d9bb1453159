"""Every sampled token is in the row of its episode, with its step; the loss of a batch by hand."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents.rl.advantages import STABILISER
from o1coder_gym.agents.rl.episodes import Episode, token_row
from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.agents.rl.token_rows import Sample, TokenRow, parent_table, row_of
from o1coder_gym.policies import HFEngine, LanguageModelPolicy
from o1coder_gym.steps.formats import PSEUDOCODE, StepFormat, load_format
from o1coder_gym.types import (
    ActionType,
    CaseResult,
    Outcome,
    Proposal,
    State,
    Step,
    Transition,
    Verdict,
)
from tests.agents.rl.conftest import LetterModel
from tests.agents.rl.trainers import give, trainer_for

pytest.importorskip("trl")

INPUTS = [{"prompt": slot} for slot in ("0", "1") for _ in range(4)]


def joined(*steps: tuple[list[int], list[int]]) -> TokenRow:
    """Returns a row of (sampled, shown to the next step)."""
    shown, samples = (7, 8), []
    for sampled, then in steps:
        samples.append(Sample(shown, tuple(sampled), tuple(-float(token) for token in sampled)))
        shown += tuple(then)
    return row_of(samples)


@pytest.mark.parametrize(
    ("steps", "ids", "step_of", "parents"),
    [
        # the header that was sampled is the one that the format puts in: one sequence
        ([([1, 2, 3], [1, 2, 3, 4]), ([5], [5])], [1, 2, 3, 4, 5], [0, 0, 0, -1, 1], [-1, 0, 1, 2, 3]),
        # an end of text (9): a branch; the header (3, 4) follows token 1
        ([([1, 9], [1, 3, 4]), ([5], [5])], [1, 9, 3, 4, 5], [0, 0, -1, -1, 1], [-1, 0, 0, 2, 3]),
        # nothing but an end of text, twice
        ([([9], [3]), ([9], [9])], [9, 3, 9], [0, -1, 1], [-1, -1, 1]),
        # an equal step that was first written in other tokens
        ([([1, 2], [6, 3]), ([5], [5])], [1, 2, 6, 3, 5], [0, 0, -1, -1, 1], [-1, 0, -1, 2, 3]),
        # a format that puts nothing in between: what is behind a branch follows what is before it
        ([([1, 9], [1]), ([5, 6], [5, 6])], [1, 9, 5, 6], [0, 0, 1, 1], [-1, 0, 0, 2]),
    ],
)  # fmt: skip
def test_rows_by_hand(steps: Any, ids: list[int], step_of: list[int], parents: list[int]) -> None:
    row = joined(*steps)
    assert row.prompt_ids == (7, 8)
    assert row.completion_ids == tuple(ids)
    assert row.step_of == tuple(step_of)
    assert row.parents == tuple(parents)
    learned = [place for place, step in enumerate(step_of) if step >= 0]
    assert [row.logprobs[place] for place in learned] == [-float(ids[place]) for place in learned]


def test_prompts_that_were_encoded_anew_are_branches() -> None:
    # 1 2 was sampled, and the next prompt has 12 there; the last one joins the end of the question as well
    first = Sample((7, 8), (1, 2), (-1.0, -2.0))
    row = row_of([first, Sample((7, 8, 12, 3), (5,), (-5.0,)), Sample((7, 81, 3), (6,), (-6.0,))])
    assert row.prompt_ids == (7,)
    assert row.completion_ids == (8, 1, 2, 12, 3, 5, 81, 3, 6)
    assert row.step_of == (-1, 0, 0, -1, -1, 1, -1, -1, 2)
    assert row.parents == (-1, 0, 1, 0, 3, 4, -1, 6, 7)
    assert row.logprobs == (0.0, -1.0, -2.0, 0.0, 0.0, -5.0, 0.0, 0.0, -6.0)


def test_a_token_attends_to_what_it_was_sampled_after() -> None:
    import torch

    from o1coder_gym.models.batches.shared_prefixes import grow

    row = joined(([1, 9], [1, 3]), ([5], [5]))  # prompt 7 8, then 1 9* 3 5
    ids = torch.tensor([[0, *row.prompt_ids, *row.completion_ids, 0]])  # one place of padding on each side
    mask = torch.tensor([[0, 1, 1, 1, 1, 1, 1, 0]])
    forest = grow(ids, mask, parent_table([row], 5))
    assert forest is not None
    seen = [[other for other in range(6) if forest.sees[0, node, other]] for node in range(6)]
    assert seen == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 4], [0, 1, 2, 4, 5]]
    assert forest.positions[0].tolist() == [0, 1, 2, 3, 3, 4]
    # what predicts 3, the token behind the branch, is the state of 1, and not of the branch 9
    assert forest.places[0, 1:6].tolist() == [0, 1, 2, 2, 4]


def by_hand(process: Any, trainer: Any, task_id: str, texts: list[str], end: bool) -> Episode:
    """Returns an episode whose steps before the last end with the end of the text, or with a wrong header."""
    text = trainer._sampler.policy.engine._ready()[0].text
    state, proposals, transitions = process.initial(task_id), [], []
    for index, body in enumerate(texts):
        opening = PSEUDOCODE.prompt(process.problem(task_id), state).opening
        ids = text.encode_more(body)
        tail = (text.tokenizer.eos_token_id,) if end else text.encode_more("\n\n### STEP")
        last = index + 1 == len(texts)
        sampled = ids if last else (*ids, *tail)
        proposals.append(Proposal(opening + body, len(sampled), -1.0, ids, sampled_ids=sampled))
        (found,) = process.advance([(state, opening + body)])
        transitions.append(found)
        state = found.state
    return Episode(process.problem(task_id), tuple(proposals), tuple(transitions))


@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize("rows_at_once", [8, 2])
def test_the_loss_of_a_batch_token_by_token(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path, end: bool, rows_at_once: int
) -> None:
    import torch

    settings = replace(settings, beta=0.0, rows_at_once=rows_at_once)
    trainer = trainer_for(weights, process, settings, tmp_path)
    bodies = [["bd", "ab", "bdf"], ["ac", "b", "ace"], ["ab\n\n", "cc", "bb"], ["b", "aab", "ca"]]
    episodes = [by_hand(process, trainer, task, texts, end) for task in ("one", "two") for texts in bodies]
    give(trainer, episodes)
    batch = trainer._generate_and_score_completions(INPUTS)

    total, count = 0.0, 0
    for one, advantages in zip(trainer.scored, batch["advantages"].tolist(), strict=True):
        for place, step in enumerate(one.row.step_of):
            if step >= 0:
                # ρ = 1 at the first look, so that −min(ρA, clip(ρ)A) is −A
                total -= advantages[place]
                count += 1
    assert count == sum(episode.tokens for episode in episodes)
    parts = [
        {
            name: value if value.dim() == 0 else value[start : start + rows_at_once]
            for name, value in batch.items()
        }
        for start in range(0, 8, rows_at_once)
    ]
    trainer.current_gradient_accumulation_steps = len(parts)
    trainer.model.zero_grad()
    losses = [trainer._compute_loss(trainer.model, part) for part in parts]
    assert sum(loss.item() for loss in losses) == pytest.approx(total / count, abs=1e-5)
    for loss in losses:
        loss.backward()
    mine = {name: weight.grad.clone() for name, weight in trainer.model.named_parameters()}

    # the gradient of −Σ A log π / count, each token by a pass over the very tokens that it was sampled after
    trainer.model.zero_grad()
    for one, advantages in zip(trainer.scored, batch["advantages"].tolist(), strict=True):
        for place, step in enumerate(one.row.step_of):
            if step >= 0:
                path, before = [], one.row.parents[place]
                while before >= 0:
                    path.append(one.row.completion_ids[before])
                    before = one.row.parents[before]
                ids = torch.tensor([[*one.row.prompt_ids, *path[::-1]]])
                log = trainer.model(ids).logits[0, -1].log_softmax(-1)[one.row.completion_ids[place]]
                (-advantages[place] * log / count).backward()
    for name, weight in trainer.model.named_parameters():
        assert torch.allclose(mine[name], weight.grad, atol=1e-5), name
    assert any(grad.abs().max() > 1e-4 for grad in mine.values())


def test_the_reference_sees_what_each_token_was_sampled_after(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path
) -> None:
    import torch

    trainer = trainer_for(weights, process, replace(settings, beta=0.1), tmp_path)
    texts = ["bd", "ab", "bdf"]  # each but the last ended by an end of the text: two branches
    episodes = [by_hand(process, trainer, task, texts, True) for task in ("one", "two") for _ in range(4)]
    give(trainer, episodes)
    batch = trainer._generate_and_score_completions(INPUTS)
    learned = batch["completion_mask"] * batch["tool_mask"] == 1
    with torch.no_grad():
        own = trainer._likelihoods(batch)
    # nothing is learned yet: the policy is its own reference, and no token has a KL
    assert torch.allclose(batch["ref_per_token_logps"][learned], own[learned], atol=1e-4)


def test_a_reward_of_your_own_is_one_advantage_an_episode(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text("def pay(evidence):\n    return 0.01 * len(evidence.process) ** 2\n")
    trainer = trainer_for(weights, process, replace(settings, reward=f"{own}:pay"), tmp_path)
    texts = [["b", "a", "b"], ["b", "a"], ["b"], ["a", "b", "b"]]
    episodes = [by_hand(process, trainer, task, one, True) for task in ("one", "two") for one in texts]
    give(trainer, episodes)
    batch = trainer._generate_and_score_completions(INPUTS)
    found = [
        {value for value, step in zip(row, one.row.step_of, strict=False) if step >= 0}
        for one, row in zip(trainer.scored, batch["advantages"].tolist(), strict=True)
    ]
    rewards = [0.09, 0.04, 0.01, 0.09] * 2  # mean 0.0575, Σ of squared deviations 2·0.004675 over 7
    sigma = math.sqrt(2 * 0.004675 / 7) + STABILISER
    assert [len(one) for one in found] == [1] * 8
    assert [one.pop() for one in found] == pytest.approx(
        [(one - 0.0575) / sigma for one in rewards], rel=1e-4
    )


def test_two_episodes_of_one_step_in_other_tokens_keep_their_own(weights: Path, process: Any) -> None:
    policy = LanguageModelPolicy(HFEngine.from_name(str(weights)), PSEUDOCODE)
    text = policy.engine._ready()[0].text  # pyright: ignore[reportAttributeAccessIssue]
    whole, letters = text.encode_more("ab"), text.encode_more("a") + text.encode_more("b")
    problem, state = process.problem("one"), process.initial("one")
    action = PSEUDOCODE.prompt(problem, state).opening + "ab"
    after = process.advance([(state, action)])[0]
    for ids in (letters, whole):
        sampled = (*ids, text.tokenizer.eos_token_id)
        first = Proposal(action, len(sampled), token_ids=ids, sampled_ids=sampled)
        row = token_row(policy, Episode(problem, (first, Proposal("y", 1, sampled_ids=(5,))), (after, after)))
        learned = [(t, step) for t, step in zip(row.completion_ids, row.step_of, strict=True) if step >= 0]
        assert learned == [*((token, 0) for token in sampled), (5, 1)]
        assert row.parents[row.step_of.index(-1)] == len(ids) - 1  # what follows was shown these very tokens


@pytest.mark.parametrize("cap", [1.0, 2.0])
def test_sampler_and_trainer_may_differ_within_a_cap(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path, cap: float
) -> None:
    import torch

    settings = replace(settings, importance_cap=cap, credit="phi")
    trainer = trainer_for(weights, process, settings, tmp_path)
    batch = trainer._generate_and_score_completions(INPUTS)
    trainer._compute_loss(trainer.model, batch)
    logged = {name: value for name, (value,) in trainer._metrics["train"].items() if "sampling/" in name}
    assert logged["sampling/logprob_difference"] < 1e-3  # in float32 both are one policy
    assert logged["sampling/kl"] == pytest.approx(0.0, abs=1e-6)
    assert logged["sampling/max_ratio"] == pytest.approx(1.0, abs=1e-3)
    plain = trainer.advantages(batch["completion_ids"])
    assert torch.allclose(batch["advantages"], plain, atol=1e-3)
    # a sampler that thought each token half, or a tenth as likely
    for factor, weight in ((0.5, min(cap, 2.0)), (0.1, cap), (2.0, 0.5)):
        told = dict(batch)
        told["sampling_per_token_logps"] = batch["old_per_token_logps"] + math.log(factor)
        mask = batch["completion_mask"] * batch["tool_mask"] == 1
        assert torch.allclose(trainer.importance(told)[mask], torch.tensor(weight), atol=1e-3)


def test_figures_of_the_sampler_are_of_a_temperature_of_one(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path
) -> None:
    trainer = trainer_for(weights, process, replace(settings, temperature=2.0), tmp_path)
    batch = trainer._generate_and_score_completions(INPUTS)
    trainer._compute_loss(trainer.model, batch)
    assert "sampling/kl" not in trainer._metrics["train"]


@pytest.mark.parametrize("credit", ["step", "outcome"])
def test_a_policy_that_ends_its_text_at_once_learns_not_to(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path, credit: str
) -> None:
    import torch

    settings = replace(
        settings, credit=credit, beta=0.0, learning_rate=3e-3, max_tokens=4, alpha="1.0", clip=0.5
    )
    trainer = trainer_for(weights, process, settings, tmp_path)
    end, model = trainer._sampler.policy.engine._ready()[0].text.tokenizer.eos_token_id, trainer.model
    prompts = [
        torch.tensor([trainer._sampler.policy.prompt_ids(process.problem(name), State(name))])
        for name in process.task_ids
    ]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    while first_end(model, prompts, end) < 0.85:
        loss = -torch.stack([model(ids).logits[0, -1].log_softmax(-1)[end] for ids in prompts]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    before = first_end(model, prompts, end)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    process.advance = paying_for_text(process.advance)
    for _ in range(8):
        batch = trainer._generate_and_score_completions(INPUTS)
        learned = [sum(step >= 0 for step in one.row.step_of) for one in trainer.scored]
        assert learned == [one.episode.tokens for one in trainer.scored]
        optimizer.zero_grad()
        trainer._compute_loss(model, batch).backward()
        optimizer.step()
        trainer.state.global_step += 1
    assert first_end(model, prompts, end) < before - 0.3


class OneTurn(LetterModel):
    """An episode of one step, which passes iff it says anything."""

    def __init__(self, step_format: StepFormat) -> None:
        self.format = step_format

    def _one(self, state: State, action: str) -> Transition:
        opening = self.format.prompt(self.problem(state.problem_id), state).opening
        outcome = Outcome.PASS if action.removeprefix(opening) else Outcome.WRONG_ANSWER
        passed = float(outcome is Outcome.PASS)
        terms = {"process": 0.0, "compile": 1.0, "pass": passed, "value": passed}
        verdict = Verdict(outcome, (CaseResult(outcome),))
        after = state.then(Step(ActionType.CODE, action))
        return Transition(after, passed, True, False, verdict=verdict, reward_terms=terms)


@pytest.mark.parametrize("step_format", ["pseudocode", "functions", "vanilla"])
@pytest.mark.parametrize("credit", ["step", "phi", "outcome"])
def test_an_end_at_once_is_learned_in_every_format(
    weights: Path, settings: RLSettings, tmp_path: Path, step_format: str, credit: str
) -> None:
    import torch

    form = load_format(step_format)
    process = OneTurn(form)
    settings = replace(settings, credit=credit, beta=0.0, alpha="1.0")
    trainer = trainer_for(weights, process, settings, tmp_path, form)
    policy, model = trainer._sampler.policy, trainer.model
    end = policy.engine._ready()[0].text.tokenizer.eos_token_id
    episodes = [ended(process, policy, task, said, end) for task in ("one", "two") for said in ("", "b") * 2]
    give(trainer, episodes)
    batch = trainer._generate_and_score_completions(INPUTS)
    assert [one.row.completion_ids for one in trainer.scored[::2]] == [(end,)] * 4
    assert [one.row.step_of for one in trainer.scored[::2]] == [(0,)] * 4
    # of a problem's four half pass; σ of all eight is √(8·¼ / 7), that of a problem, GRPO's, √(4·¼ / 3)
    sigma = math.sqrt(1 / 3) if credit == "outcome" else math.sqrt(2 / 7)
    a = 0.5 / (sigma + STABILISER)
    first = batch["advantages"].view(8, -1)[:, 0]  # one a token, or one an episode
    assert torch.allclose(first, torch.tensor([-a, a] * 4), atol=1e-4)
    prompts = [torch.tensor([trainer.scored[place].row.prompt_ids]) for place in (0, 4)]
    before = first_end(model, prompts, end)
    loss = trainer._compute_loss(model, batch)
    # four ends alone at −a and four "b" with an end at a, a token: −(−4a + 8a) / 12
    assert loss.item() == pytest.approx(-a / 3, abs=1e-4)
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert first_end(model, prompts, end) < before


def ended(process: Any, policy: LanguageModelPolicy, task_id: str, said: str, end: int) -> Episode:
    """Returns an episode of one step, whose text was ended."""
    problem, state = process.problem(task_id), process.initial(task_id)
    action = policy.step_format.prompt(problem, state).opening + said
    ids = policy.engine.encode_more(said)
    (found,) = process.advance([(state, action)])
    proposal = Proposal(action, len(ids) + 1, -1.0, ids, sampled_ids=(*ids, end))
    return Episode(problem, (proposal,), (found,))


def first_end(model: Any, prompts: Any, end: int) -> float:
    """Returns the mean probability of an end of the text as the first token."""
    import torch

    with torch.no_grad():
        return sum(model(ids).logits[0, -1].softmax(-1)[end].item() for ids in prompts) / len(prompts)


def paying_for_text(advance: Any) -> Any:
    """Has a chain pass iff its first step says something."""

    def paid(pairs: Any, /) -> Any:
        found = []
        for one in advance(pairs):
            if one.verdict is not None:
                said = one.state.steps[0].text.removeprefix("### Step 1 (define)\n").strip()
                outcome = Outcome.PASS if said else Outcome.WRONG_ANSWER
                one = replace(one, verdict=Verdict(outcome, (CaseResult(outcome),)))
            found.append(one)
        return found

    return paid
