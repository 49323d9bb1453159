"""Which search solves how much at equal spending, on trees whose values are known.

    python benchmarks/evidence/search.py [--out runs/synthetic] [--agent mcts --agent best_of_n …]
    python benchmarks/evidence/search.py --run runs/micro    # the same table of a run of `o1coder bench`,
                                                             # and why the others were not solved

200 synthetic problems, 40 of each kind, whose policy and tests are functions of a seed: what can be found is
known, and no language model is needed. Rows that a killed run has written are kept. By batch 0 the widening
of trees was chosen; each other batch has 200 trees and seeds of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from o1coder_gym.agents import Driver, Task, load_agent
from o1coder_gym.metrics.significance import LEVEL, permutation_test
from o1coder_gym.reporting.results import ResultRow, read_results
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import read_rows
from o1coder_gym.specs import name_of
from o1coder_gym.types import (
    ActionType,
    CaseResult,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    State,
    Step,
    Transition,
    Verdict,
)

AGENTS = (
    "best_of_n",
    "mcts",
    "puct",
    "ab_mcts",
    "beam",
    "diverse_beam",
    "epsilon_greedy",
    "random",
)
BASELINE = "best_of_n"
TOKENS = (512, 1024, 2048, 4096, 8192)
TREES = 40
"""Of each kind, in a batch."""
SEEDS = 1000
"""Batch b has the seeds from b times this on."""
TESTS = 8


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of tree: D steps to a program, of which some are decided by a choice among B ideas.

    Attributes:
        name: Shown in the table.
        weights: Of the B ideas at every step, the policy's; their order is shuffled where `shuffled`.
        depth: D.
        decided: Steps that matter: how many of them have one right idea; the others do not matter.
        rare: Whether the right idea is never the likeliest.
        credit: What passes tests before all is right: each ``right`` idea, each that is the ``usual`` one,
            which misleads where the right one is rare, or ``nothing``.
        paraphrases: Wordings of an idea; with many, no two samples are the same step.
    """

    name: str
    weights: tuple[float, ...]
    depth: int
    decided: int
    rare: bool = False
    credit: Literal["right", "usual", "nothing"] = "right"
    paraphrases: int = 1


_SHARP = (0.94, 0.02, 0.02, 0.02)
KINDS = (
    Kind("several choices, partial credit", (0.4, 0.3, 0.2, 0.1), 4, 4),
    Kind("several choices in fresh words", (0.4, 0.3, 0.2, 0.1), 4, 3, paraphrases=10**6),
    Kind("sharp: one rare step decides, tests mislead", _SHARP, 4, 1, rare=True, credit="usual"),
    Kind("sharp: two rare steps, partial credit", _SHARP, 4, 2, rare=True),
    Kind("sharp, in fresh words", _SHARP, 4, 1, rare=True, credit="nothing", paraphrases=10**6),
)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is right in one tree: the right idea by step; steps that do not matter are left out."""

    kind: Kind
    right: dict[int, int]

    def passed(self, ideas: Sequence[int]) -> int:
        """Returns how many of the tests a program of these ideas passes."""
        got = sum(ideas[step] == idea for step, idea in self.right.items())
        if got == len(self.right):
            return TESTS
        shares = {"right": got / len(self.right), "usual": ideas.count(0) / len(ideas), "nothing": 0.0}
        return TESTS // 4 + int(shares[self.kind.credit] * TESTS / 2)


@cache
def truth(task_id: str) -> Truth:
    """Returns what is right in the tree of a name ``KIND/NUMBER``."""
    place, _, number = task_id.partition("/")
    kind = KINDS[int(place)]
    dice = random.Random(f"tree {place} {number}")
    steps = dice.sample(range(kind.depth), kind.decided)
    first = 1 if kind.rare else 0
    return Truth(kind, {step: dice.randrange(first, len(kind.weights)) for step in steps})


def ideas(state: State) -> list[int]:
    """Returns the ideas of the steps so far."""
    return [int(step.text.partition(":")[0]) for step in state.steps]


class Trees:
    """Policy and process of all synthetic problems."""

    parallel = 1

    def problem(self, task_id: str, /) -> Problem:
        """Returns a problem of that name."""
        return Problem(task_id, "a question")

    def initial(self, task_id: str, /) -> State:
        """Returns its root."""
        return State(task_id)

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        """Samples ideas by the requests' seeds, 20 to 60 tokens each."""
        return [self._draw(request) for request in requests]

    def _draw(self, request: PolicyRequest) -> tuple[Proposal, ...]:
        kind, most = truth(request.problem.task_id).kind, request.sampling.max_tokens
        dice = random.Random(request.seed)
        samples = []
        for _ in range(request.n):
            (idea,) = dice.choices(range(len(kind.weights)), kind.weights)
            wording = dice.randrange(kind.paraphrases)
            tokens = 20 + random.Random(f"{idea}:{wording}").randrange(41)
            logprob = math.log(kind.weights[idea] / kind.paraphrases)
            cut = tokens > most
            samples.append(
                Proposal(f"{idea}:{wording}", min(tokens, most), logprob, finish="length" if cut else "stop")
            )
        return tuple(samples)

    def advance(self, pairs: Sequence[tuple[State, str]], /) -> list[Transition]:
        """Takes steps; the last one commits the program."""
        return [self._take(state, action) for state, action in pairs]

    def _take(self, state: State, action: str) -> Transition:
        tree = truth(state.problem_id)
        if state.depth + 1 < tree.kind.depth:
            return Transition(state.then(Step(ActionType.DEFINE, action)), 0.0, False, False)
        after = state.then(Step(ActionType.CODE, action))
        passed = tree.passed(ideas(after))
        tests = [Outcome.PASS if i < passed else Outcome.WRONG_ANSWER for i in range(TESTS)]
        outcome = Outcome.PASS if passed == TESTS else Outcome.WRONG_ANSWER
        return Transition(
            after, passed / TESTS, True, False, verdict=Verdict(outcome, tuple(map(CaseResult, tests)))
        )


