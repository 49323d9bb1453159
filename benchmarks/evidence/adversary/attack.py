"""What an attack is worth: pairs parted, agreement of its tests with the hidden ones, and its speed.

    python benchmarks/evidence/adversary/attack.py pairs --problems mbpp+ --out runs/pairs
    python benchmarks/evidence/adversary/attack.py plus --problems humaneval+ --out runs/plus
    python benchmarks/evidence/adversary/attack.py speed

Each goes on with what is in its folder. Where no stored programs are given they are the reference and its
mutants: single slips, which do not go together as the mistakes of a model do.
Limits of a problem are those of the judge, 2 s a test, also on the plus sets, which allow 30.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.main import main_of
from o1coder_gym.metrics.estimates import Estimate, estimate_share
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.progress import tracked
from o1coder_gym.sandbox import Judge, default_judge
from o1coder_gym.settings import AtLeastOne, Checked
from o1coder_gym.settings.groups import FirstN, Seed, SetName, Split
from o1coder_gym.tcg.adversary.attack import attacked, parted
from o1coder_gym.tcg.adversary.inputs import by_mutation
from o1coder_gym.tcg.adversary.report import AttackSettings, attack_programs
from o1coder_gym.tcg.adversary.signals import hard_tests
from o1coder_gym.tcg.checking.question_comparison import as_compared, same_of
from o1coder_gym.tcg.checking.solutions import read_programs
from o1coder_gym.tcg.inputs.proposals import propose_inputs
from o1coder_gym.tcg.quality.mutants import mutants
from o1coder_gym.types import Outcome

PAIRS, ROWS = "pairs", "rows"
_WRONG = (Outcome.WRONG_ANSWER, Outcome.RUNTIME_ERROR)
_MUTANTS, _SAMPLES, _AT_ONCE = 24, 64, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemsToAttack(Checked):
    """Problems.

    Attributes:
        out: Run folder; a second run goes on with it.
    """

    out: Path
    problems: SetName
    split: Split = None
    limit: FirstN = None
    seed: Seed = 0

    def rows(self) -> list[ProblemRow]:
        """Returns the functions of the set that have a reference."""
        found = [row for row in load_rows(self.problems, split=self.split) if row.problem.entry_point]
        known = [row for row in found if row.reference is not None][: self.limit]
        return [replace(row, problem=replace(row.problem, meta={})) for row in known]

    def folder(self, kind: str) -> RunFolder:
        """Opens the run folder."""
        config = {"kind": kind, "problems": self.problems, "split": self.split, "seed": self.seed}
        return RunFolder.open(self.out, config, resume=self.out.exists())


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsSettings(ProblemsToAttack):
    """Pairs.

    Attributes:
        programs: JSON lines with task_id and code; without it: mutants of the reference.
        pairs: Pairs at most.
        per_problem: Pairs of one problem at most.
        executions: Runs of a program on an input, per pair.
    """

    programs: Path | None = None
    pairs: AtLeastOne = 300
    per_problem: AtLeastOne = 3
    executions: AtLeastOne = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PlusSettings(ProblemsToAttack):
    """Plus.

    Attributes:
        programs: JSON lines with task_id and code: the first half of a problem's is attacked, the tests that
            survive judge the other. Without it synthetic samples are attacked, and fresh mutants judged.
        executions: Runs of a program on an input, per problem.
    """

    programs: Path | None = None
    executions: AtLeastOne = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedSettings(Checked):
    """Speed.

    Attributes:
        programs: Programs that are attacked.
        executions: Runs of a program on an input, of each of three attacks.
    """

    programs: AtLeastOne = 24
    executions: AtLeastOne = 20_000


def synthetic(row: ProblemRow, n: int, seed: int) -> list[str]:
    """Draws n programs: the reference with a chance of the problem's own, else a mutant, some more often."""
    rng = random.Random(f"{row.problem.task_id} {seed}")
    wrong = [one.code for one in mutants(row.reference or "", entry_point=row.problem.entry_point)]
    rng.shuffle(wrong)
    chance = rng.random()
    weights = [1 / (rank + 1) for rank in range(len(wrong))]
    return [
        (row.reference or "") if not wrong or rng.random() < chance else rng.choices(wrong, weights)[0]
        for _ in range(n)
    ]


