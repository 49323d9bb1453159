"""Benchmark suites: problem sets × policies × formats × agents × selectors × budgets × seeds, as plans.

A suite is what the options of ``o1coder bench`` say, or a file with the same words::

    problems: [humaneval, {name: mbpp, split: test, limit: 100}]
    policies: [hf:qwen2.5-coder-0.5b]
    formats: [pseudocode, vanilla]
    agents: [best_of_n:n=64, mcts:simulations=64]
    select: [tests, codet]
    tokens: [512, 1024, 2048]
    seeds: 3

A file may hold several: ``cells`` has a name and such words for each, what stands beside it is meant for all.
Cells of the same policy and format that share samples share them with each other, in one process: what
a cell drew before an interruption is drawn again for those after it.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Protocol, TypeAlias

from o1coder_gym.agents import load_agent
from o1coder_gym.agents.driver.cache import CachedPolicy
from o1coder_gym.agents.registry import agent_spec
from o1coder_gym.errors import UsageError
from o1coder_gym.experiments.benchmark import RANDOM_PICK, NoAnswersError, Report, run_benchmark
from o1coder_gym.experiments.tools import Plan
from o1coder_gym.policies import load_policy
from o1coder_gym.policies.loading import parameters_of
from o1coder_gym.problems.loading import OTHER_SET, ProblemSet, load_rows
from o1coder_gym.problems.missing_tests import Warn
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.report_files import write_report
from o1coder_gym.reporting.results import ResultRow
from o1coder_gym.runs.budget import UNITS, Budget, ModelSizes
from o1coder_gym.settings import (
    AtLeastOne,
    Checked,
    Count,
    Flag,
    Heading,
    NonNegative,
    Positive,
    read,
    read_each,
)
from o1coder_gym.settings.groups import DEFAULT_POLICY, MaxSteps, ScorerSpec
from o1coder_gym.specs import Spec, name_of
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types.protocols import Policy

_NOTHING_TO_CHOOSE = ("greedy", RANDOM_PICK)
"""Agents with which no selector is crossed: one has a single program, the other chooses at random."""


@dataclass(frozen=True, slots=True)
class ProblemChoice:
    """A problem set, or a part of it.

    Attributes:
        name: Name or path.
        split: Keeps one split.
        limit: Keeps the first ones.
        tasks: Keeps these problems, in this order; all if empty.
    """

    name: str
    split: str | None = None
    limit: AtLeastOne | None = None
    tasks: tuple[str, ...] = ()


_BUDGET, _SEARCH, _TESTS = Heading("Budget per problem"), Heading("Search"), Heading("Tests")


@dataclass(frozen=True, slots=True)
class Suite(Checked):
    """What to compare.

    Every combination is run.

    Attributes:
        problems: Name or path of a problem set; may be repeated. In a file also {name, split, limit}.
        policies: What proposes steps: hf:NAME, scripted:FILE, …; may be repeated.
        formats: Step format: pseudocode, functions or vanilla; may be repeated.
        agents: An agent, e.g. mcts or mcts?c=1.4&evaluate=mixed; may be repeated.
        select: How agents choose: public, tests, codet, majority; may be repeated. ``public+codet`` breaks
            the ties of the first by the second. None: each agent chooses by its own rule.
        tokens: Generated tokens, or none. 512,1024,2048 runs the largest and derives the answers within the
            others from it.
        calls: Sampled steps; a list as with tokens.
        executions: Judged programs; a list likewise.
        prompt_tokens: Prompt tokens that a search shows its policy for the first time; a list likewise.
        scorer_tokens: Tokens that the step scorer reads; a list likewise.
        flops: FLOPs of policy and scorer, 2 per weight and token, e.g. 5e12; a list likewise.
        within_flops: A second axis: answers within so many FLOPs are derived from the run of the most tokens
            too.
        seconds: Wall-clock seconds.
        seed: The first run seed.
        seeds: Number of consecutive seeds, starting at seed.
        controls: Add greedy, a random choice and the oracle, which chooses by hidden tests.
        tests: Tests that agents see: public, generated, or a file as of tcg eval.
        generator: Test generator; it sees the question alone.
        voters: Direct answers per problem that decide what tests expect, whatever the format.
        share_samples: Answer equal requests once; seconds are not measured.
        timeout: Seconds after which a call of policy, judge or scorer counts as failed.
    """

    problems: tuple[ProblemChoice, ...] = (ProblemChoice("starter"),)
    policies: Annotated[tuple[str, ...], Flag("--policy")] = (DEFAULT_POLICY,)
    formats: Annotated[tuple[str, ...], Flag("--format")] = ("pseudocode",)
    agents: Annotated[tuple[str, ...], Flag("--agent")] = ("best_of_n", "mcts")
    select: tuple[str, ...] = ()
    tokens: Annotated[tuple[Count, ...], _BUDGET] = (1024,)
    calls: Annotated[tuple[Count, ...], _BUDGET] = ()
    executions: Annotated[tuple[Count, ...], _BUDGET] = ()
    prompt_tokens: Annotated[tuple[Count, ...], _BUDGET] = ()
    scorer_tokens: Annotated[tuple[Count, ...], _BUDGET] = ()
    flops: Annotated[tuple[NonNegative, ...], _BUDGET] = ()
    within_flops: Annotated[tuple[NonNegative, ...], _BUDGET] = ()
    seconds: Annotated[NonNegative | None, _BUDGET] = None
    seed: int = 0
    seeds: AtLeastOne = 1
    max_steps: Annotated[MaxSteps, _SEARCH] = 8
    controls: bool = True
    scorer: Annotated[ScorerSpec, _SEARCH] = None
    tests: Annotated[str, _TESTS] = "public"
    generator: Annotated[str, _TESTS] = "mutation"
    voters: Annotated[Count, _TESTS] = 8
    share_samples: Annotated[bool, _SEARCH] = False
    timeout: Annotated[Positive | None, _SEARCH] = None


Cells: TypeAlias = Mapping[str, Suite]
"""Suites by name."""


@dataclass(frozen=True, slots=True)
class Part:
    """One plan of a suite.

    Attributes:
        name: Of its folder; empty if the suite has no other part.
        plan: What to run.
        rows: Its problems.
        skipped: What is wrong with rows that were left out.
    """

    name: str
    plan: Plan
    rows: tuple[ProblemRow, ...]
    skipped: tuple[str, ...]


class RunPlan(Protocol):
    """Runs one plan of a suite in its folder; `run_benchmark` does, and so may a caller that shows it."""

    def __call__(
        self,
        plan: Plan,
        out: Path,
        *,
        rows: Sequence[ProblemRow],
        resume: bool,
        policy: Policy | None = None,
    ) -> list[ResultRow]:
        """Returns all rows, or raises `NoAnswersError` with them; `policy` is as in `run_benchmark`."""
        ...


def run_suite(
    suite: Suite | Cells,
    out: Path,
    *,
    shard: str = "",
    executor: str = "serial",
    resume: bool = False,
    skip_bad: bool = False,
    on_row: Report | None = None,
    on_warning: Warn = warnings.warn,
    run: RunPlan | None = None,
) -> list[ResultRow]:
    """Runs all plans of a suite, each in a folder of its own below `out` if there are several.

    Args:
        suite: What to compare; several by name run one after the other in folders so called.
        out: The run folder, with a report over all plans if there are several.
        shard: ``i/n`` runs every n-th problem from the i-th on, in a folder below; empty runs all.
        executor: Where problems are searched and judged, see `run_benchmark`; not for a `run` of your own.
        resume: Whether to continue the run that `out` holds.
        skip_bad: Whether malformed rows of problem sets are left out; `on_warning` is called with each.
        on_row: Called with each new row as it comes.
        on_warning: Called with a line about rows left out, and problems that lack tests.
        run: Runs a plan; None is `run_benchmark` with `on_row` and `on_warning`.

    Returns:
        The rows of all plans.

    Raises:
        NoAnswersError: When rows have no answer, after all plans have run; the error has all rows.
        UsageError: When the suite or the shard says what cannot be.
        JournalError: As by `run_benchmark`.
    """
    run = run or partial(run_benchmark, executor=executor, on_row=on_row, on_warning=on_warning)
    found = parts(suite, shard=shard, skip_bad=skip_bad)
    results: list[ResultRow] = []
    samples = _Samples([part.plan for part in found])
    for part in found:
        for reason in part.skipped:
            on_warning(f"skipped: {reason}")
        folder = out / part.name / (f"shard-{shard.replace('/', '-of-')}" if shard else "")
        try:
            run_part = partial(run, part.plan, folder, rows=part.rows, resume=resume)
            policy = samples.of(part.plan)
            results += run_part() if policy is None else run_part(policy=policy)
        except NoAnswersError as error:
            results += error.results
    if len(found) > 1:
        write_report(out, results, "all parts", {"parts": ", ".join(part.name for part in found)})
    if any(result.error for result in results):
        raise NoAnswersError(results, out)
    return results


class _Samples:
    """Policies that several plans share, each with its earlier samples. Mutable."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._uses = Counter((plan.policy, plan.format) for plan in plans if plan.share_samples)
        self._kept: dict[tuple[str, str], CachedPolicy] = {}

    def of(self, plan: Plan) -> CachedPolicy | None:
        """Returns the `policy` argument of a `RunPlan`; None if no other plan makes the same requests."""
        key = plan.policy, plan.format
        if not plan.share_samples or self._uses[key] < 2:
            return None
        if key not in self._kept:
            self._kept[key] = CachedPolicy(load_policy(plan.policy, format=plan.format))
        return self._kept[key]


