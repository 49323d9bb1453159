"""Reliability of votes: how many tests with a given share of voters are right?

Measured on problems with references, which the voters do not see: mode B makes the tests, the reference
judges them. A calibration fitted on some problems turns the share of voters into a chance on others. One
is part of the package: ``python benchmarks/evidence/agreement.py fit`` makes it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics import Bin, Estimate, estimate_share, reliability
from o1coder_gym.metrics.calibration import Calibration as Fitted
from o1coder_gym.metrics.calibration import fit
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.tcg.checking.agreement import Calibration
from o1coder_gym.tcg.checking.execution import OutputJudge
from o1coder_gym.tcg.checking.validity import Claim, Standing, check_by_reference
from o1coder_gym.types import GeneratedTests

PACKAGED = Path(str(files("o1coder_gym.data"))) / "agreement.json"
"""The calibration that comes with the package."""


@dataclass(frozen=True, slots=True)
class VotedTest:
    """A test that was voted for, and the reference's verdict on it.

    Attributes:
        problem: Task id.
        weight: Its weight in [0, 1], see `GeneratedTests.weights`.
        right: Whether the reference passes it.
    """

    problem: str
    weight: float
    right: bool


def voted_tests(
    judge: OutputJudge, rows: Sequence[ProblemRow], generated: Sequence[GeneratedTests]
) -> list[VotedTest]:
    """Judges tests of mode B by references.

    Args:
        judge: Runs the references.
        rows: Problems; those without a reference are left out.
        generated: The tests of mode B for each of them, with weights.
    """
    known = [(row, one) for row, one in zip(rows, generated, strict=True) if row.reference is not None]
    claims = [Claim(row.problem, one.tests, (row.reference or "",)) for row, one in known]
    return [
        VotedTest(row.problem.task_id, weight, decided.standing is Standing.CONFIRMED)
        for (row, one), checked in zip(known, check_by_reference(judge, claims, repair=False), strict=True)
        for weight, decided in zip(one.weights, checked, strict=True)
    ]


def fit_agreement(voted: Sequence[VotedTest]) -> Fitted:
    """Fits the chance that a test is right to its share of voters, by isotonic regression.

    Raises:
        UsageError: When there is no test.
    """
    if not voted:
        raise UsageError("a calibration of votes needs tests of problems with references")
    # Isotonic: more votes never mean less, and no other shape is assumed.
    return fit("isotonic", [one.weight for one in voted], [float(one.right) for one in voted])


def write_calibration(fitted: Fitted, programs: Sequence[str], problems: int, path: Path = PACKAGED) -> None:
    """Writes a calibration of votes.

    Args:
        fitted: By `fit_agreement`.
        programs: Names of what the voters were.
        problems: How many it was fitted to.
        path: The file; by default that of the package.
    """
    knots = [
        [round(share, 4), round(chance, 4)]
        for share, chance in zip(fitted.logits, fitted.scores, strict=True)
    ]
    row = {"share_to_chance": knots, "fitted_on": {"programs": list(programs), "problems": problems}}
    path.write_text(json.dumps(row) + "\n")


@cache
def packaged_calibration(path: Path = PACKAGED) -> Calibration:
    """Returns the calibration of votes that comes with the package."""
    knots = json.loads(path.read_text())["share_to_chance"]
    shares, chances = zip(*knots, strict=True)
    return Fitted("isotonic", logits=shares, scores=chances)


def calibrated(voted: Sequence[VotedTest], calibration: Calibration) -> list[VotedTest]:
    """Returns voted tests with chances in place of shares."""
    return [replace(one, weight=calibration(one.weight)) for one in voted]


def agreement_bins(voted: Sequence[VotedTest]) -> list[Bin]:
    """Returns the reliability figure of votes, for `reporting.figures.draw_reliability`."""
    return reliability([one.weight for one in voted], [one.right for one in voted])


def share_right(voted: Sequence[VotedTest]) -> Estimate:
    """Estimates the share of right tests; those of one problem stay together."""
    by_problem: dict[str, list[bool]] = {}
    for one in voted:
        by_problem.setdefault(one.problem, []).append(one.right)
    shares = [sum(right) / len(right) for right in by_problem.values()]
    return estimate_share(shares, [len(right) for right in by_problem.values()])