def measure(agent: str, tokens: int, seed: int, batch: int) -> dict[str, Any]:
    """Runs an agent on all trees of a batch; returns which it solved, and what it spent."""
    tasks = [
        Task(f"{kind}/{number}", load_agent(agent), Budget(tokens=tokens), name=agent)
        for kind in range(len(KINDS))
        for number in range(batch * TREES, (batch + 1) * TREES)
    ]
    trees = Trees()
    results = Driver(trees, trees, seed=seed).run(tasks)
    errors = [result.error for result in results if result.error]
    if errors:
        raise errors[0]
    return {
        "agent": agent,
        "tokens": tokens,
        "seed": seed,
        "batch": batch,
        "solved": [int(one.result is not None and one.result.value == 1.0) for one in results],
        "spent": sum(one.usage.tokens for one in results) / (len(tasks) * tokens),
    }


def cell(rows: Sequence[dict[str, Any]], baseline: Sequence[dict[str, Any]], part: slice) -> str:
    """Returns problems solved, the mean over the seeds; bold, with p, where it differs from the baseline."""
    solved = [sum(of) for of in zip(*(row["solved"][part] for row in rows), strict=True)]
    others = [sum(of) for of in zip(*(row["solved"][part] for row in baseline), strict=True)]
    p = permutation_test([mine - theirs for mine, theirs in zip(solved, others, strict=True)])
    shown = f"{sum(solved) / len(rows):.4g}"
    return f"**{shown}** (p {p:.1g})" if p < LEVEL else shown


def table(rows: Sequence[dict[str, Any]], part: slice) -> str:
    """Returns a table of problems solved by agent and budget."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["seed"]):
        found.setdefault((row["agent"], row["tokens"]), []).append(row)
    budgets = sorted({tokens for _, tokens in found})
    lines = [f"| agent | {' | '.join(map(str, budgets))} | spent |", "|---" * (len(budgets) + 2) + "|"]
    for agent in dict.fromkeys(row["agent"] for row in rows):
        cells = [
            cell(found[agent, tokens], found[BASELINE, tokens], part) if (agent, tokens) in found else ""
            for tokens in budgets
        ]
        spent = [row["spent"] for row in rows if row["agent"] == agent]
        lines.append(f"| `{agent}` | {' | '.join(cells)} | {min(spent):.1%} to {max(spent):.1%} |")
    return "\n".join(lines)


def of_run(folder: Path) -> list[dict[str, Any]]:
    """Returns the rows of a run of ``o1coder bench`` in the form of `measure`, agents by their bare names."""
    found: dict[tuple[str, int, int], list[ResultRow]] = {}
    for row in sorted(read_results(folder), key=lambda row: row.task_id):
        found.setdefault((name_of(row.agent), row.budget.tokens or 0, row.seed), []).append(row)
    return [
        {
            "agent": agent,
            "tokens": tokens,
            "seed": seed,
            "solved": [int(row.solved) for row in rows],
            "spent": sum(row.usage.tokens for row in rows) / (len(rows) * tokens),
        }
        for (agent, tokens, seed), rows in found.items()
    ]


def unsolved(folder: Path) -> str:
    """Returns a table of what was not solved, by agent and budget: misled + not found.

    Misled: a program passed all that its agent saw, and failed hidden tests; no search can see that. Not
    found: no such program was written, which is what one search can do better than another.
    """
    rows = [row for row in read_results(folder) if not row.solved]
    budgets = sorted({row.budget.tokens or 0 for row in rows})
    lines = [f"| agent | {' | '.join(map(str, budgets))} |", "|---" * (len(budgets) + 1) + "|"]
    for agent in dict.fromkeys(row.agent for row in rows):
        failed = [[row for row in rows if (row.agent, row.budget.tokens) == (agent, one)] for one in budgets]
        misled = [sum(row.value >= 1.0 for row in some) for some in failed]
        cells = [f"{count} + {len(some) - count}" for count, some in zip(misled, failed, strict=True)]
        lines.append(f"| `{name_of(agent)}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Runs what is missing, and prints a table of all trees and one of each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/synthetic"))
    parser.add_argument("--agent", action="append")
    parser.add_argument("--tokens", type=int, nargs="+", default=TOKENS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--run", type=Path)
    asked = parser.parse_args()
    if asked.run is not None:
        print(table(of_run(asked.run), slice(None)), unsolved(asked.run), sep="\n\n")
        return
    agents = list(dict.fromkeys([BASELINE, *(asked.agent or AGENTS)]))
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / "rows.jsonl"
    rows = [row for row in read_rows(path) if row.get("batch", 0) == asked.batch]
    done = {(row["agent"], row["tokens"], row["seed"]) for row in rows}
    seeds = range(SEEDS * asked.batch, SEEDS * asked.batch + asked.seeds)
    for tokens, agent, seed in itertools.product(asked.tokens, agents, seeds):
        if (agent, tokens, seed) not in done:
            rows.append(measure(agent, tokens, seed, asked.batch))
            with path.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    rows = [row for row in rows if row["agent"] in agents and row["tokens"] in asked.tokens]
    print(f"\nall {len(KINDS) * TREES} trees\n\n{table(rows, slice(None))}")
    for place, kind in enumerate(KINDS):
        print(f"\n{TREES} trees, {kind.name}\n\n{table(rows, slice(place * TREES, (place + 1) * TREES))}")


if __name__ == "__main__":
    main()
