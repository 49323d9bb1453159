"""What selectors are worth among many samples of a problem: public tests, CodeT, behaviour, a PRM.

    python benchmarks/evidence/adversary/selection.py samples --problems mbpp --split test --n 64 \
        --out runs/samples
    python benchmarks/evidence/adversary/selection.py choose --programs runs/samples/programs.jsonl \
        --problems mbpp --split test --sizes 4,16,64 --out runs/selection

All selectors see the same samples. Each run goes on with what is in its folder. A row of ``--programs`` has
task_id and code, in the order of sampling; rows of `samples` also have the steps that a PRM reads. Without
stored samples programs are drawn from the reference and its mutants (`attack.synthetic`), which takes no
model: what that says of a selector need not hold for a model's samples.

Of the selectors `classes` is the weight of a program's class, `rulings` its standing on the inputs found,
`both` the two as `adversary=mutation` has them, `prm` the scorer's mean, `combined` is `both` with votes that
the scorer weighs, as ``select=prm_last&adversary=mutation`` has it; all of them after the public tests.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attack import ROWS, ProblemsToAttack, synthetic

from o1coder_gym.agents.best_of_n import best_of_n
from o1coder_gym.agents.choosing import judged_programs
from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.recordings import Recorder
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.main import main_of
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.metrics.estimates import estimate, estimate_share
from o1coder_gym.policies import load_policy
from o1coder_gym.prm import load_scorer
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.files import json_lines
from o1coder_gym.runs.progress import tracked
from o1coder_gym.sandbox import Judge, default_judge
from o1coder_gym.settings import AtLeastOne
from o1coder_gym.settings.groups import DEFAULT_POLICY, FormatName, MaxSteps, PolicySpec
from o1coder_gym.steps.formats import FORMATS
from o1coder_gym.tcg.adversary.attack import Attack, attacked
from o1coder_gym.tcg.adversary.choosing import by_class, by_rulings
from o1coder_gym.tcg.adversary.inputs import by_mutation
from o1coder_gym.tcg.adversary.oracle import Ruling, rulings
from o1coder_gym.tcg.adversary.report import Distinct, distinct
from o1coder_gym.tcg.checking.execution import Program, observe
from o1coder_gym.tcg.checking.question_comparison import as_compared, same_of
from o1coder_gym.tcg.checking.selection import by_dual_agreement, by_majority, execute
from o1coder_gym.tcg.checking.solutions import read_programs
from o1coder_gym.tcg.mutation import MutationGenerator
from o1coder_gym.tcg.requests import TestRequest
from o1coder_gym.types import ActionType, Outcome, Problem, Sampling, State, Step

PROGRAMS = "programs"
_SCORED = ("prm", "combined")
_SELECTORS = ("public", "codet", "majority", "classes", "rulings", "both", *_SCORED)


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
        sizes: Samples per problem; a problem of fewer programs has all of them.
        executions: Runs of a program on an input, per problem and size, for the adversary.
        first_test: Shows selectors the first public test alone.
        scorer: Process reward model, beside the others and combined with them.
    """

    programs: Path | None = None
    sizes: tuple[int, ...] = (4, 16, 64)
    executions: AtLeastOne = 4096
    first_test: bool = False
    scorer: str | None = None


def samples(settings: SamplesSettings) -> None:
    """Sample programs of a policy; every program that was committed is a row, in the order of sampling."""
    rows, folder = settings.rows(), settings.folder(f"{settings.policy} {settings.format} {settings.n}")
    done = {row["task_id"] for row in folder.rows("done")}
    # Of a problem that is not done there may be some: it is sampled again, and counts once.
    folder.keep(PROGRAMS, lambda row: row["task_id"] in done)
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
        states = [one.state for one in found for _ in range(one.samples)]
        random.Random(problem.task_id).shuffle(states)  # equal samples came together
        folder.append(PROGRAMS, *(_sample(state) for state in states))
        folder.append("done", {"task_id": problem.task_id})


def _sample(state: State) -> dict[str, Any]:
    return {"task_id": state.problem_id, "code": state.code, "steps": state.to_row()["steps"]}


