"""The ten defects of the authors' code (listed in the project's account of the paper), one test each.

Each test fails on the behaviour that it describes.
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from o1coder_gym.agents import Driver, Task, Tree, mcts
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.policies.scripted import ScriptedPolicy
from o1coder_gym.rewards import Evidence, RewardConstants, phi, phi_reward
from o1coder_gym.sandbox import Judge
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import (
    ActionType,
    CallTest,
    CaseResult,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    State,
    StdioTest,
    Step,
    Submission,
    Verdict,
)

DOUBLE = Problem("double", "double x", "double", tuple(CallTest(f"[{i}]", f"{2 * i}") for i in range(4)))
RIGHT = "def double(x):\n    return 2 * x"
HALF = "def double(x):\n    return 2 * x if x < 2 else 0"
WRONG = "def double(x):\n    return -1"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=1) as running:
        yield running


def outcome(judge: Judge, code: str, *tests: Any, entry_point: str | None = "double") -> Outcome:
    (verdict,) = judge.evaluate([Submission(code, entry_point, tests or DOUBLE.public_tests)])
    return verdict.outcome


def search(judge: Judge, script: Any, draw: str = "cycle", **arguments: Any) -> Tree:
    model = ReasoningModel([DOUBLE], judge)
    policy = ScriptedPolicy.from_rows({"draw": draw, "problems": {"double": script}})
    (result,) = Driver(model, policy).run([Task("double", partial(mcts, **arguments))])
    assert result.error is None
    assert result.result is not None
    return result.result.tree


def code(text: str) -> dict[str, str]:
    return {"type": "code", "text": text}


def define(text: str) -> dict[str, str]:
    return {"type": "define", "text": text}


ALWAYS_EQUAL = """
class Yes:
    def __eq__(self, other):
        return True

def double(x):
    return Yes()
"""


def test_1_a_program_can_neither_end_the_search_nor_fake_equality(judge: Judge) -> None:
    assert outcome(judge, "import sys\nsys.exit(0)") is not Outcome.PASS
    assert outcome(judge, "def double(x):\n    raise SystemExit(0)") is not Outcome.PASS
    assert outcome(judge, ALWAYS_EQUAL) is not Outcome.PASS
    assert outcome(judge, RIGHT) is Outcome.PASS


def test_2_output_is_compared_in_order_and_in_full(judge: Judge) -> None:
    assert outcome(judge, "print('b\\na')", StdioTest("", "a\nb\n"), entry_point=None) is Outcome.WRONG_ANSWER
    assert outcome(judge, "print('5')", StdioTest("", "5 5 5\n"), entry_point=None) is Outcome.WRONG_ANSWER
    assert outcome(judge, "print('5 5 5')", StdioTest("", "5\n"), entry_point=None) is Outcome.WRONG_ANSWER
    assert outcome(judge, "print('a\\nb')", StdioTest("", "a\nb\n"), entry_point=None) is Outcome.PASS
    helper_first = "def twice(x):\n    return x + x\n\ndef double(x):\n    return twice(x)"
    assert outcome(judge, helper_first) is Outcome.PASS


def test_3_no_evaluation_cuts_the_tests(judge: Judge) -> None:
    tests = tuple(CallTest(f"[{i}]", f"{2 * i}") for i in range(15))
    problem = Problem("double", "double x", "double", tests)
    model = ReasoningModel([problem], judge)
    for program in (WRONG, RIGHT):
        action = PSEUDOCODE.render(Step(ActionType.CODE, program), 1)
        (transition,) = model.advance([(State("double"), action)])
        assert transition.verdict is not None
        assert transition.verdict.total == 15
    assert len(problem.public_tests) == 15


def test_4_siblings_of_code_are_kept_and_so_are_losing_programs(judge: Judge) -> None:
    script = {"depths": [[code(WRONG), define("multiply"), code(RIGHT), code(HALF)], [code(WRONG)]]}
    tree = search(judge, script, simulations=1, width=4)
    steps = {child.state.steps[-1].text: child for child in tree.root.children}
    assert set(steps) == {WRONG, "multiply", RIGHT, HALF}
    assert [steps[text].value for text in (WRONG, HALF, RIGHT)] == [0.0, 0.5, 1.0]
    # the root's value is the mean of all ends, not the best: (0 + 1/2 + 1 + the rollout's 0) / 4
    assert tree.root.mean == pytest.approx(1.5 / 4)


def test_5_the_label_of_a_passing_end_does_not_decay(judge: Judge) -> None:
    script = {"depths": [[define("a"), define("b"), code(RIGHT)], [code(WRONG), code(HALF), code(RIGHT)]]}
    tree = search(judge, script, "random", simulations=40, width=12)
    ends = [node for node in tree.nodes if node.verdict is Outcome.PASS]
    assert len(ends) == 3
    for node in ends:
        assert node.visits >= 1
        assert node.mean == 1.0


class Variety:
    """Thinks twice, then writes a program; no two texts are the same."""

    def __init__(self) -> None:
        self.calls = 0

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        self.calls += len(requests)
        return [tuple(self._one(request, i) for i in range(request.n)) for request in requests]

    def _one(self, request: PolicyRequest, sample: int) -> Proposal:
        mark = f"{request.seed}.{sample}"
        thinking = request.state.depth < 2
        step = Step(ActionType.DEFINE, mark) if thinking else Step(ActionType.CODE, f"{WRONG}  # {mark}")
        return Proposal(PSEUDOCODE.render(step, request.state.depth + 1), 10, -1.0)


class QuickJudge:
    """Fails everything, at once; counts its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Verdict]:
        self.batches.append(len(submissions))
        failed = (CaseResult(Outcome.WRONG_ANSWER),) * 4
        return [Verdict(Outcome.WRONG_ANSWER, failed) for _ in submissions]