def pairs(settings: PairsSettings) -> None:
    """Find pairs of a right program and a wrong one that passes the public tests; part them.

    Pairs are kept in the folder, and attacked anew by each call: the attack takes a second a dozen.
    """
    rows, folder = settings.rows(), settings.folder(f"pairs {settings.programs}")
    stored = read_programs(settings.programs) if settings.programs else {}
    done = {row["task_id"]: row for row in folder.rows(PAIRS)}
    count = sum(len(row["wrong"]) for row in done.values())
    judge = default_judge()
    for row in tracked(rows, len(rows), "pairs"):
        if count >= settings.pairs:
            break
        if row.problem.task_id not in done:
            found = _pairs_of(judge, row, stored, settings)
            done[row.problem.task_id] = found
            count += len(found["wrong"])
            folder.append(PAIRS, found)
    asked = [row for row in rows if done.get(row.problem.task_id, {}).get("wrong")]
    parts = [
        _parted(judge, row, done[row.problem.task_id], settings) for row in tracked(asked, len(asked), "")
    ]
    print(_pairs_table(parts, settings))


def _pairs_of(
    judge: Judge, row: ProblemRow, stored: Mapping[str, Sequence[str]], settings: PairsSettings
) -> dict[str, Any]:
    """Returns a right program of a problem and some wrong ones that pass its public tests."""
    problem = row.problem
    rng = random.Random(f"{problem.task_id} {settings.seed}")
    known = stored.get(problem.task_id)
    slips = mutants(row.reference or "", entry_point=problem.entry_point, limit=_MUTANTS)
    codes = [*dict.fromkeys(known or [one.code for one in slips])]
    rng.shuffle(codes)
    right: list[str] = [] if known else [row.reference or ""]
    wrong: list[str] = []
    # A few at a time: the plus sets take seconds a program.
    for start in range(0, len(codes), _AT_ONCE):
        if right and len(wrong) >= settings.per_problem:
            break
        more, less = _divided(judge, row, codes[start : start + _AT_ONCE])
        right, wrong = [*right, *more], [*wrong, *less]
    found = wrong[: settings.per_problem] if right else []
    return {"task_id": problem.task_id, "right": next(iter(right), None), "wrong": found}


