"""Estimates in the terminal: a line each, or the interval of one."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.console import Group
from rich.table import Table
from rich.text import Text

from o1coder_gym.metrics.estimates import ROUGH, ROUGH_LEGEND, Estimate
from o1coder_gym.reporting.tables.terminal_table import legend_text


def estimate_table(estimates: Mapping[str, Estimate], value: str, of: str, title: str | None = None) -> Group:
    """Builds a table of estimates with their 95 % intervals and what marks these.

    Args:
        estimates: By name.
        value: What they are, e.g. mean.
        of: What they are made of, e.g. problems.
        title: Stands above it.
    """
    table = Table("", value, "95 % interval", of, title=title, box=None)
    for name, one in estimates.items():
        number = f"{one.value:.3f}" if not math.isnan(one.value) else "–" if one.count else "not measured"
        table.add_row(name, number, one.ends, str(one.count))
    return Group(table, interval_legend())


def interval_legend() -> Text:
    """Returns what stands below a table with intervals."""
    return legend_text(ROUGH_LEGEND)


def interval_text(low: float, high: float, *, rough: bool, signed: bool = False) -> str:
    """Formats the interval of a share, or with its signs that of a difference, e.g. "12.0% – 77.1%~"."""
    ends = f"{low:+.1%} – {high:+.1%}" if signed else f"{low:.1%} – {high:.1%}"
    return ends + ROUGH * rough
