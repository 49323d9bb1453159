"""Micro-problems: short pipelines over a list, as rows of an ordinary problem file."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from o1coder_gym.errors import UsageError
from o1coder_gym.micro.operations import ENDS, STAGES, Operation, Pipeline, Stage, program, run
from o1coder_gym.problem_rows import ProblemRow, problem_row_to_json
from o1coder_gym.types import CallTest, Problem

PUBLIC_TESTS, HIDDEN_TESTS = 2, 10
_LONGEST = 3
"""Stages before the end, at most."""


def draw_pipelines(count: int, seed: int) -> list[Pipeline]:
    """Draws distinct pipelines.

    Args:
        count: How many, ≥ 0; there are more than 10,000.
        seed: Fixes the draw; a longer draw of the same seed begins with the shorter one.

    Raises:
        UsageError: When `count` is out of range.
    """
    if not 0 <= count <= 10_000:
        raise UsageError(f"micro-problems: a count from 0 to 10000 is needed, got {count}")
    generator = random.Random(seed)
    found: dict[Pipeline, None] = {}
    while len(found) < count:
        length = generator.randint(1, _LONGEST)
        names = generator.sample(list(STAGES), length)
        stages = [_numbered(name, STAGES[name], generator) for name in names]
        end = generator.choice(list(ENDS))
        found[(*stages, Stage(end))] = None
    return list(found)


def question(pipeline: Pipeline) -> str:
    """Returns the text of a problem: a function's head and docstring."""
    text = ", ".join(stage.phrase for stage in pipeline)
    return f'def solve(values):\n    """{text[0].upper()}{text[1:]}."""\n'


def micro_row(pipeline: Pipeline, task_id: str, split: str, seed: int) -> ProblemRow:
    """Returns a pipeline as a problem; hidden tests tell it from every slip of one stage where inputs can."""
    generator = random.Random(f"{seed} {task_id}")
    public = _tests(pipeline, generator, PUBLIC_TESTS, longest=3)
    hidden = _tests(pipeline, generator, HIDDEN_TESTS - 1, longest=8)
    hidden = (*hidden, CallTest("[[]]", repr(run(pipeline, []))))
    meta = {"split": split, "stages": len(pipeline)}
    problem = Problem(task_id, question(pipeline), "solve", public, meta)
    return ProblemRow(problem, hidden, program(pipeline) + "\n")


def micro_rows(splits: dict[str, int], seed: int = 0) -> list[ProblemRow]:
    """Returns problems of several splits that share no pipeline.

    Args:
        splits: Number of problems by name of the split.
        seed: Fixes all of them.
    """
    pipelines = iter(draw_pipelines(sum(splits.values()), seed))
    return [
        micro_row(next(pipelines), f"micro/{split}-{index:04d}", split, seed)
        for split, count in splits.items()
        for index in range(count)
    ]


def write_rows(rows: Sequence[ProblemRow], path: Path) -> None:
    """Writes a problem file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text("".join(json.dumps(problem_row_to_json(row)) + "\n" for row in rows))
    part.replace(path)


def _numbered(name: str, operation: Operation, generator: random.Random) -> Stage:
    return Stage(name, generator.randint(2, 9) if operation.numbered else 0)


def _tests(pipeline: Pipeline, generator: random.Random, count: int, *, longest: int) -> tuple[CallTest, ...]:
    """Draws inputs; each is the most telling of several: it exposes the most slips."""
    slips = list(_slips(pipeline))
    tests = []
    for _ in range(count):
        inputs = [_values(generator, longest) for _ in range(8)]
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
