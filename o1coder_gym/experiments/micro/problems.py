"""Micro-problems: short pipelines over a list, as rows of an ordinary problem file."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from o1coder_gym.errors import UsageError
from o1coder_gym.experiments.micro.behaviour import behaviour, is_irreducible
from o1coder_gym.experiments.micro.operations import ENDS, STAGES, Operation, Pipeline, Stage, program, run
from o1coder_gym.experiments.micro.splits import check_split, split_of
from o1coder_gym.problems.rows import ProblemRow, problem_row_to_json
from o1coder_gym.runs.files import write_whole
from o1coder_gym.types import CallTest, Problem

PUBLIC_TESTS, HIDDEN_TESTS = 2, 10
MOST = 2_000
"""Problems of a split, at most."""

_LONGEST = 3
"""Stages before the end, at most."""


def draw_pipelines(count: int, seed: int, split: str | None = None) -> list[Pipeline]:
    """Draws pipelines that differ in what they compute, each without a stage that does nothing.

    Args:
        count: How many, from 0 to 2,000.
        seed: Fixes the draw; a longer draw of the same seed begins with the shorter one.
        split: Draws only what belongs to this split, see `splits.SHARES`; None draws from all.

    Raises:
        UsageError: When `count` is out of range or there is no such split.
    """
    if not 0 <= count <= MOST:
        raise UsageError(f"micro-problems: a count from 0 to {MOST} is needed, got {count}")
    if split is not None:
        check_split(split)
    generator = random.Random(seed)
    found: dict[str, Pipeline] = {}
    while len(found) < count:
        pipeline = _draw(generator)
        # By behaviour: two questions in other words that compute the same are one problem.
        if split in (None, split_of(pipeline)):
            found.setdefault(behaviour(pipeline), pipeline)
    return list(found.values())


def question(pipeline: Pipeline) -> str:
    """Returns the text of a problem: a function's head and docstring."""
    text = ", ".join(stage.phrase for stage in pipeline)
    return f'def solve(values):\n    """{text[0].upper()}{text[1:]}."""\n'


def micro_problem(pipeline: Pipeline, task_id: str, split: str, seed: int) -> Problem:
    """Returns the solver's view of a pipeline: the question and public tests."""
    return _problem(pipeline, task_id, split, _generator(seed, task_id))


def micro_row(pipeline: Pipeline, task_id: str, split: str, seed: int) -> ProblemRow:
    """Returns a pipeline as a problem; hidden tests tell it from every slip of one stage where inputs can."""
    generator = _generator(seed, task_id)
    problem = _problem(pipeline, task_id, split, generator)
    hidden = _tests(pipeline, generator, HIDDEN_TESTS - 1, longest=8)
    hidden = (*hidden, CallTest("[[]]", repr(run(pipeline, []))))
    return ProblemRow(problem, hidden, program(pipeline) + "\n")


def micro_rows(splits: dict[str, int], seed: int = 0) -> list[ProblemRow]:
    """Returns problems of several splits; no two compute the same, neither in one split nor across them.

    Args:
        splits: Number of problems by name of the split, see `splits.SHARES`.
        seed: Fixes all of them.

    Raises:
        UsageError: When a count is out of range or there is no such split.
    """
    return [
        micro_row(pipeline, f"micro/{split}-{index:04d}", split, seed)
        for split, count in splits.items()
        for index, pipeline in enumerate(draw_pipelines(count, seed, split))
    ]


def write_rows(rows: Sequence[ProblemRow], path: Path) -> None:
    """Writes a problem file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(json.dumps(problem_row_to_json(row)) + "\n" for row in rows))


def _generator(seed: int, task_id: str) -> random.Random:
    return random.Random(f"{seed} {task_id}")


def _problem(pipeline: Pipeline, task_id: str, split: str, generator: random.Random) -> Problem:
    public = _tests(pipeline, generator, PUBLIC_TESTS, longest=3)
    meta = {"split": split, "stages": len(pipeline)}
    return Problem(task_id, question(pipeline), "solve", public, meta)


def _draw(generator: random.Random) -> Pipeline:
    """Draws the length first: long pipelines have idle stages more often, and would become rare."""
    length = generator.randint(1, _LONGEST)
    while True:
        names = generator.sample(list(STAGES), length)
        stages = [_numbered(name, STAGES[name], generator) for name in names]
        pipeline = (*stages, Stage(generator.choice(list(ENDS))))
        if is_irreducible(pipeline):
            return pipeline


def _numbered(name: str, operation: Operation, generator: random.Random) -> Stage:
    return Stage(name, generator.randint(2, 9) if operation.numbered else 0)


def _tests(pipeline: Pipeline, generator: random.Random, count: int, *, longest: int) -> tuple[CallTest, ...]:
    """Draws inputs; each is the most telling of several: it exposes the most slips."""
    slips = list(_slips(pipeline))
    tests = []
    for _ in range(count):
        inputs = [_values(generator, longest) for _ in range(8)]
        # The input that exposes most slips still unexposed; when all are, it starts over.
        best = max(inputs, key=lambda values: _exposed(pipeline, slips, values))
        slips = [slip for slip in slips if run(slip, best) == run(pipeline, best)] or list(_slips(pipeline))
        tests.append(CallTest(repr([best]), repr(run(pipeline, best))))
    return tuple(tests)


def _values(generator: random.Random, longest: int) -> list[int]:
    return [generator.randint(-9, 12) for _ in range(generator.randint(3, longest))]


def _slips(pipeline: Pipeline) -> Iterator[Pipeline]:
    """Yields the pipelines that differ by one mistaken stage."""
    for index, stage in enumerate(pipeline):
        yield (*pipeline[:index], stage.mistaken(), *pipeline[index + 1 :])


def _exposed(pipeline: Pipeline, slips: Sequence[Pipeline], values: list[int]) -> int:
    right = run(pipeline, values)
    return sum(run(slip, values) != right for slip in slips)
