"""What an adversary is worth: selection among many samples, parting of pairs, and what its tests say.

    python benchmarks/evidence/adversary.py samples --problems mbpp --split test --n 64 --out runs/samples
    python benchmarks/evidence/adversary.py selection --programs runs/samples/programs.jsonl \
        --problems mbpp --split test --out runs/selection
    python benchmarks/evidence/adversary.py pairs --problems mbpp+ --out runs/pairs
    python benchmarks/evidence/adversary.py plus --problems humaneval+ --out runs/plus
    python benchmarks/evidence/adversary.py speed

Each goes on with what is in its folder. Where no stored samples are given, programs are drawn from the
reference and its mutants, which takes no model: *synthetic* samples, whose mistakes are single slips that do
not go together as those of a model do. What they say of a selector need not hold for a model's samples.
Limits of a problem are those of the judge, 2 s a test, also on the plus sets, which allow 30.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from o1coder_gym.agents.best_of_n import best_of_n
from o1coder_gym.agents.choosing import judged_programs
from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.recordings import Recorder
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.main import main_of
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.metrics.estimates import Estimate, estimate, estimate_share
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.progress import tracked
from o1coder_gym.sandbox import Judge, default_judge
from o1coder_gym.settings import AtLeastOne, Checked
from o1coder_gym.settings.groups import (
    DEFAULT_POLICY,
    FirstN,
    FormatName,
    MaxSteps,
    PolicySpec,
    Seed,
    SetName,
    Split,
)
from o1coder_gym.steps.formats import FORMATS
from o1coder_gym.tcg.adversary.attack import Attack, attacked, parted
from o1coder_gym.tcg.adversary.choosing import by_class, by_rulings
from o1coder_gym.tcg.adversary.inputs import by_mutation
from o1coder_gym.tcg.adversary.oracle import Ruling
from o1coder_gym.tcg.adversary.report import AttackSettings, Distinct, attack_programs, distinct
from o1coder_gym.tcg.adversary.signals import hard_tests
from o1coder_gym.tcg.checking.execution import Program, observe
from o1coder_gym.tcg.checking.question_comparison import same_of
from o1coder_gym.tcg.checking.selection import by_dual_agreement, by_majority, execute
from o1coder_gym.tcg.checking.solutions import read_programs
from o1coder_gym.tcg.inputs.proposals import propose_inputs
from o1coder_gym.tcg.mutation import MutationGenerator
from o1coder_gym.tcg.quality.mutants import mutants
from o1coder_gym.tcg.requests import TestRequest
from o1coder_gym.types import Outcome, Sampling, TestCase

PROGRAMS, ROWS = "programs", "rows"
_MUTANTS = 24
_SELECTORS = ("public", "codet", "majority", "classes", "rulings", "both")


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
class SamplesSettings(ProblemsToAttack):
    """Samples.

    Attributes:
        n: Programs per problem.
        temperature: Of sampling.
        max_tokens: Of a step.
    """

    policy: PolicySpec = DEFAULT_POLICY
    format: FormatName = "vanilla"
    n: AtLeastOne = 64
    max_steps: MaxSteps = 8
    temperature: float = 0.8
    max_tokens: AtLeastOne = 384


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionSettings(ProblemsToAttack):
    """Selection.

    Attributes:
        programs: JSON lines with task_id and code, in the order of sampling; without it: synthetic samples.
        sizes: Samples per problem.
        executions: Runs of a program on an input, per problem and size, for the adversary.
        first_test: Shows selectors the first public test alone.
    """

    programs: Path | None = None
    sizes: tuple[int, ...] = (4, 16, 64)
    executions: AtLeastOne = 4096
    first_test: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsSettings(ProblemsToAttack):
    """Pairs.

    Attributes:
        pairs: Pairs at most.
        per_problem: Pairs of one problem at most.
        executions: Runs of a program on an input, per pair.
    """

    programs: Path | None = None
    pairs: AtLeastOne = 300
    per_problem: AtLeastOne = 3
    executions: AtLeastOne = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedSettings(Checked):
    """Speed.

    Attributes:
        programs: Programs that are attacked.
    """

    programs: AtLeastOne = 24


def samples(settings: SamplesSettings) -> None:
    """Sample programs of a policy; every program that was committed is a row, in the order of sampling."""
    rows, folder = settings.rows(), settings.folder(f"{settings.policy} {settings.format} {settings.n}")
    done = {row["task_id"] for row in folder.rows("done")}
    waiting = [row.problem for row in rows if row.problem.task_id not in done]
    policy = load_policy(settings.policy, format=settings.format)
    form = FORMATS[settings.format]
    drawn = Sampling(temperature=settings.temperature, top_p=1.0, top_k=0, max_tokens=settings.max_tokens)

    def agent(problem: Any, root: Any) -> Any:
        return best_of_n(problem, root, n=settings.n, width=settings.n, sampling=drawn)

    for problem in tracked(waiting, len(waiting), "sampling"):
        recorder = Recorder()
        model = ReasoningModel([problem], default_judge(), format=form, max_steps=settings.max_steps)
        driver = Driver(model, policy, seed=settings.seed, observer=recorder)
        (result,) = driver.run([Task(problem.task_id, agent, name="samples")])
        found = judged_programs(recorder.recordings[result.task.key])
        codes = [one.state.code for one in found for _ in range(one.samples)]
        random.Random(problem.task_id).shuffle(codes)  # equal samples came together
        folder.append(PROGRAMS, *({"task_id": problem.task_id, "code": code} for code in codes))
        folder.append("done", {"task_id": problem.task_id})


def selection(settings: SelectionSettings) -> None:
    """Choose among the first n samples by each selector; print the share of the gap that each closes."""
    rows, folder = settings.rows(), settings.folder(f"selection {settings.programs} {settings.first_test}")
    stored = read_programs(settings.programs) if settings.programs else {}
    done = {row["task_id"] for row in folder.rows(ROWS)}
    waiting = [row for row in rows if row.problem.task_id not in done]
    judge = default_judge()
    for row in tracked(waiting, len(waiting), "choosing"):
        if settings.programs and row.problem.task_id not in stored:
            continue
        codes = stored.get(row.problem.task_id) or synthetic(row, max(settings.sizes), settings.seed)
        for size in settings.sizes:
            if len(codes) >= size or size == min(settings.sizes):
                folder.append(ROWS, _chosen(judge, row, codes[:size], size, settings))
    print(_selection_table(list(folder.rows(ROWS)), "stored" if settings.programs else "synthetic"))


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


def _chosen(
    judge: Judge, row: ProblemRow, codes: Sequence[str], size: int, settings: SelectionSettings
) -> dict[str, Any]:
    """Returns the chance that each selector takes a right program; ties are drawn at random."""
    merged = distinct(codes)
    problem = row.problem
    shown = problem.public_tests[:1] if settings.first_test else problem.public_tests
    verdicts = judge.evaluate([submission(problem, code, (*shown, *row.tests)) for code in merged.codes])
    right = [verdict.outcome is Outcome.PASS for verdict in verdicts]
    public = [sum(one.outcome is Outcome.PASS for one in v.tests[: len(shown)]) for v in verdicts]
    best = [place for place in range(len(right)) if public[place] == max(public)]
    kept = Distinct(
        tuple(merged.codes[place] for place in best), tuple(merged.members[place] for place in best)
    )
    solved = [right[place] for place in best]
    found: dict[str, Any] = {"task_id": problem.task_id, "n": size, "distinct": len(best)}
    found["blind"] = _mean(right, merged.weights)
    found["oracle"] = float(any(right))
    found["public"] = _mean(solved, kept.weights)
    if found["public"] in (0.0, 1.0):  # all that may be chosen are alike, whoever chooses
        return found | dict.fromkeys(_SELECTORS, found["public"])
    return found | _by_each(judge, row, kept, solved, settings)


def _by_each(
    judge: Judge, row: ProblemRow, kept: Distinct, solved: Sequence[bool], settings: SelectionSettings
) -> dict[str, Any]:
    """Returns the choices among programs that the public tests leave, and the mistakes of the rulings."""
    problem, weights = row.problem, kept.weights
    copies = [place for place, weight in enumerate(weights) for _ in range(int(weight))]
    generator = MutationGenerator(judge, solutions=lambda _: [kept.codes[place] for place in copies])
    (made,) = generator.generate_batch([TestRequest(problem, 16, None, settings.seed)])
    matrix = execute(judge, problem, [kept.codes[place] for place in copies], made.tests)
    codet, majority = by_dual_agreement(matrix), by_majority(matrix)
    plan = AttackSettings(executions=settings.executions, shrink=False, seed=settings.seed)
    merged, found, ruled = attack_programs(judge, problem, [kept.codes[place] for place in copies], plan)
    where = [merged.codes.index(code) for code in kept.codes]
    classes, standing = by_class(found), by_rulings(found, ruled)
    first = [copies.index(place) for place in range(len(weights))]
    scores: dict[str, Sequence[Any]] = {
        "codet": [codet[place] for place in first],
        "majority": [majority[place] for place in first],
        "classes": [classes[place] for place in where],
        "rulings": [standing[place] for place in where],
        "both": [(round(standing[place], 9), classes[place]) for place in where],
    }
    chosen = {name: _mean(solved, _heaviest(weights, column)) for name, column in scores.items()}
    largest = found.partition.classes[0] if found.partition.classes else ()
    rightly = any(solved[kept.codes.index(merged.codes[place])] for place in largest)
    return {
        **chosen,
        "classes_found": len(found.partition.classes),
        "entropy": found.partition.entropy,
        "noisy": len(found.noisy),
        "executions": found.executions,
        "right_class": rightly,
        "rulings_right": mistakes(judge, row, found, ruled),
    }


def mistakes(judge: Judge, row: ProblemRow, found: Attack, ruled: Sequence[Ruling]) -> list[list[Any]]:
    """Returns for each ruling its confidence and whether the reference agrees; None where that fails."""
    inputs = tuple(one.input for one in ruled)
    if not inputs:
        return []
    same = same_of(row.problem)
    (seen,) = observe(judge, [Program(row.problem, row.reference or "", inputs)])
    return [
        [
            round(one.confidence, 4),
            None if known.output is None else one.output is not None and same(one.output, known.output),
        ]
        for one, known in zip(ruled, seen, strict=True)
    ]


def pairs(settings: PairsSettings) -> None:
    """Part pairs of a wrong program that passes the public tests and a right one, by so many executions."""
    rows, folder = settings.rows(), settings.folder(f"pairs {settings.programs}")
    stored = read_programs(settings.programs) if settings.programs else {}
    done = {row["task_id"]: row for row in folder.rows(ROWS)}
    count = sum(len(row["attack"]) for row in done.values())
    judge = default_judge()
    for row in tracked(rows, len(rows), "pairs"):
        if count >= settings.pairs:
            break
        if row.problem.task_id not in done:
            found = _pairs_of(judge, row, stored, settings)
            count += len(found["attack"])
            folder.append(ROWS, found)
    print(_pairs_table(list(folder.rows(ROWS)), settings))


def _pairs_of(
    judge: Judge, row: ProblemRow, stored: Mapping[str, Sequence[str]], settings: PairsSettings
) -> dict[str, Any]:
    """Returns which pairs of a problem the attack parts, and which the mutation generator's draw alone."""
    problem = row.problem
    rng = random.Random(f"{problem.task_id} {settings.seed}")
    known = stored.get(problem.task_id)
    tried = [
        one.code for one in mutants(row.reference or "", entry_point=problem.entry_point, limit=_MUTANTS)
    ]
    codes = [*dict.fromkeys(known or tried)]
    rng.shuffle(codes)
    right, wrong = _divided(judge, row, codes)
    right = row.reference if not known else next(iter(right), row.reference)
    found: dict[str, Any] = {"task_id": problem.task_id, "attack": [], "draw": [], "executions": []}
    for code in wrong[: settings.per_problem]:
        programs = [right or "", code]
        rng.shuffle(programs)
        batches = by_mutation(problem, programs, settings.seed)
        draw = [
            one
            for group in propose_inputs(problem, None, settings.executions // 2, settings.seed)
            for one in group
        ]
        for name, inputs in (("attack", batches), ("draw", iter([tuple(draw)]))):
            made = attacked(
                judge, problem, programs, inputs, same=same_of(problem), executions=settings.executions
            )
            found[name].append(bool(parted(made, 0, 1)))
            if name == "attack":
                found["executions"].append(made.executions)
    return found


def _divided(judge: Judge, row: ProblemRow, codes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the programs that are right, and those that pass the public tests and yet are wrong."""
    problem, public = row.problem, len(row.problem.public_tests)
    tests = (*problem.public_tests, *row.tests)
    verdicts = judge.evaluate([submission(problem, code, tests) for code in codes], stop_at_failure=True)
    right = [code for code, v in zip(codes, verdicts, strict=True) if v.outcome is Outcome.PASS]
    wrong = [
        code
        for code, v in zip(codes, verdicts, strict=True)
        if v.outcome in (Outcome.WRONG_ANSWER, Outcome.RUNTIME_ERROR)
        and all(one.outcome is Outcome.PASS for one in v.tests[:public])
    ]
    return right, wrong


def plus(settings: SelectionSettings) -> None:
    """Judge programs by the tests that survive an attack; print their agreement with the hidden tests."""
    rows, folder = settings.rows(), settings.folder(f"plus {settings.programs}")
    stored = read_programs(settings.programs) if settings.programs else {}
    done = {row["task_id"] for row in folder.rows(ROWS)}
    waiting = [row for row in rows if row.problem.task_id not in done]
    judge = default_judge()
    size = max(settings.sizes)
    for row in tracked(waiting, len(waiting), "attacking"):
        codes = stored.get(row.problem.task_id) or synthetic(row, size, settings.seed)
        folder.append(ROWS, _agreement(judge, row, codes[:size], settings))
    print(_plus_table(list(folder.rows(ROWS))))


def _agreement(
    judge: Judge, row: ProblemRow, codes: Sequence[str], settings: SelectionSettings
) -> dict[str, Any]:
    """Attacks the programs that pass the public tests; others are judged by the tests that survive.

    Of stored programs the first half is attacked; of synthetic ones all, and other mutants are judged.
    """
    slips = mutants(row.reference or "", entry_point=row.problem.entry_point, limit=_MUTANTS)
    fresh = [row.reference or "", *(one.code for one in slips if one.code not in codes)]
    half = len(codes) if not settings.programs else len(codes) // 2
    tried, held = codes[:half], codes[half:] if settings.programs else fresh
    right, wrong = _divided(judge, row, [*dict.fromkeys([*tried, *held])])
    passing = [code for code in tried if code in right or code in wrong]
    plan = AttackSettings(executions=settings.executions, shrink=False, seed=settings.seed)
    _, _, ruled = attack_programs(judge, row.problem, passing, plan)
    tests: tuple[TestCase, ...] = hard_tests(row.problem, ruled).tests
    counts = {"tp": 0, "fn": 0, "tn": 0, "fp": 0}
    others = [code for code in dict.fromkeys(held) if tests and (code in right or code in wrong)]
    verdicts = judge.evaluate([submission(row.problem, code, tests) for code in others])
    for code, verdict in zip(others, verdicts, strict=True):
        accepted = verdict.outcome is Outcome.PASS
        counts[("tp" if accepted else "fn") if code in right else ("fp" if accepted else "tn")] += 1
    return {"task_id": row.problem.task_id, "tests": len(tests), "passing": len(passing), **counts}


def speed(settings: SpeedSettings) -> None:
    """Time the attack on small programs: runs of a program on an input per second."""
    row = load_rows("starter")[0]
    found = [one.code for one in mutants(row.reference or "", entry_point=row.problem.entry_point)]
    found = found[: settings.programs]
    with Judge() as judge:
        attacked(judge, row.problem, found[:2], by_mutation(row.problem, found, 0), same=same_of(row.problem))
        for seed in range(3):
            started, cpu = time.perf_counter(), time.process_time()
            made = attacked(
                judge,
                row.problem,
                found,
                by_mutation(row.problem, found, seed),
                same=same_of(row.problem),
                executions=20_000,
                patience=1 << 20,
            )
            wall = time.perf_counter() - started
            print(f"{made.executions / wall:8.0f} runs/s  ({made.executions} in {wall:.2f} s,", end=" ")
            print(f"{time.process_time() - cpu:.2f} s of CPU here, {judge.workers} workers)")


def _heaviest(weights: Sequence[float], scores: Sequence[Any]) -> list[float]:
    """Returns the weights of the highest score, 0 for the others."""
    best = max(scores)
    return [weight if one == best else 0.0 for weight, one in zip(weights, scores, strict=True)]


def _mean(right: Sequence[bool], weights: Sequence[float]) -> float:
    whole = sum(weights)
    return sum(w for one, w in zip(right, weights, strict=True) if one) / whole if whole else 0.0


def _selection_table(rows: Sequence[Mapping[str, Any]], kind: str) -> str:
    """Returns rates, the share of the gap between blind choice and oracle, and of what public tests leave."""
    lines = [f"{kind} samples"]
    for size in sorted({row["n"] for row in rows}):
        group = [row for row in rows if row["n"] == size]
        lines.append(f"\nn = {size}, {len(group)} problems")
        lines.append("| selector | solved, % | of the gap blind – oracle | of what public tests leave |")
        lines.append("| --- | --- | --- | --- |")
        for name in ("blind", *_SELECTORS, "oracle"):
            rate = estimate_share([row[name] for row in group]).percent()
            lines.append(
                f"| {name} | {rate} | {_gap(group, name, 'blind')} | {_gap(group, name, 'public')} |"
            )
        ruled = [one for row in group for one in row.get("rulings_right", []) if one[1] is not None]
        sure = [one for one in ruled if one[0] >= 0.5]
        attacked_rows = [row for row in group if "right_class" in row]
        lines.append(
            f"attacked: {len(attacked_rows)} problems; largest class right: "
            f"{_share([row['right_class'] for row in attacked_rows])}; rulings right: "
            f"{_share([one[1] for one in ruled])} of {len(ruled)}, of those with confidence ≥ 0.5: "
            f"{_share([one[1] for one in sure])} of {len(sure)}"
        )
    return "\n".join(lines)


def _gap(rows: Sequence[Mapping[str, Any]], name: str, low: str) -> str:
    """Says which share of the gap between two selectors a third closes, with an interval over problems."""

    def closed(indices: Sequence[int]) -> float:
        gap = sum(rows[i]["oracle"] - rows[i][low] for i in indices)
        return sum(rows[i][name] - rows[i][low] for i in indices) / gap if gap > 0 else float("nan")

    found = estimate({str(i): [i] for i in range(len(rows))}, closed)
    return found.percent(0)


def _share(values: Sequence[bool]) -> str:
    return estimate_share([float(one) for one in values]).percent(0) if values else "–"


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


app = new_app("adversary", "Measure what an adversary is worth.")
app.command(command(SamplesSettings, samples, "samples"))
app.command(command(SelectionSettings, selection, "selection"))
app.command(command(PairsSettings, pairs, "pairs"))
app.command(command(SelectionSettings, plus, "plus"))
app.command(command(SpeedSettings, speed, "speed"))

if __name__ == "__main__":
    sys.exit(main_of(app, None))
