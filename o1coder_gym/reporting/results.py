"""Result rows of a benchmark, their summary per agent, and the tables made from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from o1coder_gym.metrics import wilson_interval
from o1coder_gym.types import Outcome, Usage


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One agent on one problem with one seed, judged on hidden tests.

    Attributes:
        task_id: The problem.
        agent: The agent as it was named on the command line, parameters included.
        seed: Run seed.
        outcome: Of the chosen code on the hidden tests; None if the agent committed no code, or
            if the run of it failed for a reason given in `error`.
        passed: Hidden tests passed.
        total: Hidden tests.
        value: The agent's own estimate in [0, 1].
        code: The chosen program, None without one.
        steps: Reasoning steps of the chosen path, the code step included.
        usage: What was spent.
        error: Empty, or one line on why there is no answer.
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

    @property
    def solved(self) -> bool:
        """Whether every hidden test passed."""
        return self.outcome is Outcome.PASS

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict; `from_row` is its inverse."""
        return asdict(self) | {"solved": self.solved}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ResultRow:
        """Reads what `to_row` wrote."""
        fields = {name: row[name] for name in cls.__slots__}
        fields["outcome"] = Outcome(row["outcome"]) if row["outcome"] else None
        fields["usage"] = Usage(**row["usage"])
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class AgentSummary:
    """All rows of one agent.

    Attributes:
        agent: Its name with parameters.
        solved: Rows with every hidden test passed.
        total: Rows.
        interval: 95 % Wilson interval of solved / total.
        committed: Rows with code.
        usage: Sums over the rows; `seconds` is the sum of the per-problem latencies.
    """

    agent: str
    solved: int
    total: int
    interval: tuple[float, float]
    committed: int
    usage: Usage


def summarize(rows: Iterable[ResultRow]) -> list[AgentSummary]:
    """Groups rows by agent, in order of first appearance."""
    groups: dict[str, list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(row.agent, []).append(row)
    return [_summary(agent, group) for agent, group in groups.items()]


def _summary(agent: str, rows: Sequence[ResultRow]) -> AgentSummary:
    solved = sum(row.solved for row in rows)
    return AgentSummary(
        agent=agent,
        solved=solved,
        total=len(rows),
        interval=wilson_interval(solved, len(rows)),
        committed=sum(row.code is not None for row in rows),
        usage=sum((row.usage for row in rows), Usage()),
    )


HEADINGS = ("agent", "solved", "%, 95 % int.", "code", "tokens", "calls", "runs", "seconds")
LEGEND = "solved: every hidden test passed; code: programs committed; costs: means per problem"


def _cells(summary: AgentSummary) -> tuple[str, ...]:
    low, high = summary.interval
    total = summary.total
    usage = summary.usage
    return (
        summary.agent,
        f"{summary.solved}/{total}",
        f"{100 * summary.solved / total:.1f} ({100 * low:.0f} to {100 * high:.0f})",
        f"{summary.committed}/{total}",
        f"{usage.tokens / total:,.0f}",
        f"{usage.calls / total:,.1f}",
        f"{usage.executions / total:,.1f}",
        f"{usage.seconds / total:,.1f}",
    )


def terminal_table(summaries: Sequence[AgentSummary], title: str) -> Table:
    """Builds the table that the terminal shows."""
    table = Table(title=title, caption=LEGEND, padding=(0, 1, 0, 0))
    for column, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if column == 0 else "right", no_wrap=True)
    for summary in summaries:
        table.add_row(*_cells(summary))
    return table


def markdown_report(title: str, rows: Sequence[ResultRow], config: Mapping[str, Any]) -> str:
    """Writes report.md: what was run, a row per agent, and a grid with a row per problem."""
    summaries = summarize(rows)
    lines = [f"# {title}", ""]
    lines += [f"- **{key}**: `{value}`" for key, value in config.items()]
    lines += ["", f"{LEGEND.capitalize()}. Agents see public tests only.", ""]
    lines += _markdown_table(HEADINGS, [_cells(summary) for summary in summaries])
    lines += ["", "## By problem", ""]
    lines += _markdown_table(("problem", *(summary.agent for summary in summaries)), _grid(rows, summaries))
    failed = [row for row in rows if row.error]
    if failed:
        lines += ["", "## Without an answer", ""]
        lines += [f"- `{row.task_id}` · {row.agent}: {row.error}" for row in failed]
    return "\n".join(lines) + "\n"


def _grid(rows: Sequence[ResultRow], summaries: Sequence[AgentSummary]) -> list[tuple[str, ...]]:
    cells: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        cell = "solved" if row.solved else (row.outcome or "no code").replace("_", " ")
        cells.setdefault((row.task_id, row.agent), []).append(cell)
    tasks = dict.fromkeys(row.task_id for row in rows)
    return [(task, *(", ".join(cells.get((task, s.agent), [])) for s in summaries)) for task in tasks]


def _markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
