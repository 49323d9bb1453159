"""`o1coder attack`: inputs on which the programs of one problem differ, minimised."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.errors import UsageError
from o1coder_gym.policies import Engine, LanguageModelPolicy, load_policy
from o1coder_gym.problems.answers.solutions import read_solutions
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

_SHOWN = 100
"""Characters of an input or an output that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramsToAttack(Checked):
    """Attack.

    Attributes:
        solutions: JSON lines: task_id, code, and a solution_id where there is one.
        executions: Runs of a program on an input, per problem at most.
        generator: Proposes inputs beside mutation: a language model, hf:NAME, …
        oracle: A language model that is asked for outputs, beside the votes of the programs: hf:NAME, …
        minimise: Make the inputs found small.
        keep: File for the tests that part programs, with outputs that most of them agree on; bench --tests
            reads it.
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


def attack(settings: ProgramsToAttack) -> None:
    """Find inputs on which programs of one problem differ; say what most of them do there.

    No reference and no hidden test is looked at. Programs whose results change by themselves are reported
    and part nobody.
    """
    rows = {row.problem.task_id: row for row in load_rows(settings.problems, split=settings.split)}
    programs: dict[str, dict[str, str]] = {}
    for one in read_solutions(settings.solutions, rows):
        program = one.program(rows[one.task_id].problem) or ""
        programs.setdefault(one.task_id, {})[str(one.solution_id)] = program
    if not programs:
        raise UsageError(f"{settings.solutions} has no program")
    with (
        Judge(settings.workers) as judge,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        plan = AttackSettings(executions=settings.executions, shrink=settings.minimise, seed=settings.seed)
        if settings.generator is not None:
            writer = load_generator(settings.generator, judge, as_written=True)
            plan = replace(plan, attacker=both(by_generator(writer), by_mutation))
        if settings.oracle is not None:
            plan = replace(plan, ask=ask_model(_engine(settings.oracle), seed=settings.seed))
        bar = progress.add_task("attacking", total=len(programs))
        for task_id, named in programs.items():
            row = attack_row(judge, rows[task_id].problem, named, plan)
            print(to_json(row) if settings.as_json else _shown(row), flush=True)
            if settings.keep is not None:
                _keep(settings.keep, row)
            progress.advance(bar)


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


def _shown(row: Mapping[str, Any]) -> str:
    """Returns a row for people."""
    head = f"{row['task_id']}: {row['programs']} programs, {row['distinct']} distinct"
    lines = [
        f"{head}, {len(row['classes'])} behaviours (entropy {row['entropy']:.2f} bits), "
        f"{row['executions']} executions"
    ]
    for found in row["attacks"]:
        lines.append(f"  {_brief(found['input'])}")
        for output, names in found["outputs"].items():
            mark = f"   ← right? {found['confidence']:.0%}" if output == found["right"] else ""
            lines.append(f"    {_brief(output)}: {_listed(names)}{mark}")
    lines += [f"  noisy: {name}: {why}" for name, why in row["noisy"].items()]
    if row["hanging"]:
        lines.append(f"  ran into a time limit: {_listed(row['hanging'])}")
    if row["rounded"]:
        lines.append(f"  outputs differ by rounding alone on {row['rounded']} inputs, which part nobody")
    return "\n".join(lines)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def _brief(text: str) -> str:
    shown = text if text.isprintable() else repr(text)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


app = command(ProgramsToAttack, attack, name="attack")
