"""What a policy does on problems by itself: format, steps, and programs judged on hidden tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from o1coder_gym.agents import Driver, Task, greedy
from o1coder_gym.agents.driver.sweep import Recorder
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.metrics import paired_difference, wilson_interval
from o1coder_gym.problems.hidden_tests import Evaluation
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.protocols import Judge, Policy
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import ActionType, Outcome


@dataclass(frozen=True, slots=True)
class PolicyQuality:
    """How a policy did with greedy decoding, one chain per problem.

    Attributes:
        solved: By problem, 1.0 if its program passes all hidden tests, else 0.0.
        compliance: Steps that could be read ÷ steps written, in [0, 1].
        committed: Problems with a program ÷ problems.
        steps: Mean steps of the chains that committed a program, the code step included; NaN without one.
    """

    solved: Mapping[str, float]
    compliance: float
    committed: float
    steps: float

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        passed, total = int(sum(self.solved.values())), len(self.solved)
        return {
            "solved": passed,
            "problems": total,
            "pass@1": passed / total,
            "interval": list(wilson_interval(passed, total)),
            "compliance": self.compliance,
            "committed": self.committed,
            "steps": None if self.steps != self.steps else self.steps,
        }


def policy_quality(
    policy: Policy, rows: Sequence[ProblemRow], judge: Judge, *, format: str, max_steps: int = 8
) -> PolicyQuality:
    """Lets a policy solve problems greedily and judges its programs on hidden tests.

    Args:
        policy: What to measure.
        rows: Problems with hidden tests, ≥ 1.
        judge: Runs programs.
        format: Step format of the policy.
        max_steps: Longest chain.
    """
    model = ReasoningModel(
        [row.problem for row in rows], judge, format=load_format(format), max_steps=max_steps
    )
    recorder = Recorder()
    driver = Driver(model, policy, observer=recorder)
    done = driver.run([Task(row.problem.task_id, greedy) for row in rows])
    for finished in done:
        if finished.error is not None:
            raise finished.error
    states = [finished.result.state for finished in done if finished.result and finished.result.state]
    programs = [(state.problem_id, state.code) for state in states if state.code is not None]
    verdicts = Evaluation(rows, judge).evaluate_batch(programs)
    solved = {row.problem.task_id: 0.0 for row in rows}
    for (task_id, _), verdict in zip(programs, verdicts, strict=True):
        solved[task_id] = float(verdict.outcome is Outcome.PASS)
    steps = [
        transition.state.steps[-1].type
        for recording in recorder.recordings.values()
        for transition in recording.transitions.values()
    ]
    depths = [state.depth for state in states if state.code is not None]
    return PolicyQuality(
        solved=solved,
        compliance=sum(step is not ActionType.MALFORMED for step in steps) / max(1, len(steps)),
        committed=len(programs) / len(rows),
        steps=sum(depths) / len(depths) if depths else float("nan"),
    )


def compared(before: PolicyQuality, after: PolicyQuality) -> dict[str, Any]:
    """Returns both as a JSON-able dict, with the paired difference of pass@1."""
    difference = paired_difference(after.solved, before.solved)
    return {
        "before": before.to_row(),
        "after": after.to_row(),
        "difference": difference.mean,
        "interval": [difference.low, difference.high],
    }
