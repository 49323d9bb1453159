"""The decision process: appending, ending, rewarding, caching, and what the agent is told."""

import copy
import math
import pickle
from collections.abc import Sequence
from functools import partial

import pytest

from o1coder_gym import rewards
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import ScorerError, UnknownNameError, UsageError
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import PSEUDOCODE, VANILLA
from o1coder_gym.types import (
    ActionType,
    AssertTest,
    CallTest,
    CaseResult,
    Outcome,
    Problem,
    State,
    StdioTest,
    Step,
    Submission,
    Verdict,
)

ADD = Problem("add", "Add two numbers.", "add", (CallTest("[1, 2]", "3"), CallTest("[0, 0]", "0")))
ECHO = Problem("echo", "Print what is read.", None, (StdioTest("hi\n", "hi\n"),))
DEFINE = "### Step 1 (define)\nfunction add(a, b)\n"
WRONG_FIRST = (CaseResult(Outcome.WRONG_ANSWER, got="-1"), CaseResult(Outcome.PASS))


def code(program: str) -> str:
    return PSEUDOCODE.render(Step(ActionType.CODE, program), 1)


class LedgerJudge:
    """Answers by program text and keeps the batches it was asked."""

    def __init__(self) -> None:
        self.batches: list[list[Submission]] = []

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Verdict]:
        self.batches.append(list(submissions))
        return [self.verdict(submission) for submission in submissions]

    def verdict(self, submission: Submission) -> Verdict:
        total = len(submission.tests)
        match submission.code:
            case "right":
                return Verdict(Outcome.PASS, (CaseResult(Outcome.PASS),) * total)
            case "half":
                return Verdict(Outcome.WRONG_ANSWER, (WRONG_FIRST * total)[:total])
            case "crash":
                result = CaseResult(Outcome.RUNTIME_ERROR, error="ZeroDivisionError: division by zero")
                return Verdict(Outcome.RUNTIME_ERROR, (result,) * total)
            case "broken":
                result = CaseResult(Outcome.COMPILE_ERROR)
                return Verdict(Outcome.COMPILE_ERROR, (result,) * total, error="SyntaxError: line 1")
            case _:
                return Verdict(Outcome.INFRASTRUCTURE, (CaseResult(Outcome.INFRASTRUCTURE),) * total)