def read_suite(path: Path) -> Suite:
    """Reads a YAML or TOML file of one suite.

    Raises:
        UsageError: When it cannot be read, or holds a key or a value that a suite does not have.
    """
    return read(Suite, path)


def read_cells(path: Path) -> Cells:
    """Reads a YAML or TOML file of several suites; a file of one suite gives one cell without a name.

    Raises:
        UsageError: As by `read_suite`.
    """
    return read_each(Suite, path, "cells")


def parts(suite: Suite | Cells, *, shard: str = "", skip_bad: bool = False) -> list[Part]:
    """Returns the plans of a suite, checked as far as that costs nothing.

    Args:
        suite: What to compare; of several the parts lie in folders so called.
        shard: ``i/n``: only problems i, i + n, i + 2n, … of each set, counted from 1; empty: all.
        skip_bad: Leaves out rows of problem files that cannot be read.

    Raises:
        UsageError: When something in the suite makes no sense.
        ProblemFileError: When a problem set cannot be read.
    """
    if isinstance(suite, Mapping):
        found = {name: parts(one, shard=shard, skip_bad=skip_bad) for name, one in suite.items()}
        _check_distinct(found)
        return [
            replace(part, name=f"{name}/{part.name}".strip("/"))
            for name, cell in found.items()
            for part in cell
        ]
    budget, sweep = budgets(suite)
    agents = contestants(suite.agents, suite.select, suite.controls)
    for spec in agents:
        load_agent(spec)
    if suite.flops or suite.within_flops:
        _check_sizes(suite)
    for name in suite.formats:
        load_format(name)
    start, stride = _shard(shard)
    combined = [(c, p, f) for c in suite.problems for p in suite.policies for f in suite.formats]
    made: list[Part] = []
    for number, (choice, policy, format) in enumerate(combined, start=1):
        found = _load(choice, skip_bad)
        chosen = [found.row(task, advice=OTHER_SET) for task in choice.tasks] or found.rows
        rows = tuple(chosen[: choice.limit][start::stride])
        if not rows:
            raise UsageError(f"shard {shard} of {choice.name} has no problem")
        plan = Plan(
            problems=choice.name,
            split=choice.split,
            task_ids=tuple(row.problem.task_id for row in rows),
            agents=agents,
            policy=policy,
            format=format,
            budget=budget,
            seeds=tuple(range(suite.seed, suite.seed + suite.seeds)),
            max_steps=suite.max_steps,
            sweep=sweep,
            scorer=suite.scorer,
            tests=suite.tests,
            generator=suite.generator,
            voters=suite.voters,
            share_samples=suite.share_samples,
            timeout_s=suite.timeout,
            shard=shard,
        )
        name = f"{number:02}-{_slug(choice.name)}-{_slug(policy)}-{format}" if len(combined) > 1 else ""
        made.append(Part(name, plan, rows, found.skipped))
    return made


