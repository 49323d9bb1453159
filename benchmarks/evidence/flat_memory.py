"""Whether a long run grows: many searches on the fake engine, with journal and recorder, RSS over time.

    python benchmarks/evidence/flat_memory.py [--tasks 10000] [--tokens 2048] [--agent mcts] [--out runs/flat]

The programs are not executed; a verdict is drawn by the program's text. A row is printed for each tenth of
the tasks. A run that was killed goes on where it stopped.
"""

from __future__ import annotations

import argparse
import resource
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from o1coder_gym.agents import Driver, Task, load_agent
from o1coder_gym.agents.driver.recordings import Recorder
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.policies import load_policy
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import CallTest, CaseResult, Outcome, Problem, Submission, Verdict

DONE = "done"
"""Name of the file of finished tasks."""


class Dice:
    """A judge that runs nothing: one program in eight passes."""

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Verdict]:
        """Draws a verdict by the program's text."""
        return [self._one(submission) for submission in submissions]

    def _one(self, submission: Submission) -> Verdict:
        passed = zlib.crc32(submission.code.encode()) % 8 == 0
        outcome = Outcome.PASS if passed else Outcome.WRONG_ANSWER
        return Verdict(outcome, tuple(CaseResult(outcome) for _ in submission.tests))


def rss_mb() -> float:
    """Returns the resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    """Runs what is missing; prints tasks, seconds, memory and journal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--agent", default="mcts")
    parser.add_argument("--out", type=Path, default=Path("runs/flat"))
    asked = parser.parse_args()
    names = [f"flat/{number}" for number in range(asked.tasks)]
    problems = [Problem(name, "Return a number.", "answer", (CallTest("[]", "1"),)) for name in names]
    model = ReasoningModel(problems, Dice())
    config = {"tasks": asked.tasks, "tokens": asked.tokens, "agent": asked.agent}
    recorder, started = Recorder(), time.monotonic()
    with RunFolder.open(asked.out, config, resume=True) as folder:
        known = {row["task"] for row in folder.rows(DONE)}
        driver = Driver(model, load_policy("fake:"), journal=folder, observer=recorder)

        def tasks() -> Iterator[Task]:
            agent, budget = load_agent(asked.agent), Budget(tokens=asked.tokens)
            yield from (Task(name, agent, budget) for name in names if name not in known)

        print("| tasks | s | RSS, MB | journal, MB |\n|---|---|---|---|", flush=True)
        for count, finished in enumerate(driver.stream(tasks()), start=len(known) + 1):
            recorder.recordings.pop(finished.task.key, None)
            folder.append(DONE, {"task": finished.task.task_id, "tokens": finished.usage.tokens})
            if count % max(1, asked.tasks // 10) == 0:
                size = (asked.out / "answers.jsonl").stat().st_size / 1e6
                seconds = time.monotonic() - started
                print(f"| {count:,} | {seconds:.0f} | {rss_mb():.0f} | {size:.0f} |", flush=True)


if __name__ == "__main__":
    main()
