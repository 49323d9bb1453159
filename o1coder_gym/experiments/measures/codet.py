"""CodeT's own samples, judged and chosen from again (Chen et al. 2022, arXiv 2207.10397).

The samples are the user's download: the folder ``CodeT/data`` of https://github.com/microsoft/CodeT as
``O1CODER_DATA/codet``. Programs and tests are cut out of what the model wrote, tests decide which programs
agree (section 2.2), and one program of each of the best k sets is drawn (section 4.1).
S programs of a problem, T distinct tests.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o1coder_gym.errors import InfrastructureError, ProblemFileError
from o1coder_gym.experiments.training.tcg import Track
from o1coder_gym.metrics import pass_at_k
from o1coder_gym.problems.hidden_tests import Evaluation
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.files import json_lines
from o1coder_gym.runs.journal import FILES, RunFolder
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.tcg.checking.selection import by_dual_agreement_sqrt, matrix_of
from o1coder_gym.types import AssertTest, Limits, Outcome, Submission
from o1coder_gym.types.protocols import Judge

KS = (1, 10)
_FILES = {
    "programs": ("dataset/*_for_code_generation.jsonl", "generated_data/*_codegen16B_*_code_solution.jsonl"),
    "tests": ("dataset/*_for_test_case_generation.jsonl", "generated_data/*_codegen16B_*_test_case.jsonl"),
}
_NAMES = ("HumanEval", "hmeval")
"""How the files' names begin: today's, and those of the first upload."""

_STOPS = re.compile(r"\n(?:class|def|#|if|print)")
_TESTS_A_SAMPLE = 5
_LIMITS = Limits(cpu_s=0.5, wall_s=5.0, total_cpu_s=20.0)
"""CodeT grants a test 0.1 s of wall time; half a second of CPU time decides the same on any machine."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The model's samples for one problem.

    Attributes:
        programs: Whole programs, [S]; equal ones stay.
        tests: Assert statements with how often they were written, [T].
    """

    programs: tuple[str, ...]
    tests: Mapping[str, int]


def replay(
    out: Path, judge: Judge, *, limit: int | None, resume: bool, track: Track
) -> dict[str, dict[str, float]]:
    """Judges and chooses again, problem by problem; a killed replay can be resumed.

    Args:
        out: The run folder.
        judge: Runs the programs.
        limit: First N problems; None takes all.
        resume: Whether to continue what `out` holds.
        track: Shows how far it is.

    Returns:
        Pass@k of the samples, and of CodeT's choices among them, each by task id.

    Raises:
        ProblemFileError: When the download is not there, or not what it should be.
        InfrastructureError: When the judge could not decide on a program.
    """
    folder = download_folder()
    rows = {row.problem.task_id: row for row in load_rows("humaneval")[:limit]}
    samples = read_samples(folder, rows)
    config = {"codet": sorted(samples), "limits": str(_LIMITS), FILES: {"samples": _digest(samples)}}
    with RunFolder.open(out, config, resume=resume) as run:
        found = {row["task_id"]: row["rates"] for row in run.rows("rates")}
        waiting = [task_id for task_id in samples if task_id not in found]
        evaluation = Evaluation([*rows.values()], judge)
        for task_id in track(waiting, len(waiting), "problems"):
            found[task_id] = rates(rows[task_id], samples[task_id], judge, evaluation)
            run.append("rates", {"task_id": task_id, "rates": found[task_id]})
    names = next(iter(found.values()))
    return {name: {task_id: one[name] for task_id, one in found.items()} for name in names}


def _digest(samples: Mapping[str, Samples]) -> str:
    """Names what was downloaded, on which all rates depend."""
    return content_hash([[task_id, one.programs, one.tests] for task_id, one in sorted(samples.items())])


def download_folder() -> Path:
    """Returns the folder of CodeT's data.

    Raises:
        ProblemFileError: When there is none; says where it comes from.
    """
    folder = Path(os.environ.get("O1CODER_DATA") or "data").expanduser() / "codet"
    if not folder.is_dir():
        raise ProblemFileError(
            f"{folder}: not there; it is the folder CodeT/data of https://github.com/microsoft/CodeT, "
            "and O1CODER_DATA names the folder above it"
        )
    return folder


def read_samples(folder: Path, tasks: Iterable[str]) -> dict[str, Samples]:
    """Reads the model's programs and tests by task id.

    Args:
        folder: Of CodeT's data.
        tasks: Ids of the problems that are wanted.

    Raises:
        ProblemFileError: When a file is missing or damaged, or has nothing of a problem.
    """
    written = {kind: _written(folder, *patterns) for kind, patterns in _FILES.items()}
    found: dict[str, Samples] = {}
    for task_id in tasks:
        if any(task_id not in kind for kind in written.values()):
            raise ProblemFileError(f"{folder}: has no samples of {task_id}")
        prompt, entry_point, texts = written["programs"][task_id]
        tests = [asserts_in(text, entry_point)[:_TESTS_A_SAMPLE] for text in written["tests"][task_id][2]]
        programs = tuple(prompt + _STOPS.split(text)[0] for text in texts)
        found[task_id] = Samples(programs, Counter(itertools.chain.from_iterable(tests)))
    return found


def asserts_in(text: str, entry_point: str) -> list[str]:
    """Returns the assert statements that a model went on with after ``assert``, those of the function."""
    pieces = (piece for piece in f"assert {text}".split("assert ") if entry_point in piece)
    tests = (_STOPS.split(f"assert {piece.strip()}")[0].strip() for piece in pieces)
    return [test for test in tests if _is_statement(test)]


def rates(row: ProblemRow, samples: Samples, judge: Judge, evaluation: Evaluation) -> dict[str, float]:
    """Returns the chance that one of k programs passes: drawn from all, or as CodeT chooses."""
    task_id = row.problem.task_id
    verdicts = evaluation.evaluate_batch([(task_id, program) for program in samples.programs])
    if not all(verdict.outcome.counted for verdict in verdicts):
        raise InfrastructureError(f"{task_id}: the judge could not decide on a program; resume to ask again")
    passed = [verdict.outcome is Outcome.PASS for verdict in verdicts]
    scores = _scores(row, samples, judge)
    drawn = {f"pass@{k}": pass_at_k(len(passed), sum(passed), k) for k in KS}
    return drawn | {f"CodeT, pass@{k}": chosen_pass_rate(passed, scores, k) for k in KS}


def chosen_pass_rate(passed: Sequence[bool], scores: Sequence[float], k: int) -> float:
    """Returns the chance that one of k programs passes that are drawn from the best sets, one from each.

    Programs of equal score are one set; where there are fewer sets than k, the best are drawn from again.
    Without any program that passes a test it is pass@k.

    Args:
        passed: Whether each program is right, [S].
        scores: Of CodeT's sets, [S]; 0 for a program that passes no test.
        k: Programs.
    """
    sets: dict[float, list[bool]] = {}
    for right, score in zip(passed, scores, strict=True):
        if score > 0:
            sets.setdefault(score, []).append(right)
    if not sets:
        return pass_at_k(len(passed), sum(passed), k)
    best = [sets[score] for score in sorted(sets, reverse=True)][:k]
    draws = Counter(place % len(best) for place in range(k))
    wrong = (1 - sum(one) / len(one) for one in best)
    return 1 - math.prod(share ** draws[place] for place, share in enumerate(wrong))


def _scores(row: ProblemRow, samples: Samples, judge: Judge) -> list[float]:
    """Returns CodeT's score of each program, [S]; equal programs are run once."""
    tests = tuple(AssertTest(test) for test in samples.tests)
    if not tests:
        return [0.0] * len(samples.programs)
    problem, distinct = row.problem, [*dict.fromkeys(samples.programs)]
    asked = [Submission(code, problem.entry_point, tests, _LIMITS, problem.prelude) for code in distinct]
    verdicts = dict(zip(distinct, judge.evaluate(asked), strict=True))
    most = max(samples.tests.values())
    weights = [count / most for count in samples.tests.values()]
    return by_dual_agreement_sqrt(matrix_of([verdicts[code] for code in samples.programs], 0, weights))


def _written(folder: Path, dataset: str, generated: str) -> dict[str, tuple[str, str, list[str]]]:
    """Returns prompt, entry point and samples by task id."""
    tasks = {row["prompt"]: row for row in _rows(folder, dataset)}
    try:
        pairs = [(tasks[row["prompt"]], row) for row in _rows(folder, generated)]
        return {task["task_id"]: (row["prompt"], task["entry_point"], row["samples"]) for task, row in pairs}
    except (KeyError, TypeError) as error:
        raise ProblemFileError(
            f"{folder}: {generated} does not belong to {dataset}: {error!r:.80}"
        ) from error


def _rows(folder: Path, pattern: str) -> list[dict[str, Any]]:
    files = (path for name in _NAMES for path in sorted(folder.glob(pattern.replace("*", f"{name}*", 1))))
    if (path := next(files, None)) is None:
        raise ProblemFileError(f"{folder}: has no file {pattern.replace('*', _NAMES[0], 1)}")
    try:
        return [json.loads(line) for line in json_lines(path) if line.strip()]
    except ValueError as error:
        raise ProblemFileError(f"{path}: not JSON lines: {error}") from error


def _is_statement(test: str) -> bool:
    try:
        return len(ast.parse(test).body) > 0
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
