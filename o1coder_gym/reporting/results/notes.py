"""Notes for readers of results: rows that do not count, failed, or have no hidden tests."""

from __future__ import annotations

from collections.abc import Iterable

from o1coder_gym.reporting.results.rows import ResultRow
from o1coder_gym.reporting.results.summaries import AgentSummary


def missing_note(rows: Iterable[ResultRow]) -> str:
    """Returns a sentence on the rows that do not count; empty if all do."""
    found = list(rows)
    missing = sum(not row.counted for row in found)
    return f"Left out: {missing} of {len(found)} rows, which the judge could not decide." if missing else ""


def overdrawn_note(rows: Iterable[ResultRow]) -> str:
    """Returns a sentence on searches that exceeded their budget; empty if none did."""
    found = list(rows)
    overdrawn = sum(row.overdrawn for row in found)
    if not overdrawn:
        return ""
    return (
        f"Overdrawn: {overdrawn} of {len(found)} searches, by a server that sends more than max_tokens. "
        "What it sent is counted, and what the budget did not pay for was not used."
    )


def failed_note(summaries: Iterable[AgentSummary]) -> str:
    """Returns a sentence on the failed rows of each agent; empty if none failed."""
    failed = [f"{one.failed} of {one.agent}" for one in summaries if one.failed]
    return f"Failed, and counted as not solved: {', '.join(failed)}." if failed else ""


def untested_note(rows: Iterable[ResultRow]) -> str:
    """Returns a sentence on problems without hidden tests; empty if all have some, judged or not."""
    found = list(rows)
    lacking = list(dict.fromkeys(row.task_id for row in found if row.untested and row.counted))
    if not lacking:
        return ""
    problems = len({row.task_id for row in found})
    return (
        f"No hidden tests: {len(lacking)} of {problems} problems ({', '.join(lacking)}). "
        "They are counted, and never as solved."
    )
