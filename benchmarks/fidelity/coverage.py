"""How often intervals hold a truth that is known, by number of problems and seeds.

    python benchmarks/fidelity/coverage.py [--runs 2000] [--kind share …]

Every kind of interval that the project prints: shares (solved, pass@k, ASPR per problem, rates of test
generators, curves of RL), ratios (ASPR per path, reliability of steps, votes, episodes of a chooser),
differences (comparisons, gains of self-play, lifts of a PRM), means (tests and tokens a problem) and the
bootstrap (AUC, accuracy and pairs of a PRM). Runs are simulated: problems have difficulties drawn from Beta
distributions, seeds are independent given the problem. A row is a number of problems; a cell has the lowest
and the highest coverage in % over the truths for which most intervals stand without a mark, and behind
``~`` over those for which most say that they are rough.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from o1coder_gym.metrics.estimates import (
    Estimate,
    estimate,
    estimate_difference,
    estimate_mean,
    estimate_share,
    wilson_interval,
)
from o1coder_gym.prm.metrics import accuracy, auc

PROBLEMS = (2, 5, 10, 20, 30, 50, 100, 200, 500)
SEEDS = (1, 3, 10)
DIFFICULTIES = ((0.3, 0.3), (1.0, 2.0), (2.0, 2.0), (40.0, 60.0), (0.5, 4.5))
GAPS = ((0.5, 0.5, 0.0), (1.0, 1.0, 0.1), (2.0, 5.0, 0.05))
SCORERS = ((0.0, 1.0), (1.0, 0.5), (2.0, 2.0))
_RESAMPLES = 300

Dice: TypeAlias = np.random.Generator
Draw: TypeAlias = Callable[[Dice, Any, int, int], tuple[Any, float]]
"""(dice, truth, problems, seeds) → what an interval is made of, and the true value."""


def shares(dice: Dice, truth: Any, problems: int, seeds: int) -> tuple[Any, float]:
    """Returns the share of seeds that solve each problem, and the true share."""
    a, b = truth
    return (dice.binomial(seeds, dice.beta(a, b, problems)) / seeds,), a / (a + b)


def ratios(dice: Dice, truth: Any, problems: int, seeds: int) -> tuple[Any, float]:
    """Returns shares and the number of paths behind each, 1 to 4; harder problems have fewer."""
    a, b = truth
    chance = dice.beta(a, b, problems)
    paths = 1 + dice.binomial(3, chance)
    # E[(1 + 3 c) c] / E[1 + 3 c] with the moments of Beta(a, b)
    mean, square = a / (a + b), a * (a + 1) / ((a + b) * (a + b + 1))
    return (dice.binomial(seeds * paths, chance) / (seeds * paths), paths), (mean + 3 * square) / (
        1 + 3 * mean
    )


def gaps(dice: Dice, truth: Any, problems: int, seeds: int) -> tuple[Any, float]:
    """Returns the difference of two agents at each problem, and the true one."""
    a, b, more = truth
    chance = dice.beta(a, b, problems) * (1 - more)
    return ((dice.binomial(seeds, chance + more) - dice.binomial(seeds, chance)) / seeds,), more


def counts(dice: Dice, truth: Any, problems: int, seeds: int) -> tuple[Any, float]:
    """Returns the number of tests or tokens of each problem, of at most 20, and the true mean."""
    a, b = truth
    return (dice.binomial(20, dice.beta(a, b, problems)).astype(float),), 20 * a / (a + b)


def scored(dice: Dice, truth: Any, problems: int, seeds: int) -> tuple[Any, Any]:
    """Returns scores and labels of 2 + `seeds` steps a problem; the scorer knows problems and steps apart."""
    step, problem = truth
    level = dice.normal(size=(problems, 1))
    labels = (level + dice.normal(size=(problems, 2 + seeds)) > 0.3).astype(float)
    scores = step * labels + problem * level + dice.normal(size=labels.shape)
    return (1 / (1 + np.exp(-scores)), labels), None


def bootstrapped(statistic: Callable[[Any, Any], float]) -> Callable[..., Estimate]:
    """Returns the bootstrap interval of a statistic of scores and labels."""

    def make(scores: Any, labels: Any) -> Estimate:
        width = scores.shape[1]
        groups = {str(row): range(row * width, (row + 1) * width) for row in range(len(scores))}
        flat, hard = scores.ravel(), labels.ravel()
        return estimate(
            groups, lambda some: statistic(flat[list(some)], hard[list(some)]), resamples=_RESAMPLES
        )

    return make


def over_runs(seeds: int) -> Callable[..., Estimate]:
    """Wilson's interval over problems × seeds, as it was before: the wrong unit."""

    def make(values: Any) -> Estimate:
        runs = seeds * len(values)
        return Estimate(
            float(values.mean()), *wilson_interval(round(seeds * float(values.sum())), runs), runs
        )

    return make


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of interval.

    Attributes:
        title: Stands above its table.
        make: By number of seeds, what makes the interval.
        draw: Simulates what it is made of.
        truths: Parameters of `draw`.
        statistic: What is estimated, where `draw` does not know its true value.
        problems: Rows of the table.
    """

    title: str
    make: Callable[[int], Callable[..., Estimate]]
    draw: Draw
    truths: Sequence[Any]
    statistic: Callable[[Any, Any], float] | None = None
    problems: Sequence[int] = PROBLEMS


def _of_scorer(title: str, statistic: Callable[[Any, Any], float]) -> Kind:
    return Kind(title, lambda _: bootstrapped(statistic), scored, SCORERS, statistic, (10, 50, 100))


KINDS: Mapping[str, Kind] = {
    "share": Kind("share, `estimate_share`", lambda _: estimate_share, shares, DIFFICULTIES),
    "before": Kind("share, Wilson over problems × seeds (before)", over_runs, shares, DIFFICULTIES),
    "ratio": Kind("ratio, `estimate_share` with weights", lambda _: estimate_share, ratios, DIFFICULTIES),
    "difference": Kind("difference, `estimate_difference`", lambda _: estimate_difference, gaps, GAPS),
    "mean": Kind("mean of counts, `estimate_mean`", lambda _: estimate_mean, counts, DIFFICULTIES),
    "auc": _of_scorer("AUC, `estimate`", auc),
    "accuracy": _of_scorer("accuracy, `estimate`", accuracy),
}


@cache
def _true_value(kind: str, truth: Any, seeds: int) -> float:
    """Returns the statistic of 100,000 problems."""
    (scores, labels), _ = KINDS[kind].draw(np.random.default_rng(0), truth, 100_000, seeds)
    statistic = KINDS[kind].statistic
    assert statistic is not None
    return statistic(scores.ravel(), labels.ravel())


def cell(name: str, problems: int, seeds: int, runs: int) -> str:
    """Returns the range of the coverage over the truths, without a mark and with one."""
    kind, plain, marked = KINDS[name], [], []
    make = kind.make(seeds)
    for place, truth in enumerate(kind.truths):
        dice = np.random.default_rng([place, problems, seeds])
        held = rough = 0
        for _ in range(runs):
            values, known = kind.draw(dice, truth, problems, seeds)
            true = _true_value(name, truth, seeds) if known is None else known
            found = make(*values)
            held += found.low <= true <= found.high
            rough += found.rough
        (marked if rough > 0.5 * runs else plain).append(100 * held / runs)
    return ", ".join(
        f"{mark}{min(found):.1f}–{max(found):.1f}" for mark, found in (("", plain), ("~", marked)) if found
    )


def main() -> None:
    """Prints a table per kind of interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000, help="simulated runs a truth")
    parser.add_argument("--kind", action="append", choices=[*KINDS], help="only this one; may be repeated")
    asked = parser.parse_args()
    for name in asked.kind or KINDS:
        kind = KINDS[name]
        print(f"\n{kind.title}\n\n| problems | {' | '.join(f'{seeds} seeds' for seeds in SEEDS)} |")
        print("|" + " --- |" * (1 + len(SEEDS)))
        for problems in kind.problems:
            cells = [cell(name, problems, seeds, asked.runs) for seeds in SEEDS]
            print(f"| {problems} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