def budgets(suite: Suite) -> tuple[Budget, tuple[Budget, ...]]:
    """Returns the budget to run with, and the smaller budgets to derive from that run, in falling order.

    Raises:
        UsageError: When more than one unit has several values, seconds would not compare, or answers within
            FLOPs cannot be read off a run with such limits.
    """
    units = {unit: getattr(suite, unit) for unit in UNITS}
    several = [unit for unit, limits in units.items() if len(set(limits)) > 1]
    if len(several) > 1:
        raise UsageError(f"only one unit can have several budgets, got several of {' and '.join(several)}")
    # One run with the largest budget; answers within the smaller ones are replayed from it (`driver.sweep`).
    largest = {unit: max(limits) for unit, limits in units.items() if limits}
    whole = Budget(**largest, seconds=suite.seconds)
    smaller = [
        Budget(**(largest | {unit: limit}), seconds=suite.seconds)
        for unit in several
        for limit in sorted(set(units[unit]), reverse=True)[1:]
    ]
    if suite.within_flops and (whole.units != ("tokens",) or suite.seconds is not None):
        raise UsageError("within_flops needs a run that is limited by tokens alone")
    smaller += [Budget(flops=limit) for limit in sorted(set(suite.within_flops), reverse=True)]
    if suite.share_samples and suite.seconds is not None:
        raise UsageError("shared samples take no time, so a budget of seconds would not be equal")
    if smaller and suite.seconds is not None:
        raise UsageError("answers within fewer seconds cannot be derived from a longer run; give one budget")
    return whole, tuple(smaller)


