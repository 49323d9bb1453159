"""The tables of a run as rows for other tools: results, differences, pass@k, results by problem."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from o1coder_gym.reporting.comparison import Comparison
from o1coder_gym.reporting.results import AgentSummary, ResultRow
from o1coder_gym.reporting.run_report import RunReport
from o1coder_gym.reporting.tables.export import SUFFIXES, Cell, Grid, write_grid
from o1coder_gym.reporting.tables.measures import areas, measures
from o1coder_gym.runs.budget import UNLIMITED, Budget

_DETAILS = frozenset({"tests_passed", "calls_used", "executions_used"})
"""Columns of the results that a paper has no room for."""


def run_grids(report: RunReport) -> Iterator[Grid]:
    """Yields the tables of a report: shares in [0, 1], costs as means per run.

    Of times, ``latency_s`` is the mean from a problem's start to its answer, ``wall_s`` the agent's share of
    the run.
    """
    limits = _limits(summary.setting.budget for summary in report.summaries)
    yield Grid("results", [_result(summary, limits) for summary in report.summaries], _DETAILS)
    compared = [one for one in report.differences if one is not None]
    if compared:
        yield comparison_grid(compared, "differences")
    if found := measures(report.rows):
        ks = sorted({k for one in found for k in one.pass_at})
        yield Grid(
            "pass_at_k",
            [
                {"agent": one.name, **{f"pass@{k}": _value(one.pass_at, k) for k in ks}, "flops": one.flops}
                for one in found
            ],
        )
    if curves := areas(report.rows):
        yield Grid("areas", [{"agent": name, "area": area} for name, area in curves.items()])
    if report.profile:
        parts = list(dict.fromkeys(part for seconds in report.profile.values() for part in seconds))
        yield Grid(
            "profile",
            [
                {"agent": agent, **{_part_column(part): seconds.get(part) for part in parts}}
                for agent, seconds in report.profile.items()
            ],
        )
    yield Grid("problems", [_problem(row, dict.fromkeys(("tokens", *limits))) for row in report.rows])


def comparison_grid(compared: Sequence[Comparison], name: str = "comparison") -> Grid:
    """Returns comparisons as rows; differences and their 95 % intervals are shares, not points."""
    return Grid(name, [_compared(one) for one in compared])


def write_tables(grids: Sequence[Grid], folder: Path, kinds: Sequence[str]) -> list[Path]:
    """Writes tables in the formats of `SUFFIXES`; returns the files.

    Raises:
        MissingExtraError: When pyarrow is not installed, for Parquet.
    """
    return [write_grid(grid, folder / f"{grid.name}{SUFFIXES[kind]}") for kind in kinds for grid in grids]


def _part_column(part: str) -> str:
    return part if part == "requests" else f"{part}_s"  # of `Profile`, the only count


def _limits(budgets: Iterable[Budget]) -> list[str]:
    """Returns what any of the budgets limits: all rows of a table have the same columns."""
    rows = [asdict(budget) for budget in budgets]
    return [name for name in asdict(UNLIMITED) if any(row[name] is not None for row in rows)]


def _result(summary: AgentSummary, limits: Iterable[str]) -> dict[str, Cell]:
    setting, usage = summary.setting, summary.usage
    return {
        "agent": setting.agent,
        **{name: getattr(setting.budget, name) for name in limits},
        "problems": setting.problems,
        "policy": setting.policy,
        "format": setting.format,
        "solved": summary.solved,
        "runs": summary.total,
        "failed": summary.failed,
        "undecided": summary.missing,
        "share": summary.rate,
        "low": summary.interval[0],
        "high": summary.interval[1],
        "tests_passed": summary.tests_passed,
        "spent": summary.spent,
        "tokens_used": summary.mean(usage.tokens),
        "calls_used": summary.mean(usage.calls),
        "executions_used": summary.mean(usage.executions),
        "latency_s": summary.mean(usage.seconds) if summary.timed else None,
    }


def _compared(one: Comparison) -> dict[str, Cell]:
    gap = one.difference
    return {
        "a": one.a,
        "b": one.b,
        "solved_a": one.solved_a,
        "solved_b": one.solved_b,
        "difference": gap.mean,
        "low": gap.low,
        "high": gap.high,
        "problems": gap.count,
        "differing": one.differing,
        "p": one.p,
        "p_corrected": one.p_corrected,
        "conclusion": one.conclusion,
    }


def _problem(row: ResultRow, limits: Iterable[str]) -> dict[str, Cell]:
    return {
        "problem": row.task_id,
        "agent": row.agent,
        "seed": row.seed,
        **{name: getattr(row.budget, name) for name in limits},
        "solved": row.solved,
        "outcome": row.outcome.value if row.outcome else row.missing,
        "passed": row.passed,
        "total": row.total,
        "tokens_used": row.usage.tokens,
    }


def _value(by_k: Mapping[int, object], k: int) -> Cell:
    return getattr(by_k.get(k), "value", None)