def choose(settings: SelectionSettings) -> None:
    """Choose among the first n samples by each selector; print the share of the gap that each closes."""
    rows = settings.rows()
    folder = settings.folder(f"selection {settings.programs} {settings.first_test} {settings.scorer}")
    stored = read_samples(settings.programs) if settings.programs else {}
    written: dict[str, set[int]] = {}
    for row in folder.rows(ROWS):
        written.setdefault(row["task_id"], set()).add(row["n"])
    done = {task_id for task_id, sizes in written.items() if sizes >= {*settings.sizes}}
    folder.keep(ROWS, lambda row: row["task_id"] in done)
    asked = [row for row in rows if not settings.programs or row.problem.task_id in stored]
    waiting = [row for row in asked if row.problem.task_id not in done]
    judge = default_judge()
    scorer = load_scorer(settings.scorer) if settings.scorer else None
    for row in tracked(waiting, len(waiting), "choosing"):
        task_id = row.problem.task_id
        states = stored.get(task_id) or [
            _state(task_id, code) for code in synthetic(row, max(settings.sizes), settings.seed)
        ]
        drawn = states[: max(settings.sizes)]
        scores = scorer.score([(row.problem, state) for state in drawn]) if scorer else None
        found = [
            _chosen(judge, row, drawn[:n], scores and scores[:n], settings) | {"n": n} for n in settings.sizes
        ]
        folder.append(ROWS, *found)
    print(_selection_table(list(folder.rows(ROWS)), "stored" if settings.programs else "synthetic"))


def read_samples(path: Path) -> dict[str, list[State]]:
    """Reads samples: rows of `samples`, whose states are kept, or any file of whole programs."""
    rows = [json.loads(line) for line in json_lines(path)]
    if not all("steps" in row for row in rows):
        return {task: [_state(task, code) for code in codes] for task, codes in read_programs(path).items()}
    found: dict[str, list[State]] = {}
    for row in rows:
        found.setdefault(row["task_id"], []).append(State.from_row({**row, "problem_id": row["task_id"]}))
    return found


def _state(task_id: str, code: str) -> State:
    return State(task_id, (Step(ActionType.CODE, code),))


def _chosen(
    judge: Judge,
    row: ProblemRow,
    states: Sequence[State],
    scores: Sequence[float] | None,
    settings: SelectionSettings,
) -> dict[str, Any]:
    """Returns the chance that each selector takes a right program; ties are drawn at random."""
    merged = distinct([state.code or "" for state in states])
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
    found: dict[str, Any] = {"task_id": problem.task_id, "distinct": len(best)}
    found["blind"] = _mean(right, merged.weights)
    found["oracle"] = float(any(right))
    found["public"] = _mean(solved, kept.weights)
    if found["public"] in (0.0, 1.0):  # all that may be chosen are alike, whoever chooses
        return found | dict.fromkeys(_selectors(scores is not None), found["public"])
    columns = _by_votes(judge, problem, kept, settings)
    by_attack, measured = _by_attack(judge, row, kept, solved, scores, settings)
    chosen = {
        name: _mean(solved, _heaviest(kept.weights, column)) for name, column in (columns | by_attack).items()
    }
    return found | chosen | measured


def _selectors(scored: bool) -> tuple[str, ...]:
    return _SELECTORS if scored else tuple(name for name in _SELECTORS if name not in _SCORED)


def _by_votes(
    judge: Judge, problem: Problem, kept: Distinct, settings: SelectionSettings
) -> dict[str, Sequence[Any]]:
    """Returns the scores of the distinct programs by generated tests: CodeT's, and the majority's."""
    # A program drawn k times is k rows, as for the selectors of a search.
    copies = [place for place, weight in enumerate(kept.weights) for _ in range(int(weight))]
    programs = [kept.codes[place] for place in copies]
    generator = MutationGenerator(judge, solutions=lambda _: programs)
    (made,) = generator.generate_batch([TestRequest(problem, 16, None, settings.seed)])
    matrix = execute(judge, problem, programs, made.tests)
    first = [copies.index(place) for place in range(len(kept.codes))]
    codet, majority = by_dual_agreement(matrix), by_majority(matrix)
    return {"codet": [codet[place] for place in first], "majority": [majority[place] for place in first]}


def _by_attack(
    judge: Judge,
    row: ProblemRow,
    kept: Distinct,
    solved: Sequence[bool],
    scores: Sequence[float] | None,
    settings: SelectionSettings,
) -> tuple[dict[str, Sequence[Any]], dict[str, Any]]:
    """Returns the scores of the distinct programs by an attack, and what was seen of its rulings."""
    asked, codes = as_compared(row.problem, kept.codes)
    found = attacked(
        judge,
        asked,
        codes,
        by_mutation(row.problem, kept.codes, settings.seed),
        same=same_of(row.problem),
        weights=kept.weights,
        executions=settings.executions,
    )
    ruled = rulings(row.problem, found)
    columns: dict[str, Sequence[Any]] = {"classes": by_class(found), "rulings": by_rulings(found, ruled)}
    columns["both"] = _standing(found, ruled)
    if scores is not None:
        sums = [sum(scores[place] for place in members) for members in kept.members]
        columns["prm"] = [whole / len(members) for whole, members in zip(sums, kept.members, strict=True)]
        # The same attack: only what a sample's vote counts is another.
        weighed = replace(found, weights=tuple(max(one, 1e-6) for one in sums))
        columns["combined"] = _standing(weighed, rulings(row.problem, weighed))
    classes = found.partition
    return columns, {
        "classes_found": len(classes.classes),
        "entropy": classes.entropy,
        "noisy": len(found.noisy),
        "executions": found.executions,
        "right_class": any(solved[place] for place in next(iter(classes.classes), ())),
        "rulings_right": mistakes(judge, row, found, ruled),
    }


