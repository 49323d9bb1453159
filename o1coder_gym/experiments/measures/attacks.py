"""Attacks on the programs of a file: inputs on which they differ, made small."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from o1coder_gym.errors import UsageError
from o1coder_gym.policies import Engine, LanguageModelPolicy, load_policy
from o1coder_gym.problems.answers.solutions import by_name, read_solutions
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import case_from_json, case_to_json
from o1coder_gym.sandbox import Judge
from o1coder_gym.settings import Checked
from o1coder_gym.settings.groups import AsJson, Seed, SetName, Split
from o1coder_gym.specs.parameters import AtLeastOne
from o1coder_gym.tcg.adversary.attack import EXECUTIONS
from o1coder_gym.tcg.adversary.inputs import both, by_generator, by_mutation
from o1coder_gym.tcg.adversary.oracle import ask_model
from o1coder_gym.tcg.adversary.report import AttackSettings, attack_row
from o1coder_gym.tcg.loading import load_generator
from o1coder_gym.tcg.store import read_generated
from o1coder_gym.types import TestCase


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramsToAttack(Checked):
    """Attack.

    Attributes:
        solutions: JSON lines: task_id, code, and a solution_id where there is one.
        executions: Runs of a program on an input, per problem at most; making inputs small may cost as many
            again.
        generator: Proposes inputs in addition to mutation: a language model, hf:NAME, …
        oracle: A language model that predicts outputs and votes with the programs: hf:NAME, …
        minimise: Make the inputs found small.
        keep: File for the tests that separate programs, with outputs that most of them agree on; bench
            --tests reads it. Tests that it holds stay.
        workers: Programs at the same time; default: one per core.
    """

    problems: SetName
    solutions: Path
    split: Split = None
    executions: AtLeastOne = EXECUTIONS
    generator: str | None = None
    oracle: str | None = None
    minimise: bool = True
    keep: Path | None = None
    workers: AtLeastOne | None = None
    seed: Seed = 0
    as_json: AsJson = False


def attack_programs(
    settings: ProgramsToAttack, on_start: Callable[[int], None] = lambda total: None
) -> Iterator[dict[str, Any]]:
    """Yields what was found of each problem's programs; no reference and no hidden test is looked at.

    Args:
        settings: Which programs, and how hard to try.
        on_start: Called with the number of problems, when all that the settings name is loaded.

    Yields:
        Per problem its programs, behaviours, attacks and tests (see `attack_row`).

    Raises:
        UsageError: When the file has no program, an oracle is no language model, or the file for tests
            cannot be written.
        ProblemFileError: When a row of a file is malformed, or two programs of a problem have one
            solution_id.
    """
    rows = {row.problem.task_id: row for row in load_rows(settings.problems, split=settings.split)}
    solutions = by_name(read_solutions(settings.solutions, rows))
    if not solutions:
        raise UsageError(f"{settings.solutions} has no program")
    held = None if settings.keep is None else _held(settings.keep)
    with Judge(settings.workers) as judge:
        plan = _plan(settings, judge)
        on_start(len(solutions))
        for task_id, named in solutions.items():
            problem = rows[task_id].problem
            programs = {name: one.program(problem) or "" for name, one in named.items()}
            row = attack_row(judge, problem, programs, plan)
            if settings.keep is not None and held is not None:
                _keep(settings.keep, row, held.get(task_id, {}))
            yield row


def _plan(settings: ProgramsToAttack, judge: Judge) -> AttackSettings:
    plan = AttackSettings(executions=settings.executions, shrink=settings.minimise, seed=settings.seed)
    if settings.generator is not None:
        writer = load_generator(settings.generator, judge, as_written=True)
        plan = replace(plan, attacker=both(by_generator(writer), by_mutation))
    if settings.oracle is not None:
        plan = replace(plan, ask=ask_model(_engine(settings.oracle), seed=settings.seed))
    return plan


def _engine(spec: str) -> Engine:
    policy = load_policy(spec)
    if not isinstance(policy, LanguageModelPolicy):
        raise UsageError(f"--oracle {spec} is not a language model, so it cannot be asked")
    return policy.engine


def _held(path: Path) -> dict[str, dict[TestCase, float]]:
    """Returns the weights of the tests that a file holds, by problem; makes the file if there is none."""
    try:
        path.open("a").close()  # before programs are attacked for hours
    except OSError as error:
        raise UsageError(f"--keep {path}: {error.strerror}") from error
    return {
        task_id: dict(zip(made.tests, made.weights or [1.0] * len(made.tests), strict=True))
        for task_id, made in read_generated(path).items()
    }


def _keep(path: Path, row: Mapping[str, Any], held: Mapping[TestCase, float]) -> None:
    """Appends the tests of a problem behind those that the file holds, if some are new."""
    found = dict(zip(map(case_from_json, row["tests"]), row["weights"], strict=True))
    # All in one row: of several that a problem has the last one is read.
    tests = {**found, **held}
    if len(tests) > len(held):
        kept = {
            "task_id": row["task_id"],
            "tests": [*map(case_to_json, tests)],
            "weights": [*tests.values()],
        }
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(kept, ensure_ascii=False) + "\n")
