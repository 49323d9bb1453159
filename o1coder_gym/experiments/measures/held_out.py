"""Quality of a policy on held-out problems: pass@1 on hidden tests, greedy and sampled.

What a policy does on problems by itself: format, steps, and programs judged on hidden tests.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from o1coder_gym.agents.best_of_n import best_of_n
from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.recordings import Recorder
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.agents.greedy import greedy
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import InfrastructureError
from o1coder_gym.metrics import paired_difference
from o1coder_gym.metrics.estimates import ROUGH, estimate_share
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.hidden_tests import Evaluation
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.executors import cut, load_executor
from o1coder_gym.runs.seeds import SeedRule, derive_stream
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import StepFormat, is_prose, load_format
from o1coder_gym.types import ActionType, Outcome, Sampling, SearchResult
from o1coder_gym.types.protocols import Judge, Policy


class HeldOut:
    """Held-out problems and the judge that knows their hidden tests."""

    def __init__(
        self,
        rows: Sequence[ProblemRow],
        judge: Judge | None = None,
        *,
        step_format: StepFormat,
        max_steps: int,
        sampling: Sampling,
        samples: int,
        seed_rule: SeedRule = derive_stream,
    ) -> None:
        """Prepares the measurement; nothing runs yet.

        Args:
            rows: The problems.
            judge: Runs programs; None is `default_judge`, that of whichever process measures.
            step_format: How steps are written.
            max_steps: Steps per episode.
            sampling: How steps are drawn in the sampled episodes.
            samples: Sampled episodes per problem, ≥ 1.
            seed_rule: Gives each sample its seed.
        """
        self._seed_rule = seed_rule
        self._format = step_format
        self._rows = rows
        self._judge = judge
        self._samples = samples
        self._sampling = sampling
        self._max_steps = max_steps

    @property
    def task_ids(self) -> list[str]:
        """The problems, in order."""
        return [row.problem.task_id for row in self._rows]

    def measure(self, policy: Policy, seed: int = 0) -> dict[str, float]:
        """Returns `means` of the policy on all problems."""
        return means(self.by_problem(policy, seed))

    def by_problem_on(self, executor: str, policy: str, seed: int = 0) -> Mapping[str, dict[str, float]]:
        """Measures as `by_problem`, in the processes of an executor.

        Args:
            executor: Its spec; other processes have judges of their own.
            policy: Spec of the policy.
            seed: As for `by_problem`.
        """
        run, workers = load_executor(executor)
        if executor == "serial":
            return self.by_problem(load_policy(policy, format=self._format.name), seed)
        pieces = [(self._of(rows), policy, seed) for rows in cut(self._rows, workers)]
        return {task_id: row for table in run(_measured, pieces) for task_id, row in table.items()}

    def by_problem(self, policy: Policy, seed: int = 0) -> Mapping[str, dict[str, float]]:
        """Returns the measures of each problem, by task id; one that the judge cannot decide is missing."""
        greedy = Sampling(0.0, top_p=1.0, top_k=0, max_tokens=self._sampling.max_tokens)
        derive = self._seed_rule
        tasks = [
            Task(
                row.problem.task_id,
                partial(best_of_n, n=1, sampling=sampling),
                name=name,
                # By sample, not by problem: every policy that is measured with this seed gets the same draws.
                seed=derive(seed, "held out", index),
            )
            for row in self._rows
            for name, sampling, count in (("greedy", greedy, 1), ("pass_rate", self._sampling, self._samples))
            for index in range(count)
        ]
        results = Driver(self._model, policy).run(tasks)
        for result in results:
            if result.error is not None:
                raise result.error
        found = [result.result for result in results]
        passed = iter(self._passed(tasks, found))
        table: dict[str, dict[str, Any]] = {}
        for task, result in zip(tasks, found, strict=True):
            row = table.setdefault(task.task_id, {"pass_rate": [], "greedy": [], "format_compliance": []})
            solved = next(passed)
            row[task.name] += [] if solved is None else [float(solved)]
            if task.name == "pass_rate":
                row["format_compliance"].append(float(self._well_formed(result)))
        return {
            task_id: {name: sum(values) / len(values) for name, values in row.items()}
            for task_id, row in table.items()
            if all(row.values())
        }

    @cached_property
    def _model(self) -> ReasoningModel:
        """The process over the problems, whose public tests judge a program once for all measurements."""
        problems, judge = [row.problem for row in self._rows], self._judge or default_judge()
        return ReasoningModel(problems, judge, format=self._format, max_steps=self._max_steps)

    def _of(self, rows: Sequence[ProblemRow]) -> HeldOut:
        """Returns the same measurement of some problems, for another process."""
        part = copy.copy(self)
        part.__dict__.pop("_model", None)
        part._rows, part._judge = rows, None
        return part

    def _passed(self, tasks: Sequence[Task], found: Sequence[SearchResult | None]) -> list[bool | None]:
        """Judges all programs on the hidden tests in one batch; None where the judge could not decide."""
        evaluation = Evaluation(self._rows, self._judge or default_judge())
        codes = [result.code if result is not None else None for result in found]
        pairs = [(task.task_id, code) for task, code in zip(tasks, codes, strict=True) if code is not None]
        verdicts = iter(evaluation.evaluate_batch(pairs))
        return [False if code is None else _solved(next(verdicts).outcome) for code in codes]

    def _well_formed(self, result: SearchResult | None) -> bool:
        state = result.state if result is not None else None
        if state is None or any(step.type is ActionType.MALFORMED for step in state.steps):
            return False
        return not is_prose(self._format, state.code or "")


def _solved(outcome: Outcome) -> bool | None:
    return outcome is Outcome.PASS if outcome.counted else None


def _measured(piece: tuple[HeldOut, str, int]) -> Mapping[str, dict[str, float]]:
    """Measures in a process of an executor."""
    held_out, policy, seed = piece
    return held_out.by_problem_on("serial", policy, seed)


def means(table: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Returns ``pass_rate`` (pass@1 of samples), ``greedy`` and ``format_compliance``, in [0, 1].

    The ends of their 95 % intervals over problems are ``pass_rate_low``, ``pass_rate_high`` and so on;
    ``pass_rate_rough`` is 1 where the interval is rough.

    Args:
        table: Measures by task id, as of `HeldOut.by_problem`.

    Raises:
        InfrastructureError: When the judge could decide on no problem.
    """
    rows = list(table.values())
    if not rows:
        raise InfrastructureError("nothing was measured: the judge could decide on no problem")
    measured: dict[str, float] = {}
    for name in rows[0]:
        share = estimate_share([row[name] for row in rows])
        measured |= {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high}
        measured |= {f"{name}_rough": float(share.rough)}
    return measured


