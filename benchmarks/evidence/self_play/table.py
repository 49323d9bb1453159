"""Prints what methods of self-play gain over the first policy and over SFT, by Student's interval over seeds.

Command::

    python benchmarks/evidence/self_play/table.py --out runs/gains
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.main import main_of
from o1coder_gym.metrics.estimates import Estimate, estimate_mean
from o1coder_gym.runs.journal import read_rows
from o1coder_gym.settings import Checked


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSettings(Checked):
    """Table.

    Attributes:
        out: Folder of `gains`, or of its journals.
    """

    out: Path


def table(settings: TableSettings) -> None:
    """Prints gains over the first policy and over SFT, with Student's interval over seeds."""
    names = ("gains.jsonl", "rounds.jsonl", "pairs/rounds.jsonl")
    rows = [row for path in map(settings.out.joinpath, names) if path.exists() for row in read_rows(path)]
    found = {(row["method"], row["version"], row["seed"]): row for row in rows}
    print("| method | version | seeds | test pass@1 by seed | over the start | over SFT | greedy, over SFT |")
    print("|---|---|---|---|---|---|---|")
    for method, version in dict.fromkeys(key[:2] for key in found):
        seeds = _seeds(found, method, version)
        rates = [mean(found[method, version, seed]["pass_rate"]) for seed in seeds]
        over_start = _over(found, (method, version), ("start", ""), seeds)
        over_sft = [
            _over(found, (method, version), ("sft", version), seeds, name) for name in ("pass_rate", "greedy")
        ]
        by_seed = ", ".join(f"{100 * rate:.1f}" for rate in rates)
        cells = [method, version, str(len(seeds)), by_seed, *map(_points, (over_start, *over_sft))]
        print(f"| {' | '.join(cells)} |")
    for method, version in dict.fromkeys(key[:2] for key in found):
        if version not in ("", "before") and ((method, "before") in {key[:2] for key in found}):
            apart = _over(found, (method, version), (method, "before"), _seeds(found, method, version))
            print(f"{method}: {version} less before {_points(apart)} over {apart.count} seeds")


def _seeds(found: Mapping[tuple[str, str, int], Any], method: str, version: str) -> list[int]:
    return sorted(seed for name, by, seed in found if (name, by) == (method, version))


def _over(
    found: Mapping[tuple[str, str, int], Mapping[str, Any]],
    one: tuple[str, str],
    other: tuple[str, str],
    seeds: Sequence[int],
    name: str = "pass_rate",
) -> Estimate:
    """Estimates the mean difference over the seeds that both have."""
    both = [seed for seed in seeds if (*other, seed) in found]
    return estimate_mean([mean(found[*one, seed][name]) - mean(found[*other, seed][name]) for seed in both])


def _points(over: Estimate) -> str:
    if math.isnan(over.value):
        return "–"
    ends = "" if math.isnan(over.low) else f" [{100 * over.low:+.1f}, {100 * over.high:+.1f}]"
    return f"{100 * over.value:+.1f}{ends}"


def told(row: Mapping[str, Any]) -> str:
    """Returns a row as a line."""
    where = f"seed {row['seed']}, {row['method']} {row['version']}"
    return f"{where}: pass@1 {mean(row['pass_rate']):.1%}, greedy {mean(row['greedy']):.1%}"


def mean(values: Sequence[float]) -> float:
    """Returns the mean of a row's values over the problems."""
    return sum(values) / len(values)


if __name__ == "__main__":
    sys.exit(main_of(command(TableSettings, table, name="table")))