def contestants(agents: Sequence[str], select: Sequence[str], controls: bool) -> tuple[str, ...]:
    """Crosses agents with selectors; adds the controls: greedy, and a random choice of the same rollouts."""
    specs = [spec for agent in agents for spec in (_selected(agent, select) if select else [agent])]
    if controls:
        specs = [*_controls(specs), *specs]
    return tuple(dict.fromkeys(specs))


def _selected(agent: str, select: Sequence[str]) -> Iterator[str]:
    """Yields an agent with each selector; unchanged for ``tests``, which is what agents do anyway."""
    for names in select:
        if names == "tests" or name_of(agent) in _NOTHING_TO_CHOOSE:
            yield agent
        else:
            yield _with(agent, [f"select={name}" for name in names.split("+")])


def _controls(specs: Sequence[str]) -> list[str]:
    """Returns the controls that are not there yet; the random choice has the best of n's own arguments."""
    names = [name_of(spec) for spec in specs]
    found = [] if "greedy" in names else ["greedy"]
    if RANDOM_PICK not in names:
        sampler = next((spec for spec, name in zip(specs, names, strict=True) if name == "best_of_n"), "")
        # The same rollouts as its counterpart: neither may stop early or choose.
        kept = [pair for pair in agent_spec(sampler).arguments if pair[0] not in ("select", "early_stop")]
        if "?" in sampler:
            found.append(str(Spec(RANDOM_PICK, None, tuple(kept))))
        else:
            found.append(_with(RANDOM_PICK, [f"{key}={value}" for key, value in kept]))
    return found


def _with(agent: str, items: Sequence[str]) -> str:
    """Adds arguments in the spelling that a spec has, for it is the agent's name in the results."""
    if not items:
        return agent
    first, between = ("&", "&") if "?" in agent else (",", ",") if ":" in agent else (":", ",")
    return f"{agent}{first}{between.join(items)}"


def _check_sizes(suite: Suite) -> None:
    """Refuses a budget of FLOPs whose price is unknown, or that the run's token budget would end before."""
    unknown = [policy for policy in suite.policies if not parameters_of(policy)]
    if unknown:
        raise UsageError(f"a budget of FLOPs needs the number of weights, which is unknown for {unknown[0]}")
    if acting := [agent for agent in suite.agents if name_of(agent) == "acting"]:
        raise UsageError(f"a budget of FLOPs needs the number of weights, which is unknown for {acting[0]}")
    if not suite.within_flops:
        return
    # all that is left out here, prompts and scores, makes a token dearer: fewer of them fit into the FLOPs
    reach = min(ModelSizes(parameters_of(policy)).flops(max(suite.tokens)) for policy in suite.policies)
    if max(suite.within_flops) > reach:
        tokens = f"{max(suite.tokens):,} tokens"
        raise UsageError(f"within_flops: a run of {tokens} may end before more than {reach:.3g} are spent")


def _check_distinct(cells: Mapping[str, Sequence[Part]]) -> None:
    """Refuses cells whose rows would be taken for seeds of one setting: rows name no scorer and no tests."""
    known: dict[tuple[object, ...], str] = {}
    for name, cell in cells.items():
        for plan in (part.plan for part in cell):
            for agent, budget in itertools.product(plan.agents, (plan.budget, *plan.sweep)):
                place = plan.set_name, plan.policy, plan.format, agent, budget
                if known.setdefault(place, name) != name:
                    told = f"cells {known[place]} and {name} both run {agent} on {plan.set_name}"
                    raise UsageError(f"{told}; name its selector or another argument, or set controls: false")


def _load(choice: ProblemChoice, skip_bad: bool) -> ProblemSet:
    return load_rows(choice.name, split=choice.split, skip_bad=skip_bad)


def _shard(text: str) -> tuple[int, int]:
    """Returns the first problem of a shard and the stride to the next one."""
    if not text:
        return 0, 1
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(f"--shard is i/n with 1 ≤ i ≤ n, such as 2/4; got {text!r}")
    return int(found[1]) - 1, int(found[2])


def _slug(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", Path(text).stem if "/" in text else text).strip("-")[:40]