def _parted(
    judge: Judge, row: ProblemRow, found: Mapping[str, Any], settings: PairsSettings
) -> dict[str, list[bool]]:
    """Returns which pairs of a problem the attack parts, and which the mutation generator's draw alone."""
    problem = row.problem
    parts: dict[str, list[bool]] = {"attack": [], "draw": []}
    for place, code in enumerate(found["wrong"]):
        programs = [found["right"], code]
        random.Random(f"{problem.task_id} {settings.seed} {place}").shuffle(programs)
        drawn = propose_inputs(problem, None, settings.executions // 2, settings.seed)
        for name, batches in (
            ("attack", by_mutation(problem, programs, settings.seed)),
            ("draw", iter([tuple(chain.from_iterable(drawn))])),
        ):
            same, limit = same_of(problem), settings.executions
            asked, codes = as_compared(problem, programs)
            made = attacked(judge, asked, codes, batches, same=same, executions=limit)
            parts[name].append(bool(parted(made, 0, 1)))
    return parts


def _divided(judge: Judge, row: ProblemRow, codes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the programs that are right, and those that pass the public tests and yet are wrong."""
    problem = row.problem
    shown = judge.evaluate([submission(problem, code, problem.public_tests) for code in codes])
    passing = [code for code, one in zip(codes, shown, strict=True) if one.outcome is Outcome.PASS]
    asked = [submission(problem, code, row.tests) for code in passing]
    outcomes = [one.outcome for one in judge.evaluate(asked, stop_at_failure=True)] if asked else []
    right = [code for code, one in zip(passing, outcomes, strict=True) if one is Outcome.PASS]
    wrong = [code for code, one in zip(passing, outcomes, strict=True) if one in _WRONG]
    return right, wrong


def plus(settings: PlusSettings) -> None:
    """Judge programs by the tests that survive an attack; print their agreement with the hidden tests."""
    rows, folder = settings.rows(), settings.folder(f"plus {settings.programs}")
    stored = read_programs(settings.programs) if settings.programs else {}
    done = {row["task_id"] for row in folder.rows(ROWS)}
    waiting = [row for row in rows if row.problem.task_id not in done]
    judge = default_judge()
    for row in tracked(waiting, len(waiting), "attacking"):
        folder.append(ROWS, _agreement(judge, row, stored.get(row.problem.task_id), settings))
    print(_plus_table(list(folder.rows(ROWS))))


def _agreement(
    judge: Judge, row: ProblemRow, stored: Sequence[str] | None, settings: PlusSettings
) -> dict[str, Any]:
    """Attacks some programs that pass the public tests; others are judged by the tests that survive."""
    half = len(stored or ()) // 2
    tried = stored[:half] if stored else synthetic(row, _SAMPLES, settings.seed)
    slips = mutants(row.reference or "", entry_point=row.problem.entry_point, limit=_MUTANTS)
    fresh = [row.reference or "", *(one.code for one in slips if one.code not in tried)]
    held = stored[half:] if stored else fresh
    right, wrong = _divided(judge, row, [*dict.fromkeys([*tried, *held])])
    passing = [code for code in tried if code in right or code in wrong]
    plan = AttackSettings(executions=settings.executions, shrink=False, seed=settings.seed)
    _, _, ruled = attack_programs(judge, row.problem, passing, plan)
    tests = hard_tests(row.problem, ruled).tests
    counts = {"tp": 0, "fn": 0, "tn": 0, "fp": 0}
    others = [code for code in dict.fromkeys(held) if tests and (code in right or code in wrong)]
    verdicts = judge.evaluate([submission(row.problem, code, tests) for code in others])
    for code, verdict in zip(others, verdicts, strict=True):
        accepted = verdict.outcome is Outcome.PASS
        counts[("tp" if accepted else "fn") if code in right else ("fp" if accepted else "tn")] += 1
    return {"task_id": row.problem.task_id, "tests": len(tests), "passing": len(passing), **counts}


def speed(settings: SpeedSettings) -> None:
    """Time the attack on small programs: runs of a program on an input, per second and per CPU second."""
    row = load_rows("starter")[0]
    found = [one.code for one in mutants(row.reference or "", entry_point=row.problem.entry_point)]
    found = found[: settings.programs]
    runs = wall = 0.0
    before = _cpu()
    with Judge(2) as judge:
        attacked(judge, row.problem, found[:2], by_mutation(row.problem, found, 0), same=same_of(row.problem))
        for seed in range(3):
            started = time.perf_counter()
            made = attacked(
                judge,
                row.problem,
                found,
                by_mutation(row.problem, found, seed),
                same=same_of(row.problem),
                executions=settings.executions,
                patience=1 << 20,
            )
            wall += time.perf_counter() - started
            runs += made.executions
    # After the judge has ended, for its processes count once they were waited for; their start counts too.
    cpu = _cpu() - before
    print(
        f"{runs:.0f} runs in {wall:.1f} s: {runs / wall:.0f} a second; {runs / cpu:.0f} a second of CPU time"
    )


def _cpu() -> float:
    """Returns the CPU seconds of this process and of its ended children."""
    return sum(os.times()[:4])


def _pairs_table(rows: Sequence[Mapping[str, Any]], settings: PairsSettings) -> str:
    used = [row for row in rows if row["attack"]]
    lines = [f"{sum(len(row['attack']) for row in used)} pairs of {len(used)} problems"]
    for name in ("attack", "draw"):
        shares = [sum(row[name]) / len(row[name]) for row in used]
        found: Estimate = estimate_share(shares, [len(row[name]) for row in used])
        lines.append(f"parted by {name}, ≤ {settings.executions} executions: {found.percent()} %")
    return "\n".join(lines)


def _plus_table(rows: Sequence[Mapping[str, Any]]) -> str:
    used = [row for row in rows if row["tests"]]
    lines = [
        f"{len(used)} of {len(rows)} problems have tests that survive, {sum(r['tests'] for r in used)} in all"
    ]
    for name, hit, miss in (("TPR", "tp", "fn"), ("TNR", "tn", "fp")):
        group = [row for row in used if row[hit] + row[miss]]
        weights = [row[hit] + row[miss] for row in group]
        found = estimate_share([row[hit] / (row[hit] + row[miss]) for row in group], weights)
        lines.append(f"{name}: {found.percent()} %, {sum(weights)} programs of {len(group)} problems")
    return "\n".join(lines)


app = new_app("attack", "Measure what an attack is worth.")
app.command(command(PairsSettings, pairs, "pairs"))
app.command(command(PlusSettings, plus, "plus"))
app.command(command(SpeedSettings, speed, "speed"))

if __name__ == "__main__":
    sys.exit(main_of(app, None))
