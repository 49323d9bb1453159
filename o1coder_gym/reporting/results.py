"""Result rows of a benchmark, their summary per setting, and the tables made from it."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from operator import attrgetter, itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

from o1coder_gym.errors import JournalError, UsageError
from o1coder_gym.metrics.estimates import ROUGH_LEGEND, Estimate, estimate_share
from o1coder_gym.runs.budget import UNITS, UNLIMITED, Budget
from o1coder_gym.runs.journal import read_rows
from o1coder_gym.types import Outcome, Usage

RESULTS = "results"
"""Name of the file of result rows in a run folder."""

FAILURES = "failures"
"""Name of the file of rows without an answer: an engine, a judge or an agent failed. A resumed run tries them
again."""

PROFILE = "profile"
"""Name of the file that says where the time of each agent went."""

ORACLE = "oracle"
"""Name of the control that chooses with the hidden tests: the most that choosing could be worth."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What was compared: rows of one setting differ in problem and seed only.

    Attributes:
        problems: Name or path of the problem set.
        policy: Policy spec.
        format: Step format.
        agent: Agent spec, selector included.
        budget: Limits per problem.
    """

    problems: str
    policy: str
    format: str
    agent: str
    budget: Budget


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One agent on one problem with one seed, judged on hidden tests.

    Attributes:
        task_id: The problem.
        agent: The agent as it was named on the command line, parameters included.
        seed: Run seed.
        outcome: Of the chosen code on the hidden tests; None if the agent committed no code, or
            if the run of it failed for a reason given in `error`. `NO_TESTS` where there are none.
        passed: Hidden tests passed.
        total: Hidden tests.
        value: The agent's own estimate in [0, 1].
        code: The chosen program, None without one.
        steps: Reasoning steps of the chosen path, the code step included.
        usage: What was spent.
        error: Empty, or one line on why there is no answer.
        problems: Name or path of the problem set.
        policy: Policy spec.
        format: Step format.
        budget: Limits per problem.
        parameters: Weights of the policy's model, None if not known.
        timed: Whether `usage.seconds` is what the agent took; not where the answer was read off a run with a
            larger budget, or samples were shared between agents.
        run: Digest of the run's configuration, which its folder has in full.
        version: Of this package.
        cut: Whether the budget cut a sample before its end; the agent did not get it.
        capped: Whether the agent ended by itself, at a cap of its own or after its only try, with some of the
            budget left.
    """

    task_id: str
    agent: str
    seed: int
    outcome: Outcome | None
    passed: int
    total: int
    value: float
    code: str | None
    steps: int
    usage: Usage
    error: str = ""
    problems: str = ""
    policy: str = ""
    format: str = ""
    budget: Budget = UNLIMITED
    parameters: int | None = None
    timed: bool = True
    run: str = ""
    version: str = ""
    cut: bool = False
    capped: bool = False

    @property
    def missing(self) -> str:
        """Says why there is no program, where there is none."""
        if self.error:
            return "error"
        return "cut by the budget" if self.cut else "no program"

    def __post_init__(self) -> None:
        """Reads a pass of no tests, which the rows of earlier versions have, as `NO_TESTS`."""
        if self.outcome is Outcome.PASS and not self.total:
            object.__setattr__(self, "outcome", self.outcome.after(self.total))

    @property
    def solved(self) -> bool:
        """Whether there are hidden tests and every one passed."""
        return self.outcome is Outcome.PASS

    @property
    def counted(self) -> bool:
        """Whether the row says something of the agent: it does not where the judge could not decide.

        An agent that ends in an error, or without a program, has failed.
        """
        return self.outcome not in (Outcome.INFRASTRUCTURE, Outcome.UNSUPPORTED)

    @property
    def overdrawn(self) -> bool:
        """Whether more tokens were sent than the budget allowed."""
        return self.budget.tokens is not None and self.usage.tokens > self.budget.tokens

    @property
    def problem(self) -> tuple[str, str]:
        """The problem: the file name of its set and its task id."""
        return _file_name(self.problems), self.task_id

    @property
    def untested(self) -> bool:
        """Whether the problem has no hidden tests that can be judged, so that nothing solves it."""
        return not self.total or self.outcome is Outcome.UNSUPPORTED

    @property
    def setting(self) -> Setting:
        """What the row is an instance of."""
        return Setting(self.problems, self.policy, self.format, self.agent, self.budget)

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict; `from_row` is its inverse."""
        row = asdict(self) | {"usage": self.usage.to_row(), "solved": self.solved}
        row["budget"] = self.budget.to_row()
        return {name: value for name, value in row.items() if value or name not in ("cut", "capped")}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ResultRow:
        """Reads what `to_row` wrote."""
        whole = {**_DEFAULTS, **row}
        whole["outcome"] = _OUTCOMES[row["outcome"]] if row["outcome"] else None
        whole["usage"] = Usage(**row["usage"])
        whole["budget"] = _budget(tuple(row.get("budget", {}).items()))
        return cls(*_values(whole))


_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_DEFAULTS = {field.name: field.default for field in fields(ResultRow) if field.default is not MISSING}
_values = itemgetter(*(field.name for field in fields(ResultRow)))
_setting_key = attrgetter("agent", "problems", "policy", "format", "budget")
_costs = attrgetter(*(field.name for field in fields(Usage)))


@cache
def _file_name(problems: str) -> str:
    return Path(problems).name


@cache
def _budget(limits: tuple[tuple[str, Any], ...]) -> Budget:
    return Budget(**dict(limits))


def read_results(folder: Path) -> list[ResultRow]:
    """Reads the rows of a run: of the folder itself and of those in it (shards, parts of a suite).

    Rows without an answer are among them, unless a resumed run has found one. A row that comes twice, as of a
    shard that was copied or run again, is counted once: the first time.

    Raises:
        UsageError: When there are none.
        JournalError: When a file is broken.
    """
    found = sorted(folder.rglob(f"{RESULTS}.jsonl"))
    failures = [path.with_name(f"{FAILURES}.jsonl") for path in found]
    try:
        with _no_collection():
            rows = _once(_rows(found))
            failed = {(row.setting, row.seed, row.task_id): row for row in _rows(failures)}
    except (KeyError, TypeError, ValueError) as error:
        raise JournalError(f"{folder}: holds a row that is no result: {error!r}") from error
    if failed:
        answered = {(row.setting, row.seed, row.task_id) for row in rows}
        rows += (row for key, row in failed.items() if key not in answered)
    if not rows:
        raise UsageError(f"{folder}: no {RESULTS}.jsonl with rows; give the folder of a benchmark")
    return rows


def _once(rows: Iterable[ResultRow]) -> list[ResultRow]:
    """Leaves out rows that are there already."""
    found: dict[tuple[Any, ...], ResultRow] = {}
    for row in rows:
        found.setdefault((row.task_id, row.seed, row.run, _setting_key(row)), row)
    return list(found.values())


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keeps the garbage collector from looking through rows that grow by the thousand and hold no circles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _rows(paths: Iterable[Path]) -> Iterator[ResultRow]:
    for path in paths:
        yield from map(ResultRow.from_row, read_rows(path))


@dataclass(frozen=True, slots=True)
class AgentSummary:
    """All rows of one setting.

    Attributes:
        agent: Its agent with parameters, and whatever else tells it from the other settings.
        setting: What the rows have in common.
        solved: Rows with every hidden test passed.
        total: Rows that count, see `ResultRow.counted`.
        share: Share of the problems solved, seeds averaged within a problem.
        committed: Rows with code.
        usage: Sums over the rows; `seconds` is the sum of the per-problem latencies.
        tests_passed: Mean share of hidden tests passed, in [0, 1], of rows that have some; NaN if none has.
        timed: Whether the seconds are what the agent took.
        untested: Rows without hidden tests; they stay in `total`, and none of them is solved.
        missing: Rows that do not count; nothing else here is made of them.
        capped: Rows in which the agent ended by itself with some of its budget left.
        failed: Rows that ended in an error; they stay in `total`, and none of them is solved.
    """

    agent: str
    setting: Setting
    solved: int
    total: int
    share: Estimate
    committed: int
    usage: Usage
    tests_passed: float
    timed: bool
    untested: int = 0
    missing: int = 0
    capped: int = 0
    failed: int = 0

    @property
    def rate(self) -> float:
        """Share of the problems solved, in [0, 1]."""
        return self.share.value

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval over problems."""
        return self.share.low, self.share.high

    @property
    def spent(self) -> float | None:
        """Share of the budget that was spent, in [0, 1], of the limit that came closest; None without one."""
        limits, costs = asdict(self.setting.budget), asdict(self.usage)
        counted = [(costs[unit], limits[unit]) for unit in UNITS if limits[unit]]
        return max((cost / (max(self.total, 1) * limit) for cost, limit in counted), default=None)

    def mean(self, cost: float) -> float:
        """Returns the mean over the rows of a cost that is their sum."""
        return cost / max(self.total, 1)


