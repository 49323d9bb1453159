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
from o1coder_gym.sandbox import Judge
from o1coder_gym.settings import Checked
from o1coder_gym.settings.groups import AsJson, Seed, SetName, Split
from o1coder_gym.specs.parameters import AtLeastOne
from o1coder_gym.tcg.adversary.attack import EXECUTIONS
from o1coder_gym.tcg.adversary.inputs import both, by_generator, by_mutation
from o1coder_gym.tcg.adversary.oracle import ask_model
from o1coder_gym.tcg.adversary.report import AttackSettings, attack_row
from o1coder_gym.tcg.loading import load_generator


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramsToAttack(Checked):
    """Attack.

    Attributes:
        solutions: JSON lines: task_id, code, and a solution_id where there is one.
        executions: Runs of a program on an input, per problem at most.
        generator: Proposes inputs in addition to mutation: a language model, hf:NAME, …
        oracle: A language model that predicts outputs and votes with the programs: hf:NAME, …
        minimise: Make the inputs found small.
        keep: File for the tests that separate programs, with outputs that most of them agree on; bench
            --tests reads it.
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
        UsageError: When the file has no program, or an oracle is no language model.
        ProblemFileError: When a row of the file is malformed, or two of a problem have one solution_id.
    """
    rows = {row.problem.task_id: row for row in load_rows(settings.problems, split=settings.split)}
    solutions = by_name(read_solutions(settings.solutions, rows))
    if not solutions:
        raise UsageError(f"{settings.solutions} has no program")
    with Judge(settings.workers) as judge:
        plan = _plan(settings, judge)
        on_start(len(solutions))
        for task_id, named in solutions.items():
            problem = rows[task_id].problem
            programs = {name: one.program(problem) or "" for name, one in named.items()}
            row = attack_row(judge, problem, programs, plan)
            if settings.keep is not None:
                _keep(settings.keep, row)
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


def _keep(path: Path, row: Mapping[str, Any]) -> None:
    """Appends the tests of a problem."""
    with path.open("a", encoding="utf-8") as file:
        kept = {name: row[name] for name in ("task_id", "tests", "weights")}
        file.write(json.dumps(kept, ensure_ascii=False) + "\n")