def test_6_no_simulation_is_spent_on_a_known_end() -> None:
    policy = Variety()
    model = ReasoningModel([DOUBLE], QuickJudge())
    (result,) = Driver(model, policy).run([Task("double", partial(mcts, simulations=60, width=3))])
    assert result.result is not None
    assert result.result.tree.simulations == 60
    assert policy.calls >= 60
    ends = [node for node in result.result.tree.nodes if node.ended]
    assert {node.visits for node in ends} == {1}


def test_7_the_exponent_of_phi_starts_at_one_and_the_outcome_is_all_or_nothing() -> None:
    # α R + (1 − α) (1/m) Σ γ^j r^j with α = 0, m = 2, γ = 1/2: (1/2) (1/2 + 1/4); from γ^0 it would be 3/4
    assert phi(1.0, (1.0, 1.0), alpha=0.0, gamma=0.5) == pytest.approx(0.375)
    three_of_four = [Outcome.PASS] * 3 + [Outcome.WRONG_ANSWER]
    almost = Verdict(Outcome.WRONG_ANSWER, tuple(CaseResult(result) for result in three_of_four))
    reward = phi_reward(Evidence((0.0,), almost, truncated=False), RewardConstants(alpha=1.0))
    assert reward.value == 0.0  # τ_fail, not 3/4


def test_8_a_fence_inside_a_pseudocode_step_does_not_end_the_search(judge: Judge) -> None:
    fenced = "Return twice x:\n```python\ndef double(x): ...\n```\nNothing else."
    tree = search(judge, {"depths": [[define(fenced)], [code(RIGHT)]]}, simulations=1, width=1)
    thought, program = tree.nodes[1:]
    assert not thought.ended
    assert thought.state.steps[-1] == Step(ActionType.DEFINE, fenced)
    assert (program.parent, program.value) == (thought, 1.0)


def test_9_problems_nodes_and_tests_go_in_batches() -> None:
    class Batches(Variety):
        sizes: list[int] = []  # noqa: RUF012

        def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
            self.sizes.append(len(requests))
            return super().propose(requests)

    problems = [Problem(f"p{i}", "double x", "double", DOUBLE.public_tests) for i in range(16)]
    judge, policy = QuickJudge(), Batches()
    agent = partial(mcts, simulations=8, parallel=4)
    tasks = [Task(problem.task_id, agent) for problem in problems]
    Driver(ReasoningModel(problems, judge), policy, batch_tokens=10**6).run(tasks)
    assert sum(policy.sizes) / len(policy.sizes) > 16
    assert sum(judge.batches) / len(judge.batches) > 16


def test_10_what_the_search_writes_is_what_a_trainer_reads(judge: Judge) -> None:
    script = {"depths": [[define("multiply"), {"raw": "no step"}], [code(RIGHT), code(HALF)]]}
    row = search(judge, script, "random", simulations=6, width=8).to_row()
    tree = Tree.from_row(json.loads(json.dumps(row)))
    assert tree.to_row() == row
    assert len(tree.nodes) == 5
    for node in tree.nodes[1:]:
        written = PSEUDOCODE.render(node.state.steps[-1], node.state.depth)
        assert PSEUDOCODE.parse(written) == node.state.steps[-1]