def summarize(rows: Iterable[ResultRow]) -> list[AgentSummary]:
    """Groups rows by setting, in order of first appearance."""
    groups = group(rows)
    names = labels(list(groups))
    return [_summary(names[setting], found) for setting, found in groups.items()]


def group(rows: Iterable[ResultRow]) -> dict[Setting, list[ResultRow]]:
    """Groups rows by setting, in order of first appearance."""
    found: dict[tuple[Any, ...], list[ResultRow]] = {}
    for row in rows:
        found.setdefault(_setting_key(row), []).append(row)
    return {rows[0].setting: rows for rows in found.values()}


def labels(settings: Sequence[Setting]) -> dict[Setting, str]:
    """Names each setting by its agent and by what is not the same in all of them."""
    vary = [
        name
        for name in ("problems", "policy", "format", "budget")
        if len({getattr(setting, name) for setting in settings}) > 1
    ]
    return {setting: " ".join([setting.agent, *_details(setting, vary)]) for setting in settings}


def budget_words(budget: Budget) -> str:
    """Says what a budget allows, e.g. "1,024 tokens"."""
    limits = [(unit, limit) for unit, limit in asdict(budget).items() if limit is not None]
    return ", ".join(_limit_words(unit, limit) for unit, limit in limits) or "no limit"


