"""How good a policy is on held-out problems: pass@1 on hidden tests, greedy and sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from o1coder_gym.agents.best_of_n import best_of_n
from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.problems.hidden_tests import Evaluation
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.protocols import Judge, Policy
from o1coder_gym.steps.formats import StepFormat
from o1coder_gym.types import ActionType, Outcome, Sampling, SearchResult


class HeldOut:
    """Held-out problems and the judge that knows their hidden tests."""

    def __init__(
        self,
        rows: Sequence[ProblemRow],
        judge: Judge,
        *,
        step_format: StepFormat,
        max_steps: int,
        sampling: Sampling,
        samples: int,
    ) -> None:
        """Prepares the measurement; nothing runs yet.

        Args:
            rows: The problems.
            judge: Runs programs.
            step_format: How steps are written.
            max_steps: Steps per episode.
            sampling: How steps are drawn in the sampled episodes.
            samples: Sampled episodes per problem, ≥ 1.
        """
        self._rows = rows
        self._judge = judge
        self._samples = samples
        self._sampling = sampling
        self._model = ReasoningModel(
            [row.problem for row in rows], judge, format=step_format, max_steps=max_steps
        )

    def measure(self, policy: Policy, seed: int = 0) -> dict[str, float]:
        """Returns ``pass_rate`` (pass@1 of samples), ``greedy`` and ``format_compliance``, in [0, 1]."""
        rows = self.by_problem(policy, seed)
        return {
            name: sum(row[name] for row in rows.values()) / len(rows) for name in next(iter(rows.values()))
        }

    def by_problem(self, policy: Policy, seed: int = 0) -> Mapping[str, dict[str, float]]:
        """Returns the same numbers for each problem, by task id."""
        greedy = Sampling(0.0, top_p=1.0, top_k=0, max_tokens=self._sampling.max_tokens)
        tasks = [
            Task(
                row.problem.task_id, partial(best_of_n, n=1, sampling=sampling), name=name, seed=seed + index
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
            row[task.name].append(float(next(passed)))
            if task.name == "pass_rate":
                row["format_compliance"].append(float(_well_formed(result)))
        return {
            task_id: {name: sum(values) / len(values) for name, values in row.items()}
            for task_id, row in table.items()
        }

    def _passed(self, tasks: Sequence[Task], found: Sequence[SearchResult | None]) -> list[bool]:
        """Asks the hidden tests about all programs in one batch."""
        evaluation = Evaluation(self._rows, self._judge)
        codes = [result.code if result is not None else None for result in found]
        pairs = [(task.task_id, code) for task, code in zip(tasks, codes, strict=True) if code is not None]
        verdicts = iter(evaluation.evaluate_batch(pairs))
        return [code is not None and next(verdicts).outcome is Outcome.PASS for code in codes]


def _well_formed(result: SearchResult | None) -> bool:
    state = result.state if result is not None else None
    return state is not None and all(step.type is not ActionType.MALFORMED for step in state.steps)
