"""Result rows of a benchmark, their summaries per setting, and the words that tables share."""

from o1coder_gym.reporting.results.notes import failed_note, missing_note, overdrawn_note, untested_note
from o1coder_gym.reporting.results.rows import (
    FAILURES,
    ORACLE,
    PROFILE,
    RESULTS,
    ResultRow,
    Setting,
    read_results,
)
from o1coder_gym.reporting.results.summaries import (
    AgentSummary,
    group,
    labels,
    seeds_by_problem,
    share_of_tests,
    solved_share,
    summarize,
)
from o1coder_gym.reporting.results.words import budget_words, budgets_words, counted, share_words

__all__ = [
    "FAILURES",
    "ORACLE",
    "PROFILE",
    "RESULTS",
    "AgentSummary",
    "ResultRow",
    "Setting",
    "budget_words",
    "budgets_words",
    "counted",
    "failed_note",
    "group",
    "labels",
    "missing_note",
    "overdrawn_note",
    "read_results",
    "seeds_by_problem",
    "share_of_tests",
    "share_words",
    "solved_share",
    "summarize",
    "untested_note",
]