def counted(number: float, noun: str) -> str:
    """Says a number of things, e.g. "1 simulation", "1,024 tokens"."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def _limit_words(unit: str, limit: float) -> str:
    return (
        f"{limit:.4g} FLOPs" if unit == "flops" else counted(limit, unit.removesuffix("s").replace("_", " "))
    )


def _details(setting: Setting, names: Sequence[str]) -> list[str]:
    return [
        f"@ {budget_words(setting.budget)}" if name == "budget" else getattr(setting, name) for name in names
    ]


def _summary(name: str, group: Sequence[ResultRow]) -> AgentSummary:
    rows = [row for row in group if row.counted]
    return AgentSummary(
        agent=name,
        setting=group[0].setting,
        solved=sum(row.solved for row in rows),
        total=len(rows),
        share=solved_share(rows),
        committed=sum(row.code is not None for row in rows),
        usage=Usage(*map(sum, zip(*(_costs(row.usage) for row in rows), strict=True))),
        tests_passed=share_of_tests(rows),
        timed=all(row.timed for row in rows),
        untested=sum(row.untested for row in rows),
        missing=len(group) - len(rows),
        capped=sum(row.capped for row in rows),
        failed=sum(bool(row.error) for row in rows),
    )


def seeds_by_problem(rows: Iterable[ResultRow]) -> dict[tuple[str, str], list[bool]]:
    """Returns by problem whether each seed solved it; rows that do not count are left out.

    Tables, curves, areas, pass@k, comparisons and figures are all made of this.
    """
    found: dict[tuple[str, str], list[bool]] = {}
    for row in rows:
        if row.counted:
            found.setdefault((_file_name(row.problems), row.task_id), []).append(row.outcome is Outcome.PASS)
    return found


def solved_share(rows: Iterable[ResultRow]) -> Estimate:
    """Estimates the share of problems solved, seeds averaged within a problem."""
    return estimate_share([sum(solved) / len(solved) for solved in seeds_by_problem(rows).values()])


def share_of_tests(rows: Iterable[ResultRow]) -> float:
    """Returns the mean share of hidden tests passed, in [0, 1], of the rows that have some; else NaN."""
    shares = [row.passed / row.total for row in rows if row.counted and not row.untested]
    return sum(shares) / len(shares) if shares else math.nan


def missing_note(rows: Iterable[ResultRow]) -> str:
    """Says how many rows do not count; empty if all do."""
    found = list(rows)
    missing = sum(not row.counted for row in found)
    return f"Left out: {missing} of {len(found)} rows, which the judge could not decide." if missing else ""


def overdrawn_note(rows: Iterable[ResultRow]) -> str:
    """Says how many searches spent more than they were given; empty if none did."""
    found = list(rows)
    overdrawn = sum(row.overdrawn for row in found)
    if not overdrawn:
        return ""
    return (
        f"Overdrawn: {overdrawn} of {len(found)} searches, by a server that sends more than max_tokens. "
        "What it sent is counted, and what the budget did not pay for was not used."
    )


def failed_note(summaries: Iterable[AgentSummary]) -> str:
    """Says how many rows of which agents failed; empty if none did."""
    failed = [f"{one.failed} of {one.agent}" for one in summaries if one.failed]
    return f"Failed, and counted as not solved: {', '.join(failed)}." if failed else ""


def untested_note(rows: Iterable[ResultRow]) -> str:
    """Says which problems have no hidden tests; empty if all have some, judged or not (`missing_note`)."""
    found = list(rows)
    lacking = list(dict.fromkeys(row.task_id for row in found if row.untested and row.counted))
    if not lacking:
        return ""
    problems = len({row.task_id for row in found})
    return (
        f"No hidden tests: {len(lacking)} of {problems} problems ({', '.join(lacking)}). "
        "They are counted, and never as solved."
    )


HEADINGS = ("agent", "solved", "%, 95 % int.", "tests", "code", "tokens", "spent", "calls", "runs", "latency")
LEGEND = (
    "solved: every hidden test passed; tests: % of hidden tests passed; code: programs committed; "
    "spent: share of the budget; runs: programs judged; costs: means per problem; latency: seconds from a "
    "problem's start to its answer"
)


def _cells(summary: AgentSummary) -> tuple[str, ...]:
    total, usage, mean = summary.total, summary.usage, summary.mean
    return (
        summary.agent,
        f"{summary.solved}/{total}" + ("*" if summary.untested else ""),
        summary.share.percent(),
        "–" if math.isnan(summary.tests_passed) else f"{100 * summary.tests_passed:.0f}",
        f"{summary.committed}/{total}",
        f"{mean(usage.tokens):,.0f}",
        share_words(summary.spent),
        f"{mean(usage.calls):,.1f}",
        f"{mean(usage.executions):,.1f}",
        f"{mean(usage.seconds):,.1f}" if summary.timed else "",
    )


def share_words(share: float | None) -> str:
    """Says a share in [0, 1], e.g. "98 %"; nothing for None."""
    return "" if share is None else f"{100 * share:.0f} %"


def markdown_report(
    title: str,
    rows: Sequence[ResultRow],
    config: Mapping[str, Any],
    pages: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Writes report.md: what was run, a row per setting, and a grid with a row per problem.

    Args:
        title: First line.
        rows: All rows.
        config: What was run.
        pages: Address of the tree page of a problem.
    """
    summaries = summarize(rows)
    lines = [f"# {title}", ""]
    lines += [f"- **{key}**: `{value}`" for key, value in config.items()]
    lines += ["", f"{LEGEND.capitalize()}. Agents see public tests only.", ""]
    lines += _markdown_table(HEADINGS, [_cells(summary) for summary in summaries])
    if note := untested_note(rows):
        lines += ["", f"\\* {note}"]
    if any(summary.share.rough for summary in summaries):
        lines += ["", f"{ROUGH_LEGEND}."]
    for note in filter(None, (missing_note(rows), failed_note(summaries), overdrawn_note(rows))):
        lines += ["", note]
    if capped := [summary.agent for summary in summaries if summary.capped]:
        lines += ["", f"Ended by themselves, at a cap of their own, with budget left: {', '.join(capped)}."]
    lines += ["", "## By problem", ""]
    lines += _markdown_table(
        ("problem", *(summary.agent for summary in summaries)), _grid(rows, summaries, pages)
    )
    failed = [row for row in rows if row.error]
    if failed:
        lines += ["", "## Without an answer", ""]
        lines += [f"- `{row.task_id}` · {row.agent}: {row.error}" for row in failed]
    return "\n".join(lines) + "\n"


def _grid(
    rows: Sequence[ResultRow], summaries: Sequence[AgentSummary], pages: Mapping[str, str]
) -> list[tuple[str, ...]]:
    columns: dict[Setting, dict[str, list[str]]] = {}
    for setting, found in group(rows).items():
        cells = columns.setdefault(setting, {})
        for row in found:
            cell = "solved" if row.solved else (row.outcome or row.missing).replace("_", " ")
            cells.setdefault(row.task_id, []).append(cell)
    shown = [columns[summary.setting] for summary in summaries]
    tasks = dict.fromkeys(row.task_id for row in rows)
    names = {task: f"[{task}]({pages[task]})" if task in pages else task for task in tasks}
    return [(names[task], *(", ".join(cells.get(task, [])) for cells in shown)) for task in tasks]


def _markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
