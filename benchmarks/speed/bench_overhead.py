"""What the bench costs beside model and judge: the share of wall time in which neither of them works.

python benchmarks/speed/bench_overhead.py --policy hf:qwen2.5-coder-0.5b --limit 8
python benchmarks/speed/bench_overhead.py --policy "fake:step_s=0.02&depth=2" --limit 60
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.main import main_of
from o1coder_gym.experiments.benchmark import Tools, run_plan
from o1coder_gym.experiments.suite import ProblemChoice, Suite, parts
from o1coder_gym.policies import load_policy
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.sandbox import default_judge
from o1coder_gym.settings import AtLeastOne, Checked
from o1coder_gym.settings.groups import DEFAULT_POLICY, PolicySpec, SetName
from o1coder_gym.types import PolicyRequest, Proposal, Submission, Verdict
from o1coder_gym.types.protocols import Judge, Policy


class Stopwatch:
    """Adds up the time in which at least one call is in progress. Used by several threads."""

    def __init__(self) -> None:
        """Starts at 0."""
        self.seconds = 0.0
        self._running = 0
        self._since = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts the time inside."""
        with self._lock:
            if not self._running:
                self._since = time.perf_counter()
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self.seconds += time.perf_counter() - self._since


class TimedPolicy:
    """A policy whose calls are timed."""

    def __init__(self, policy: Policy, watch: Stopwatch) -> None:
        """Args: the policy, the watch."""
        self._policy = policy
        self._watch = watch
        self.parallel: int = getattr(policy, "parallel", 1)

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        """Samples steps."""
        with self._watch.running():
            return self._policy.propose(requests)


class TimedJudge:
    """A judge whose calls are timed."""

    def __init__(self, judge: Judge, watch: Stopwatch) -> None:
        """Args: the judge, the watch."""
        self._judge = judge
        self._watch = watch

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Verdict]:
        """Judges programs."""
        with self._watch.running():
            return self._judge.evaluate(submissions)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheadSettings(Checked):
    """Sweep.

    Attributes:
        limit: First N problems only.
        agents: Separated by spaces.
    """

    policy: PolicySpec = DEFAULT_POLICY
    problems: SetName = "starter"
    limit: AtLeastOne = 8
    agents: str = "best_of_n mcts ab_mcts"


def main(settings: OverheadSettings) -> None:
    """Run a sweep with all controls and print where the time went."""
    policy = settings.policy
    suite = Suite(
        problems=(ProblemChoice(settings.problems, None, settings.limit),),
        policies=(policy,),
        agents=tuple(settings.agents.split()),
        tokens=(256, 512, 1024),
    )
    (part,) = parts(suite)
    watch, sampler, judge = Stopwatch(), load_policy(policy), default_judge()
    problem = part.rows[0].problem
    judge.evaluate([Submission("", None, problem.public_tests[:0])])
    with tempfile.TemporaryDirectory() as out, RunFolder.open(Path(out), part.plan.to_row()) as folder:
        tools = Tools(TimedPolicy(sampler, watch), TimedJudge(judge, watch))
        start = time.perf_counter()
        rows = run_plan(part.plan, part.rows, tools, folder, lambda row: None)
        wall_s = time.perf_counter() - start
    other_s = wall_s - watch.seconds
    print(
        f"{len(rows)} rows in {wall_s:.2f} s: model and judge {watch.seconds:.2f} s, the bench beside them "
        f"{other_s:.3f} s ({other_s / wall_s:.2%}; {1e3 * other_s / len(rows):.2f} ms a row)"
    )


if __name__ == "__main__":
    sys.exit(main_of(command(OverheadSettings, main, name="bench_overhead")))