class DepthScorer:
    """Scores a state 1/depth and counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[State] = []

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        self.asked += [state for _, state in items]
        return [1.0 / state.depth for _, state in items]


@pytest.fixture
def judge() -> LedgerJudge:
    return LedgerJudge()


@pytest.fixture
def model(judge: LedgerJudge) -> ReasoningModel:
    return ReasoningModel([ADD, ECHO], judge, max_steps=3)


def test_a_pseudocode_step_is_appended_and_nothing_is_run(model: ReasoningModel, judge: LedgerJudge) -> None:
    root = model.initial("add")
    (step,) = model.advance([(root, DEFINE)])
    assert step.state == root.then(Step(ActionType.DEFINE, "function add(a, b)"))
    assert (step.reward, step.done, step.feedback, step.verdict) == (0.0, False, "", None)
    assert judge.batches == []


def test_committed_code_is_judged_in_one_batch_without_doubles(
    model: ReasoningModel, judge: LedgerJudge
) -> None:
    root, other = model.initial("add"), model.initial("echo")
    steps = model.advance(
        [(root, code("right")), (other, code("right")), (root, DEFINE), (root, code("right"))]
    )
    assert [step.terminated for step in steps] == [True, True, False, True]
    assert [step.reward for step in steps] == [1.0, 1.0, 0.0, 1.0]
    (batch,) = judge.batches
    assert [(item.code, item.entry_point, item.tests) for item in batch] == [
        ("right", "add", ADD.public_tests),
        ("right", None, ECHO.public_tests),
    ]


def test_verdicts_are_cached_by_problem_and_code(model: ReasoningModel, judge: LedgerJudge) -> None:
    root = model.initial("add")
    (first,) = model.advance([(root, code("half"))])
    (again,) = model.advance([(root, code("half"))])
    assert first == again
    model.advance([(model.initial("echo"), code("half"))])
    assert len(judge.batches) == 2


def test_the_step_limit_and_committed_code_terminate(model: ReasoningModel) -> None:
    state = model.initial("add")
    for _ in range(2):
        (step,) = model.advance([(state, DEFINE)])
        assert not step.done
        state = step.state
    (cut,) = model.advance([(state, DEFINE)])
    assert (cut.truncated, cut.terminated, cut.verdict) == (False, True, None)
    (committed,) = model.advance([(state, code("right"))])
    assert (committed.truncated, committed.terminated) == (False, True)


def test_no_step_follows_the_end(model: ReasoningModel) -> None:
    (end,) = model.advance([(model.initial("add"), code("right"))])
    with pytest.raises(UsageError, match="over"):
        model.advance([(end.state, DEFINE)])


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ("no header", "must start with a header"),
        ("### Step 1 (define)\n" + "x" * 20_000, "at most 16384"),
        ("### Step 1 (code)\nreturn 1", "needs a ```python block"),
        ("", "header"),
    ],
)
def test_an_unreadable_action_is_a_transition_with_feedback(
    model: ReasoningModel, action: str, sentence: str
) -> None:
    (step,) = model.advance([(model.initial("add"), action)])
    assert step.state.steps[-1].type is ActionType.MALFORMED
    assert sentence in step.feedback
    assert (step.reward, step.done) == (0.0, False)


def test_a_fence_inside_a_pseudocode_step_does_not_end_the_episode(model: ReasoningModel) -> None:
    (step,) = model.advance([(model.initial("add"), "### Step 1 (refine)\n```python\nright\n```\n")])
    assert not step.done
    assert step.state.steps[-1].type is ActionType.REFINE


def test_a_failure_of_the_judge_is_nan_and_never_cached(model: ReasoningModel, judge: LedgerJudge) -> None:
    pair = (model.initial("add"), code("flaky"))
    for _ in range(2):
        (step,) = model.advance([pair])
        assert math.isnan(step.reward)
        assert step.terminated
        assert step.verdict is not None
        assert step.verdict.outcome is Outcome.INFRASTRUCTURE
        assert "judge itself" in step.feedback
    assert len(judge.batches) == 2


def test_feedback_quotes_call_got_and_expected(model: ReasoningModel) -> None:
    root = model.initial("add")
    half, crash, broken, right = model.advance(
        [(root, code(program)) for program in ("half", "crash", "broken", "right")]
    )
    assert half.feedback == "1 of 2 public tests passed.\n- add(1, 2): got -1, expected 3"
    assert crash.feedback.splitlines()[1] == "- add(1, 2): runtime_error, ZeroDivisionError: division by zero"
    assert broken.feedback == "The program does not compile: SyntaxError: line 1"
    assert right.feedback == "2 of 2 public tests passed."


def test_feedback_is_bounded(judge: LedgerJudge) -> None:
    tests = tuple(CallTest(f"[{'9' * 10_000}]", "1") for _ in range(50))
    model = ReasoningModel([Problem("big", "?", "f", tests)], judge)
    (step,) = model.advance([(model.initial("big"), code("crash"))])
    assert len(step.feedback) < 2_000
    assert step.feedback.endswith("and 47 more")


def test_further_tests_count_and_only_their_number_is_told(judge: LedgerJudge) -> None:
    secret = AssertTest("assert add(12345, 1) == 12346")
    model = ReasoningModel([ADD], judge, tests={"add": [secret, secret]})
    (step,) = model.advance([(model.initial("add"), code("half"))])
    assert judge.batches[0][0].tests == (*ADD.public_tests, secret, secret)
    assert step.reward == 0.5
    assert "1 of 2 further tests passed." in step.feedback
    assert "12345" not in step.feedback


def test_scores_feed_the_process_terms_once_per_state(judge: LedgerJudge) -> None:
    scorer = DepthScorer()
    constants = rewards.RewardConstants(alpha=0.4, gamma=0.9)
    model = ReasoningModel(
        [ADD], judge, reward=partial(rewards.phi_reward, constants=constants), scorer=scorer
    )
    (first,) = model.advance([(model.initial("add"), DEFINE)])
    (second,) = model.advance([(first.state, DEFINE)])
    (end,) = model.advance([(second.state, code("right"))])
    assert [step.reward_terms["process"] for step in (first, second, end)] == [1.0, 0.5, pytest.approx(1 / 3)]
    # 0.4·1 + 0.6·(0.9·1 + 0.81·0.5 + 0.729/3)/3 = 0.4 + 0.6·1.548/3
    assert end.reward == pytest.approx(0.4 + 0.3096)
    assert [state.depth for state in scorer.asked] == [1, 2, 3]


def test_scores_are_forgotten_with_what_the_scorer_keeps(judge: LedgerJudge) -> None:
    forgotten: list[int] = []

    class Keeping(DepthScorer):
        def forget(self) -> None:
            forgotten.append(1)

    for scorer in (DepthScorer(), Keeping()):
        model = ReasoningModel([ADD], judge, scorer=scorer)
        for _ in range(2):
            model.advance([(model.initial("add"), DEFINE)])
            model.forget_scores()
        assert [state.depth for state in scorer.asked] == [1, 1]
    assert len(forgotten) == 2


def test_a_state_from_elsewhere_is_scored_along_its_whole_chain(judge: LedgerJudge) -> None:
    scorer = DepthScorer()
    model = ReasoningModel([ADD], judge, scorer=scorer)
    model.advance([(State("add", (Step(ActionType.DEFINE, "a"), Step(ActionType.MALFORMED, "b"))), DEFINE)])
    assert [state.depth for state in scorer.asked] == [1, 3]


@pytest.mark.parametrize("score", [1.5, -0.1, math.nan])
def test_a_score_outside_its_range_is_an_error(judge: LedgerJudge, score: float) -> None:
    class Broken:
        def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
            return [score for _ in items]

    model = ReasoningModel([ADD], judge, scorer=Broken())
    with pytest.raises(ScorerError, match="add"):
        model.advance([(model.initial("add"), DEFINE)])


def test_another_reward_shares_the_caches(model: ReasoningModel, judge: LedgerJudge) -> None:
    pair = (model.initial("add"), code("half"))
    model.advance([pair])
    other = model.with_reward(
        partial(rewards.sparse_outcome, constants=rewards.RewardConstants(alpha_compile=0.5))
    )
    assert (model.advance([pair])[0].reward, other.advance([pair])[0].reward) == (0.5, 0.75)
    assert len(judge.batches) == 1


def test_copies_share_the_handle_and_pickles_drop_the_caches(
    model: ReasoningModel, judge: LedgerJudge
) -> None:
    assert copy.deepcopy(model) is model
    assert copy.copy(model) is model
    model.advance([(model.initial("add"), code("right"))])
    twin = pickle.loads(pickle.dumps(model))
    assert twin.advance([(twin.initial("add"), code("right"))])[0].reward == 1.0
    assert len(judge.batches) == 1


def test_vanilla_takes_any_text_as_the_program(judge: LedgerJudge) -> None:
    model = ReasoningModel([ADD], judge, format=VANILLA, max_steps=1)
    (step,) = model.advance([(model.initial("add"), "right")])
    assert (step.terminated, step.reward) == (True, 1.0)


def test_bad_input_is_named(model: ReasoningModel, judge: LedgerJudge) -> None:
    with pytest.raises(UnknownNameError, match="nothing"):
        model.initial("nothing")
    with pytest.raises(UnknownNameError, match="foreign"):
        model.advance([(State("foreign"), DEFINE)])
    with pytest.raises(UsageError, match="twice"):
        ReasoningModel([ADD, ADD], judge)
    with pytest.raises(UsageError, match="at least one problem"):
        ReasoningModel([], judge)
    with pytest.raises(UsageError, match="max_steps"):
        ReasoningModel([ADD], judge, max_steps=0)


@pytest.mark.parametrize(
    ("program", "outcome", "told"),
    [
        ("def add(a, b):\n    return a + b", Outcome.PASS, "2 of 2 public tests passed."),
        ("def add(a, b):\n    return a - b", Outcome.WRONG_ANSWER, "- add(1, 2): got -1, expected 3"),
        ("def add(a, b):\n    return a / 0", Outcome.RUNTIME_ERROR, "ZeroDivisionError"),
        ("def add(a, b) return a", Outcome.COMPILE_ERROR, "does not compile"),
        ("def plus(a, b):\n    return a + b", Outcome.RUNTIME_ERROR, "add"),
        ("import sys\nsys.exit(0)", Outcome.RUNTIME_ERROR, "add(1, 2)"),
        ("def add(a, b):\n    return '\ud800'", Outcome.COMPILE_ERROR, "surrogates"),
        ("def add(a, b):\n    return '\0'", Outcome.COMPILE_ERROR, "null bytes"),
    ],
)
def test_the_real_judge_decides(program: str, outcome: Outcome, told: str) -> None:
    model = ReasoningModel([ADD], default_judge())
    (step,) = model.advance([(model.initial("add"), code(program))])
    assert step.verdict is not None
    assert step.verdict.outcome is outcome
    assert told in step.feedback
    assert (step.terminated, step.reward) == (True, step.verdict.pass_ratio)
    assert (step.reward == 1.0) == (outcome is Outcome.PASS)
