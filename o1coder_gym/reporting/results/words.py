"""Numbers, shares and budgets in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from o1coder_gym.runs.budget import Budget


def budget_words(budget: Budget) -> str:
    """Returns a budget in words, e.g. "1,024 tokens"."""
    limits = [(unit, limit) for unit, limit in asdict(budget).items() if limit is not None]
    return ", ".join(_limit_words(unit, limit) for unit, limit in limits) or "no limit"


def budgets_words(budgets: Iterable[Budget]) -> str:
    """Says budgets, the smallest first; their unit once where it is the same of all."""
    ordered = sorted(budgets, key=lambda one: one.size)
    words = [budget_words(budget) for budget in ordered]
    units = {word.partition(" ")[2] for word in words}
    if len(units) > 1:
        return "; ".join(words)
    return " ".join([" · ".join(word.partition(" ")[0] for word in words), *units])


def counted(number: float, noun: str) -> str:
    """Returns a number of things in words, e.g. "1 simulation", "1,024 tokens"."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def _limit_words(unit: str, limit: float) -> str:
    return (
        f"{limit:.4g} FLOPs" if unit == "flops" else counted(limit, unit.removesuffix("s").replace("_", " "))
    )


def share_words(share: float | None) -> str:
    """Formats a share in [0, 1], e.g. "98 %"; empty for None."""
    return "" if share is None else f"{100 * share:.0f} %"
