"""How often intervals hold a truth that is known, by number of problems and seeds.

    python benchmarks/evidence/coverage.py [--runs 2000]

Runs are simulated: problems have difficulties drawn from Beta distributions, seeds are independent given the
problem. A row is a number of problems; a cell has the lowest and the highest coverage in % over the truths,
and ``~`` where most of the intervals say that they are rough.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from o1coder_gym.statistics import Estimate, estimate_difference, estimate_share, wilson_interval

PROBLEMS = (2, 5, 10, 20, 30, 50, 100, 200, 500)
SEEDS = (1, 3, 10)
DIFFICULTIES = ((0.3, 0.3), (1.0, 2.0), (2.0, 2.0), (40.0, 60.0), (0.5, 4.5))
GAPS = ((0.5, 0.5, 0.0), (1.0, 1.0, 0.1), (2.0, 5.0, 0.05))


def shares(dice: np.random.Generator, truth: Any, problems: int, seeds: int) -> tuple[Any, float]:
    """Returns the share of seeds that solve each problem, and the true share."""
    a, b = truth
    return dice.binomial(seeds, dice.beta(a, b, problems)) / seeds, a / (a + b)


def gaps(dice: np.random.Generator, truth: Any, problems: int, seeds: int) -> tuple[Any, float]:
    """Returns the difference of two agents at each problem, and the true one."""
    a, b, more = truth
    chance = dice.beta(a, b, problems) * (1 - more)
    return (dice.binomial(seeds, chance + more) - dice.binomial(seeds, chance)) / seeds, more


def over_runs(seeds: int) -> Callable[[Any], Estimate]:
    """Wilson's interval over problems × seeds, as it was before: the wrong unit."""

    def make(values: Any) -> Estimate:
        runs = seeds * len(values)
        return Estimate(
            float(values.mean()), *wilson_interval(round(seeds * float(values.sum())), runs), runs
        )

    return make


def cell(
    make: Callable[[Any], Estimate], draw: Any, truths: Any, problems: int, seeds: int, runs: int
) -> str:
    """Returns the range of the coverage over the truths."""
    covered, rough = [], 0
    for place, truth in enumerate(truths):
        dice = np.random.default_rng([place, problems, seeds])
        held = 0
        for _ in range(runs):
            values, true = draw(dice, truth, problems, seeds)
            found = make(values)
            held += found.low <= true <= found.high
            rough += found.rough
        covered.append(100 * held / runs)
    mark = "~" if rough > 0.5 * runs * len(truths) else ""
    return f"{min(covered):.1f}–{max(covered):.1f}{mark}"


def main() -> None:
    """Prints a table per kind of interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    runs = parser.parse_args().runs
    kinds = (
        ("share, `estimate_share`", lambda seeds: estimate_share, shares, DIFFICULTIES),
        ("share, Wilson over problems × seeds (before)", over_runs, shares, DIFFICULTIES),
        ("difference, `estimate_difference`", lambda seeds: estimate_difference, gaps, GAPS),
    )
    for title, make, draw, truths in kinds:
        print(f"\n{title}\n\n| problems | {' | '.join(f'{seeds} seeds' for seeds in SEEDS)} |")
        print("|" + " --- |" * (1 + len(SEEDS)))
        for problems in PROBLEMS:
            cells = [cell(make(seeds), draw, truths, problems, seeds, runs) for seeds in SEEDS]
            print(f"| {problems} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
