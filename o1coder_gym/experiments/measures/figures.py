"""Figures of a named result: kept with the package, read back, and compared with those of a new measurement.

Figures are compared only if they were measured with the same configuration on as many problems. Where both
sides have the outcome of each problem, they are compared in pairs; else their intervals are, which show
less. Tests are not corrected for the number of figures: a false alarm costs a look, a miss would stay.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import o1coder_gym
from o1coder_gym.metrics.estimates import UNDEFINED, Estimate, independent_difference
from o1coder_gym.metrics.significance import LEVEL, fewest_differing, permutation_test
from o1coder_gym.runs.files import write_whole
from o1coder_gym.runs.journal import read_config
from o1coder_gym.runs.provenance import config_hash

Scale: TypeAlias = Literal["quick", "full"]
Figures: TypeAlias = Mapping[str, Estimate]
"""What was found, by what it is called."""

Shares: TypeAlias = Mapping[str, float]
"""What each problem contributes to a figure, which is their mean, by task id."""

Verdict: TypeAlias = Literal["same", "no difference shown", "differs", "not compared"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

FIGURES_FILE = Path(str(files("o1coder_gym.data"))) / "figures.json"
"""Figures of this version: written by ``o1coder reproduce NAME --store``, never by hand."""

_PLANNED = ("problems", "codet")
"""Keys of the configuration of a run whose problems are given; other runs read what one of these has made."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures with all that a comparison needs.

    Attributes:
        figures: By what they are called.
        outcomes: Of those figures that are means over problems: the share of each problem.
        configuration: Digest of what they were measured with; empty where it is not known.
    """

    figures: Figures
    outcomes: Mapping[str, Shares] = field(default_factory=dict)
    configuration: str = ""


@dataclass(frozen=True, slots=True)
class Stored(Measured):
    """Figures that were stored.

    Attributes:
        made: The day, ISO 8601; empty where nothing is stored.
        version: Of the package.
    """

    made: str = ""
    version: str = ""

    @property
    def unknown(self) -> tuple[str, ...]:
        """What earlier versions did not store, without which less can be compared."""
        lacking = {"configuration": self.configuration, "outcomes by problem": self.outcomes}
        return tuple(name for name, known in lacking.items() if self.figures and not known)


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """A figure beside the stored one.

    Attributes:
        name: What it is called.
        stored: Undefined where none is stored.
        measured: Undefined where it was not measured now.
        verdict: ``same`` if no outcome differs, or, where outcomes of problems are not known, if the figures
            are equal; ``no difference shown`` if they differ by no more than chance may explain.
        why: The evidence, or what keeps them from being compared.
    """

    name: str
    stored: Estimate
    measured: Estimate
    verdict: Verdict
    why: str

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict; what is not defined is null."""
        ends = {"stored": _row(self.stored), "measured": _row(self.measured)}
        return {"name": self.name, **ends, "verdict": self.verdict, "why": self.why}


def compare_figures(stored: Measured, measured: Measured) -> list[ComparedFigure]:
    """Puts measured figures beside the stored ones, in their order, including figures that one side lacks."""
    return [_compared(name, stored, measured) for name in dict.fromkeys([*stored.figures, *measured.figures])]


def _compared(name: str, stored: Measured, measured: Measured) -> ComparedFigure:
    before, now = (one.figures.get(name, UNDEFINED) for one in (stored, measured))
    return ComparedFigure(name, before, now, *_verdict(name, stored, measured))


def _verdict(name: str, stored: Measured, measured: Measured) -> tuple[Verdict, str]:
    """Returns the verdict on a figure and the evidence."""
    if not stored.figures:
        return "not compared", "nothing stored"
    known = stored.configuration and measured.configuration
    if known and stored.configuration != measured.configuration:
        return "not compared", "stored with another configuration"
    if name not in stored.figures or name not in measured.figures:
        return "differs", "not measured now" if name in stored.figures else "not stored"
    before, now = stored.figures[name], measured.figures[name]
    if before.count != now.count:
        return "not compared", f"of {now.count:,}, stored of {before.count:,}"
    first, second = stored.outcomes.get(name), measured.outcomes.get(name)
    if not first or not second:
        return _by_intervals(before, now)
    if first.keys() != second.keys():
        return "not compared", f"{len(first.keys() ^ second.keys())} problems are of one side only"
    return _in_pairs([second[task] - first[task] for task in sorted(first)])


