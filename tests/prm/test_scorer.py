"""Scoring: one pass gives what each prefix alone gets; batches do not show; broken models are named."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("transformers", exc_type=ImportError)

from o1coder_gym.envs.conformance import check_scorer  # noqa: E402
from o1coder_gym.errors import ScorerError, UnknownNameError, UsageError  # noqa: E402
from o1coder_gym.metrics.calibration import Calibration, sigmoid  # noqa: E402
from o1coder_gym.prm.model import ScalarHead, StepModel, load_backbone  # noqa: E402
from o1coder_gym.prm.public import ScorerSettings  # noqa: E402
from o1coder_gym.prm.scorer import ModelScorer, model_scorer  # noqa: E402
from o1coder_gym.prm.step_text import StepText, separated  # noqa: E402
from o1coder_gym.problems.loading import load_problems  # noqa: E402
from o1coder_gym.steps.formats import PSEUDOCODE  # noqa: E402
from o1coder_gym.types import ActionType, Problem, State, Step  # noqa: E402

PROBLEM = Problem("p", "def f(x):\n    'Return x.'\n", "f")
STEPS = (
    Step(ActionType.DEFINE, "Think of x."),
    Step(ActionType.REFINE, "Think of x again, and say\nwhat it is."),
    Step(ActionType.MALFORMED, "no header <eos> here"),
    Step(ActionType.CODE, "def f(x):\n    return x"),
)
CHAIN = State("p", STEPS)
PREFIXES = [(PROBLEM, State("p", STEPS[:depth])) for depth in range(1, 5)]


@pytest.fixture(scope="module", params=[0, 64], ids=["from the start", "from prefixes"])
def scorer(model: Path, request: pytest.FixtureRequest) -> ModelScorer:
    from transformers import AutoTokenizer

    torch.manual_seed(1)
    head = ScalarHead(torch.randn(1, 32), torch.randn(1))
    text = StepText(AutoTokenizer.from_pretrained(model), PSEUDOCODE, separated, 512)
    reader = StepModel(load_backbone(model, device="cpu"), head, 0)
    if request.param:
        reader.keep_prefixes(request.param)
    return ModelScorer(reader, text, batch_tokens=400)


def alone(scorer: ModelScorer, state: State) -> float:
    """The logit of a prefix computed by itself, without padding or batch."""
    encoded = scorer.text.encode(PROBLEM, state)
    assert encoded.marks[-1] == len(encoded.ids) - 1
    with torch.inference_mode():
        hidden = scorer.model.backbone(input_ids=torch.tensor([encoded.ids])).last_hidden_state[0, -1]
        return scorer.model.head(hidden[None])[0].item()


def test_one_pass_is_each_prefix_alone(scorer: ModelScorer) -> None:
    passes = []
    scorer.model.backbone.register_forward_pre_hook(lambda *_: passes.append(1))
    scores = scorer.score(PREFIXES)
    assert len(passes) == 1
    for depth, score in enumerate(scores, start=1):
        logit = alone(scorer, State("p", STEPS[:depth]))
        assert score == pytest.approx(1 / (1 + torch.tensor(-logit).exp().item()), abs=1e-4)
    assert len(set(scores)) == len(scores)
    assert scores == [scorer.score([(PROBLEM, State("p", STEPS[:depth]))])[0] for depth in range(1, 5)]


def test_a_score_says_what_was_read_for_it(scorer: ModelScorer) -> None:
    scores = scorer.score([*PREFIXES, (PROBLEM, State("p"))])
    read = [getattr(score, "tokens", None) for score in scores]
    # whatever else is in the batch, and whatever was kept: as if the prefix had been read alone
    assert read[:4] == [len(scorer.text.encode(PROBLEM, state).ids) for _, state in PREFIXES]
    assert read[4] is None  # no step: nothing was read
    assert [getattr(scorer.score([item])[0], "tokens", None) for item in PREFIXES] == read[:4]


def test_a_scorer_knows_its_size(scorer: ModelScorer) -> None:
    backbone = sum(weight.numel() for weight in scorer.model.backbone.parameters())
    assert scorer.parameters == backbone + 32 + 1


def test_what_steps_before_have_computed_is_kept(model: Path) -> None:
    from transformers import AutoTokenizer

    text = StepText(AutoTokenizer.from_pretrained(model), PSEUDOCODE, separated, 512)
    reader = StepModel(load_backbone(model, device="cpu"), ScalarHead(torch.ones(1, 32), None), 0)
    reader.keep_prefixes(64)
    computed = []
    reader.backbone.register_forward_pre_hook(
        lambda _, __, named: computed.append(named["input_ids"].shape), with_kwargs=True
    )
    chain, longer = (text.encode(PROBLEM, State("p", STEPS[:depth])) for depth in (2, 3))
    first = reader.logits([chain])
    siblings = reader.logits([longer, longer, chain])
    assert siblings[0] == siblings[1]
    assert siblings[0][:2] == siblings[2] == first[0]
    assert computed == [(1, len(chain.ids)), (1, len(longer.ids) - len(chain.ids))]
    reader.forget()
    assert reader.logits([longer])[0] == pytest.approx(siblings[0], abs=1e-4)
    assert computed[-1] == (1, len(longer.ids))


def test_scores_belong_to_their_states_in_any_order_and_batch(scorer: ModelScorer) -> None:
    other = State("p", (Step(ActionType.DEFINE, "word " * 30),))
    items = [(PROBLEM, State("p", STEPS[:depth])) for depth in (3, 1, 4, 0, 2)] + [(PROBLEM, other)] * 2
    together = scorer.score(items)
    assert together == [scorer.score([item])[0] for item in items]
    assert together[3] == 0.5
    assert scorer.score([]) == []


def test_it_keeps_the_contract(scorer: ModelScorer) -> None:
    check_scorer(scorer, load_problems("starter")[:2])


def test_a_long_question_is_cut_and_a_long_step_refused(scorer: ModelScorer) -> None:
    short = ModelScorer(scorer.model, StepText(scorer.text.tokenizer, PSEUDOCODE, separated, 120))
    long = Problem("p", "why " * 200, "f")
    assert 0 < short.score([(long, State("p", STEPS[:2]))])[0] < 1
    step = Step(ActionType.DEFINE, "word " * 60)
    with pytest.raises(ScorerError, match="longer than 120 tokens"):
        short.score([(long, State("p", (STEPS[0], step)))])


@pytest.mark.parametrize("most", [90, 120, 150])
def test_a_score_does_not_depend_on_a_continuation_that_does_not_fit(scorer: ModelScorer, most: int) -> None:
    short = ModelScorer(scorer.model, StepText(scorer.text.tokenizer, PSEUDOCODE, separated, most))
    steps = [Step(ActionType.DEFINE, f"word {'w ' * 10}{number}") for number in range(6)]
    items = [(PROBLEM, State("p", tuple(steps[:depth]))) for depth in range(1, 7)]
    lengths = [len(short.text.encode(*item).ids) for item in items]
    assert lengths[0] <= most < lengths[-1]  # some fit, some are cut
    by_themselves = [short.score([item])[0] for item in items]
    assert short.score(items) == by_themselves
    assert short.score(items[::-1]) == by_themselves[::-1]
    assert short.score([items[-1], items[0]]) == [by_themselves[-1], by_themselves[0]]
    assert len(set(by_themselves)) > 1
    assert [round(sigmoid(logit), 4) for logit in short.logits(items)] == by_themselves  # those of calibrate


def test_a_calibration_is_applied(scorer: ModelScorer) -> None:
    warm = ModelScorer(scorer.model, scorer.text, calibration=Calibration("temperature", 4.0))
    (raw,), (tempered,) = (one.logits([(PROBLEM, CHAIN)]) for one in (scorer, warm))
    assert raw == pytest.approx(tempered, abs=1e-5)
    assert warm.score([(PROBLEM, CHAIN)])[0] == pytest.approx(Calibration()(raw / 4.0), abs=1e-4)


def test_a_model_that_came_apart_is_named(scorer: ModelScorer) -> None:
    broken = StepModel(scorer.model.backbone, ScalarHead(torch.full((1, 32), torch.nan), None), 0)
    with pytest.raises(ScorerError, match="p: the model's score is not a number"):
        ModelScorer(broken, scorer.text).score([(PROBLEM, CHAIN)])


def test_a_folder_that_is_no_prm_is_named(model: Path) -> None:
    with pytest.raises(UsageError, match=r"has no prm\.json; say what it is"):
        model_scorer(str(model), ScorerSettings())
    with pytest.raises(ScorerError, match=r"has no tensor v_head\.summary\.weight"):
        model_scorer(str(model), ScorerSettings(kind="skywork"))
    with pytest.raises(UnknownNameError, match="kind of process reward model 'orm'"):
        model_scorer(str(model), ScorerSettings(kind="orm"))
