"""Columns of a trainer's data set: written from problems, read back by reward functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import Problem, State, Tests

MAX_STEPS = 8
"""Longest chain where no column says otherwise; that of the environments."""


def rows(
    problems: Sequence[Problem],
    *,
    format: str = "pseudocode",
    tests: Mapping[str, Tests] | None = None,
    max_steps: int = MAX_STEPS,
) -> list[dict[str, Any]]:
    """Returns a row per problem for a trainer's data set.

    Args:
        problems: The questions; hidden tests are not among what they carry.
        format: Step format that the prompt asks for.
        tests: Further tests by task id, e.g. generated ones; judged after the public tests.
        max_steps: Longest chain, ≥ 1.

    Returns:
        ``prompt`` (messages), ``task_id``, ``question``, ``entry_point``, ``tests`` (JSON text), ``format``;
        ``max_steps`` where it is not `MAX_STEPS`; and ``meta`` (JSON text) where a problem states limits of
        its own, or asks for a prediction.
    """
    from o1coder_gym.problems.answers.programs import judged_by
    from o1coder_gym.problems.rows import case_to_json

    write = load_format(format)
    extra = tests or {}
    limit = {} if max_steps == MAX_STEPS else {"max_steps": max_steps}
    metas = [judged_by(problem.meta) for problem in problems]
    return [
        {
            "prompt": [
                {"role": role, "content": content}
                for role, content in write.prompt(problem, State(problem.task_id)).messages
            ],
            "task_id": problem.task_id,
            "question": problem.prompt,
            "entry_point": problem.entry_point,
            "prelude": problem.prelude,
            "tests": json.dumps(
                [case_to_json(test) for test in (*problem.public_tests, *extra.get(problem.task_id, ()))]
            ),
            "format": format,
            **limit,
            **({"meta": json.dumps(meta)} if any(metas) else {}),
        }
        for problem, meta in zip(problems, metas, strict=True)
    ]


def groups(columns: Mapping[str, Any], count: int) -> dict[tuple[str, int, int], list[int]]:
    """Returns the places of chains that one model can play: a task id is one problem there.

    Args:
        columns: As `rows` writes them.
        count: Chains, B.

    Returns:
        Places, by step format, step limit and the number of the problem among those of equal task id.
    """
    seen: dict[tuple[str, int, str], list[tuple[Any, ...]]] = {}
    groups: dict[tuple[str, int, int], list[int]] = {}
    for place, limit in enumerate(limits(columns, count)):
        content = (
            *(columns[name][place] for name in ("question", "entry_point", "tests")),
            _prelude(columns, place),
            _meta(columns, place),
        )
        known = seen.setdefault((columns["format"][place], limit, columns["task_id"][place]), [])
        # Equal ids with other tests (two sets in one data set) are other problems, played by other models.
        if content not in known:
            known.append(content)
        groups.setdefault((columns["format"][place], limit, known.index(content)), []).append(place)
    return groups


def problem_of(columns: Mapping[str, Any], place: int) -> Problem:
    """Returns the problem of the chain at a place; its public tests are all that the columns hold."""
    from o1coder_gym.problems.rows import case_from_json

    tests = tuple(map(case_from_json, json.loads(columns["tests"][place])))
    task_id, question, entry_point = (columns[name][place] for name in ("task_id", "question", "entry_point"))
    meta = json.loads(_meta(columns, place))
    return Problem(task_id, question, entry_point, tests, meta, _prelude(columns, place))


def limits(columns: Mapping[str, Any], count: int) -> list[int]:
    """Returns the step limit of each chain, [B]."""
    return [_cell(columns, "max_steps", place, MAX_STEPS) for place in range(count)]


def _prelude(columns: Mapping[str, Any], place: int) -> str:
    return _cell(columns, "prelude", place, "")


def _meta(columns: Mapping[str, Any], place: int) -> str:
    return _cell(columns, "meta", place, "{}")


def _cell(columns: Mapping[str, Any], name: str, place: int, otherwise: Any) -> Any:
    """Returns a value of a column that not all rows need have."""
    # A data set of rows with the column and rows without it, `concatenate_datasets`, has None for the latter.
    found = columns[name][place] if name in columns else None
    return otherwise if found is None else found