def _in_pairs(gaps: list[float]) -> tuple[Verdict, str]:
    """Compares the outcomes of the same problems."""
    # What was rounded otherwise is no other outcome.
    gaps = [0.0 if math.isclose(gap, 0.0, abs_tol=1e-9) else gap for gap in gaps]
    differing, p = sum(gap != 0 for gap in gaps), permutation_test(gaps)
    told = f"{differing} of {len(gaps)} problems differ"
    if not differing:
        return "same", told
    told += f", exact p = {p:.2g}" if differing >= fewest_differing() else ", too few to tell"
    return "differs" if p < LEVEL else "no difference shown", told


def _by_intervals(before: Estimate, now: Estimate) -> tuple[Verdict, str]:
    """Compares two figures of which nothing is known by problem, as if their problems were others."""
    if math.isnan(before.value) != math.isnan(now.value):
        return "differs", "defined on one side only"
    if math.isnan(before.value) or math.isclose(before.value, now.value, rel_tol=1e-9, abs_tol=1e-9):
        return "same", "equal, unpaired"
    gap = independent_difference(now, before)
    if math.isnan(gap.low):
        return "not compared", "no interval, unpaired"
    told = f"unpaired: {gap.low:+.3f} to {gap.high:+.3f}"
    return "differs" if gap.shown else "no difference shown", told


def configuration_of(out: Path) -> str:
    """Returns the digest of all that the runs in a folder were begun with; empty where there is none.

    That is problems, agents, budgets, seeds. A run that reads what another run there has made is left out:
    weights that were fitted, say, differ in rounding from machine to machine.

    Raises:
        JournalError: When a configuration cannot be read.
    """
    folders = sorted(path.parent for path in out.rglob("config.json"))
    found = {folder.relative_to(out).as_posix(): read_config(folder) for folder in folders}
    begun = {name: one["config"] for name, one in found.items() if one is not None and "config" in one}
    planned = {name: config for name, config in begun.items() if not config.keys().isdisjoint(_PLANNED)}
    return config_hash(planned) if planned else ""


def stored_figures(name: str, scale: Scale, path: Path = FIGURES_FILE) -> Stored:
    """Returns the stored figures of a result; none if nothing is stored.

    Those of earlier versions have neither outcomes nor a configuration.
    """
    row = _file(path).get(name, {}).get(scale)
    if row is None:
        return Stored({})
    return Stored(
        {label: Estimate(**_numbers(found)) for label, found in row["figures"].items()},
        _read_outcomes(row.get("problems", ()), row.get("outcomes", {})),
        row.get("configuration", ""),
        made=row["made"],
        version=row["version"],
    )


def store_figures(name: str, scale: Scale, measured: Measured, path: Path = FIGURES_FILE) -> None:
    """Stores the figures of a result in place of earlier ones."""
    made = {"made": date.today().isoformat(), "version": o1coder_gym.__version__}
    rows = _file(path)
    problems = list(dict.fromkeys(task for shares in measured.outcomes.values() for task in shares))
    rows.setdefault(name, {})[scale] = made | {
        "configuration": measured.configuration,
        "figures": {label: _row(one) for label, one in measured.figures.items()},
        "problems": problems,
        # In the order of the problems; null where one has no part in the figure.
        "outcomes": {
            label: [shares.get(task) for task in problems] for label, shares in measured.outcomes.items()
        },
    }
    text = json.dumps(rows, indent=1, allow_nan=False)
    # A list takes one line; a line break in JSON is never part of a text.
    whole = re.sub(r"\[\n[^]]*\n *\]", lambda found: re.sub(r"\n *", " ", found[0]), text)
    write_whole(path, whole + "\n")


def _read_outcomes(
    problems: Sequence[str], outcomes: Mapping[str, Sequence[float | None]]
) -> dict[str, Shares]:
    return {
        label: {task: share for task, share in zip(problems, found, strict=True) if share is not None}
        for label, found in outcomes.items()
    }


def _file(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _row(estimate: Estimate) -> dict[str, Any]:
    """Returns an estimate as JSON knows numbers: what is not defined is null."""
    return {name: None if value != value else value for name, value in asdict(estimate).items()}


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in row.items()}
