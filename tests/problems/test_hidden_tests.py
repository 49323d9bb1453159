from collections.abc import Sequence
from pathlib import Path

import pytest

from o1coder_gym.agents import AGENTS, Driver, Task, load_agent
from o1coder_gym.envs.conformance.clauses import require_nothing_hidden
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import UnknownNameError
from o1coder_gym.policies.scripted import ScriptedPolicy
from o1coder_gym.problems.hidden_tests import Evaluation, HiddenVerdict
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.sandbox import default_judge
from o1coder_gym.types import AssertTest, CaseResult, Outcome, Problem, Submission, Verdict

PUBLIC = (AssertTest("assert double(1) == 2"),)
REFERENCE = "def double(x):\n    return x + x"
SECRET = "assert double(21) == 42"
ROW = ProblemRow(Problem("p", "double x", "double", PUBLIC), (*PUBLIC, AssertTest(SECRET)), REFERENCE)


SCRIPT = {"problems": {"p": {"depths": [[{"type": "code", "text": "cheat"}]]}}}


class CountingJudge:
    """Passes a test if the program's text says so; fails of its own if told."""

    def __init__(self) -> None:
        self.submissions: list[Submission] = []
        self.down = False

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Verdict]:
        self.submissions += submissions
        return [self._one(submission) for submission in submissions]

    def _one(self, submission: Submission) -> Verdict:
        if self.down:
            return Verdict(Outcome.INFRASTRUCTURE)
        known = {True: Outcome.PASS, False: Outcome.WRONG_ANSWER}
        results = tuple(
            CaseResult(known["right" in submission.code or i == 0]) for i, _ in enumerate(submission.tests)
        )
        failed = [result.outcome for result in results if result.outcome is not Outcome.PASS]
        return Verdict(failed[0] if failed else Outcome.PASS, results)


def test_only_outcome_and_counts_come_back() -> None:
    judge = CountingJudge()
    evaluation = Evaluation([ROW], judge)
    assert evaluation.evaluate("p", "right") == HiddenVerdict(Outcome.PASS, 2, 2)
    assert evaluation.evaluate("p", "cheat") == HiddenVerdict(Outcome.WRONG_ANSWER, 1, 2)
    assert judge.submissions[0] == Submission("right", "double", ROW.tests)
    assert HiddenVerdict.__slots__ == ("outcome", "passed", "total")
    assert evaluation.total("p") == 2


def test_a_candidate_is_run_once() -> None:
    judge = CountingJudge()
    evaluation = Evaluation([ROW], judge)
    first = evaluation.evaluate("p", "right")
    assert evaluation.evaluate("p", "right") == first
    assert evaluation.evaluate_batch([("p", "right"), ("p", "other"), ("p", "other")])[0] == first
    assert [submission.code for submission in judge.submissions] == ["right", "other"]


def test_every_access_is_logged(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, {}) as folder:
        evaluation = Evaluation([ROW], CountingJudge(), log=folder)
        for code in ("right", "cheat", "right"):
            evaluation.evaluate("p", code)
        rows = list(folder.rows("evaluation"))
    assert [row["repeat"] for row in rows] == [False, False, True]
    assert [row["passed"] for row in rows] == [2, 1, 2]
    assert SECRET not in (tmp_path / "evaluation.jsonl").read_text()


def test_a_resumed_run_does_not_ask_again(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, {}) as folder:
        first = Evaluation([ROW], CountingJudge(), log=folder).evaluate("p", "cheat")
    judge = CountingJudge()
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        assert Evaluation([ROW], judge, log=folder).evaluate("p", "cheat") == first
    assert judge.submissions == []


def test_a_failure_of_the_judge_is_not_remembered(tmp_path: Path) -> None:
    judge = CountingJudge()
    judge.down = True
    with RunFolder.open(tmp_path, {}) as folder:
        evaluation = Evaluation([ROW], judge, log=folder)
        assert evaluation.evaluate("p", "right") == HiddenVerdict(Outcome.INFRASTRUCTURE, 0, 2)
        judge.down = False
        assert evaluation.evaluate("p", "right").outcome is Outcome.PASS


def test_an_unknown_problem_is_an_error() -> None:
    evaluation = Evaluation([ROW], CountingJudge())
    with pytest.raises(UnknownNameError, match="'q'"):
        evaluation.evaluate("q", "right")
    with pytest.raises(UnknownNameError, match="'q'"):
        evaluation.total("q")


@pytest.mark.parametrize("name", AGENTS)
def test_nothing_that_a_search_holds_leads_to_hidden_tests(name: str) -> None:
    """A cheating agent with full access to model, policy and driver finds neither tests nor reference."""
    model = ReasoningModel([ROW.problem], CountingJudge())
    policy = ScriptedPolicy.from_rows(SCRIPT)
    driver = Driver(model, policy)
    (result,) = driver.run([Task("p", load_agent(name))])
    assert result.error is None
    require_nothing_hidden([model, policy, driver, result], [SECRET, REFERENCE])


def test_a_program_made_for_the_public_tests_gains_nothing() -> None:
    model = ReasoningModel([ROW.problem], CountingJudge())
    policy = ScriptedPolicy.from_rows(SCRIPT)
    (result,) = Driver(model, policy).run([Task("p", load_agent("best_of_n:n=2"))])
    assert result.result is not None
    assert result.result.value == 1.0  # the search believes in it
    assert result.result.code is not None
    hidden = Evaluation([ROW], CountingJudge()).evaluate("p", result.result.code)
    assert hidden == HiddenVerdict(Outcome.WRONG_ANSWER, 1, 2)


def test_without_hidden_tests_nothing_is_solved(tmp_path: Path) -> None:
    bare = ProblemRow(Problem("bare", "?", "f"), tests=())
    with RunFolder.open(tmp_path / "run", {}) as folder:
        evaluation = Evaluation([bare], default_judge(), log=folder)
        assert evaluation.evaluate("bare", "def f(): return None") == HiddenVerdict(Outcome.NO_TESTS, 0, 0)
        assert evaluation.evaluate("bare", "def f(:").outcome is Outcome.COMPILE_ERROR
    assert (
        HiddenVerdict(Outcome.PASS, 0, 0).outcome is Outcome.NO_TESTS
    )  # as logs of earlier versions have it