@dataclass(frozen=True, slots=True)
class Gain:
    """The change of a measure from one policy to another on the same problems.

    Attributes:
        before: Mean of the first policy, in [0, 1].
        after: Mean of the second.
        gain: Mean of the paired differences, in [−1, 1].
        low: Lower end of its 95 % interval over problems.
        high: Upper end.
        rough: Whether the interval is, see `metrics.Estimate`.
    """

    before: float
    after: float
    gain: float
    low: float
    high: float
    rough: bool = False

    @property
    def ends(self) -> str:
        """Formats the interval in points, e.g. "+1.0% … +9.5%~"."""
        return f"{self.low:+.1%} … {self.high:+.1%}{ROUGH * self.rough}"

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        means = {"before": self.before, "after": self.after}
        return {**means, "gain": self.gain, "interval": [self.low, self.high], "rough": self.rough}


def gains(
    before: Mapping[str, Mapping[str, float]], after: Mapping[str, Mapping[str, float]]
) -> dict[str, Gain]:
    """Compares two policies problem by problem.

    Args:
        before: Measures in [0, 1] by task id, as of `HeldOut.by_problem`.
        after: Those of the other policy on the same problems.

    Returns:
        By name of the measure: ``pass_rate``, ``greedy``, ``format_compliance``.

    Raises:
        InfrastructureError: When the judge could decide on no problem of both.
    """
    found: dict[str, Gain] = {}
    shared = [task for task in before if task in after]  # either may miss what the judge could not decide
    if not shared:
        raise InfrastructureError("nothing can be compared: the judge could decide on no problem of both")
    for name in before[shared[0]]:
        one, two = ({task: table[task][name] for task in shared} for table in (before, after))
        paired = paired_difference(two, one)
        first, second = (sum(values.values()) / len(values) for values in (one, two))
        found[name] = Gain(first, second, paired.mean, paired.low, paired.high, paired.rough)
    return found


@dataclass(frozen=True, slots=True)
class PolicyQuality:
    """A policy's results with greedy decoding, one chain per problem.

    Attributes:
        solved: By problem, 1.0 if its program passes all hidden tests, else 0.0; without those that the judge
            could not decide.
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
        share = estimate_share(list(self.solved.values()))
        return {
            "solved": passed,
            "problems": total,
            "pass@1": share.value,
            "interval": [share.low, share.high],
            "rough": share.rough,
            "compliance": self.compliance,
            "committed": self.committed,
            "steps": None if self.steps != self.steps else self.steps,
        }


def policy_quality(
    policy: Policy, rows: Sequence[ProblemRow], judge: Judge, *, format: str, max_steps: int = 8
) -> PolicyQuality:
    """Lets a policy solve problems greedily and judges its programs on hidden tests.

    Args:
        policy: The policy to measure.
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
    solved: dict[str, bool | None] = {row.problem.task_id: False for row in rows}
    for (task_id, _), verdict in zip(programs, verdicts, strict=True):
        solved[task_id] = _solved(verdict.outcome)
    steps = [
        transition.state.steps[-1].type
        for recording in recorder.recordings.values()
        for transition in recording.transitions.values()
    ]
    depths = [state.depth for state in states if state.code is not None]
    return PolicyQuality(
        solved={task_id: float(passed) for task_id, passed in solved.items() if passed is not None},
        compliance=sum(step is not ActionType.MALFORMED for step in steps) / max(1, len(steps)),
        committed=len(programs) / len(rows),
        steps=sum(depths) / len(depths) if depths else float("nan"),
    )


def compared(before: PolicyQuality, after: PolicyQuality) -> dict[str, Any]:
    """Returns both as a JSON-able dict, with the paired difference of pass@1."""
    shared = before.solved.keys() & after.solved.keys()
    one, two = ({task: quality.solved[task] for task in shared} for quality in (before, after))
    difference = paired_difference(two, one)
    return {
        "before": before.to_row(),
        "after": after.to_row(),
        "difference": difference.mean,
        "interval": [difference.low, difference.high],
        "rough": difference.rough,
    }