def _standing(found: Attack, ruled: Sequence[Ruling]) -> list[tuple[float, float]]:
    """Returns what `adversary=mutation` decides by: rulings, then the size of the class."""
    standing, classes = by_rulings(found, ruled), by_class(found)
    return [(round(high, 9), size) for high, size in zip(standing, classes, strict=True)]


def mistakes(judge: Judge, row: ProblemRow, found: Attack, ruled: Sequence[Ruling]) -> list[list[Any]]:
    """Returns for each ruling its confidence and whether the reference agrees; None where that fails."""
    inputs = tuple(one.input for one in ruled)
    if not inputs:
        return []
    same = same_of(row.problem)
    asked, (reference,) = as_compared(row.problem, [row.reference or ""])
    (seen,) = observe(judge, [Program(asked, reference, inputs)])
    return [
        [
            round(one.confidence, 4),
            None if known.output is None else one.output is not None and same(one.output, known.output),
        ]
        for one, known in zip(ruled, seen, strict=True)
    ]


def _heaviest(weights: Sequence[float], scores: Sequence[Any]) -> list[float]:
    """Returns the weights of the highest score, 0 for the others."""
    best = max(scores)
    return [weight if one == best else 0.0 for weight, one in zip(weights, scores, strict=True)]


def _mean(right: Sequence[bool], weights: Sequence[float]) -> float:
    whole = sum(weights)
    return sum(w for one, w in zip(right, weights, strict=True) if one) / whole if whole else 0.0


def _selection_table(rows: Sequence[Mapping[str, Any]], kind: str) -> str:
    """Returns rates, shares of the gap between random choice and oracle, and of what public tests leave."""
    lines = [f"{kind} samples"]
    for size in sorted({row["n"] for row in rows}):
        group = [row for row in rows if row["n"] == size]
        lines.append(f"\nn = {size}, {len(group)} problems")
        lines.append("| selector | solved, % | of the gap blind – oracle | of what public tests leave |")
        lines.append("| --- | --- | --- | --- |")
        for name in ("blind", *_selectors("prm" in group[0]), "oracle"):
            rate = estimate_share([row[name] for row in group]).percent()
            lines.append(
                f"| {name} | {rate} | {_gap(group, name, 'blind')} | {_gap(group, name, 'public')} |"
            )
        attacked_rows = [row for row in group if "right_class" in row]
        lines.append(
            f"attacked: {len(attacked_rows)} problems; largest class right: "
            f"{_share([row['right_class'] for row in attacked_rows])}; rulings right: "
            f"{_right_rulings(group)}, of those with confidence ≥ 0.5: {_right_rulings(group, 0.5)}"
        )
    return "\n".join(lines)


def _gap(rows: Sequence[Mapping[str, Any]], name: str, low: str) -> str:
    """Says which share of the gap between two selectors a third closes, with an interval over problems."""

    def closed(indices: Sequence[int]) -> float:
        gap = sum(rows[i]["oracle"] - rows[i][low] for i in indices)
        return sum(rows[i][name] - rows[i][low] for i in indices) / gap if gap > 0 else float("nan")

    found = estimate({str(i): [i] for i in range(len(rows))}, closed)
    return found.percent(0)


def _right_rulings(rows: Sequence[Mapping[str, Any]], confidence: float = 0.0) -> str:
    """Says which share of the rulings is right, and of how many; problems are drawn, not rulings."""
    known = [
        [right for told, right in row.get("rulings_right", []) if right is not None and told >= confidence]
        for row in rows
    ]
    ruled = [found for found in known if found]
    share = estimate_share([sum(found) / len(found) for found in ruled], [len(found) for found in ruled])
    return f"{share.percent(0)} of {sum(map(len, ruled))}"


def _share(values: Sequence[bool]) -> str:
    return estimate_share([float(one) for one in values]).percent(0) if values else "–"


app = new_app("selection", "Measure selectors among many samples.")
app.command(command(SamplesSettings, samples, "samples"))
app.command(command(SelectionSettings, choose, "choose"))

if __name__ == "__main__":
    sys.exit(main_of(app, None))
