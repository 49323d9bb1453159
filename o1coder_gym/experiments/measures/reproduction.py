"""Named results: measured again and compared with the figures that the package stores of them.

``quick`` takes the tiny model, which the package ships, and minutes; ``full`` the default model and hours. On
one machine the figures of a seed come out the same to the last digit; on another one draws may differ in
rounding, so what is compared are intervals.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import o1coder_gym
from o1coder_gym.errors import UnknownNameError
from o1coder_gym.experiments.benchmark import RANDOM_PICK
from o1coder_gym.experiments.measures import codet
from o1coder_gym.experiments.measures.aspr import measure_aspr
from o1coder_gym.experiments.shards import SynthesisPlan
from o1coder_gym.experiments.suite import ProblemChoice, RunPlan, Suite, parts, run_suite
from o1coder_gym.experiments.synthesis import HarvestRules, synthesize
from o1coder_gym.experiments.training.prm import HeadSettings, MeasurementSettings, fit_heads, measure_scorer
from o1coder_gym.experiments.training.tcg import GeneratorSettings, Track, measure_generator, untracked
from o1coder_gym.metrics.estimates import UNDEFINED, Estimate, estimate_share
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.reporting.comparison import changes, comparisons, partner
from o1coder_gym.reporting.results import ORACLE, group, summarize
from o1coder_gym.reporting.tables.failures import count_failures
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.files import write_whole
from o1coder_gym.sandbox import default_judge
from o1coder_gym.settings.groups import DEFAULT_POLICY
from o1coder_gym.specs import name_of, parse

Scale: TypeAlias = Literal["quick", "full"]
Figures: TypeAlias = Mapping[str, Estimate]
"""What was found, by what it is called."""

FIGURES_FILE = Path(str(files("o1coder_gym.data"))) / "figures.json"
"""Figures of this version: written by ``o1coder reproduce NAME --store``, never by hand."""

DIRECT, LOST = "beyond direct", "lost"
"""Names of figures: what steps solve beyond direct answers; of the problems that they lose, what is wrong."""

_TINY = "hf:tiny?dtype=float32"
_DRAWN = "temperature=1.0,top_p=1.0,top_k=0,max_tokens=96"
_SEARCHES = ("best_of_n", "mcts", "puct")
_ROLLOUTS = "best_of_n:n=8"


class Measure(Protocol):
    """Measures a result in a folder, in which an interrupted measurement resumes."""

    def __call__(self, out: Path, *, resume: bool, run: RunPlan | None, track: Track) -> Figures:
        """Returns its figures."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """A named result.

    Attributes:
        question: That it answers.
        quick: How to measure it in minutes.
        full: How to measure it with the default model.
    """

    question: str
    quick: Measure
    full: Measure


@dataclass(frozen=True, slots=True)
class Stored:
    """Figures that were stored.

    Attributes:
        figures: By what they are called.
        made: The day, ISO 8601; empty where nothing is stored.
        version: Of the package.
    """

    figures: Figures
    made: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """A figure beside the stored one.

    Attributes:
        name: What it is called.
        stored: Undefined where none is stored.
        measured: Undefined where it was not measured now.
    """

    name: str
    stored: Estimate
    measured: Estimate

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict; what is not defined is null."""
        ends = {"stored": _row(self.stored), "measured": _row(self.measured)}
        return {"name": self.name, **ends, "agrees": self.agrees}

    @property
    def agrees(self) -> bool | None:
        """Whether the two intervals overlap; None where there are no two to compare."""
        ends = (self.stored.low, self.stored.high, self.measured.low, self.measured.high)
        if any(map(math.isnan, ends)):
            return None
        return self.stored.low <= self.measured.high and self.measured.low <= self.stored.high


def reproduce(
    name: str,
    out: Path,
    *,
    scale: Scale = "quick",
    resume: bool = False,
    run: RunPlan | None = None,
    track: Track = untracked,
) -> Figures:
    """Measures a named result.

    Args:
        name: A key of `RESULTS`.
        out: The run folder.
        scale: ``quick`` or ``full``.
        resume: Whether to continue what `out` holds.
        run: Runs a benchmark plan; see `run_suite`.
        track: Shows how far other work is.

    Raises:
        UnknownNameError: When there is no such result.
    """
    if name not in RESULTS:
        raise UnknownNameError("result", name, RESULTS)
    measure = RESULTS[name].full if scale == "full" else RESULTS[name].quick
    return measure(out, resume=resume, run=run, track=track)


def compare_figures(stored: Figures, measured: Figures) -> list[ComparedFigure]:
    """Puts measured figures beside the stored ones, in their order, including figures that one side lacks."""
    names = dict.fromkeys([*stored, *measured])
    return [
        ComparedFigure(name, stored.get(name, UNDEFINED), measured.get(name, UNDEFINED)) for name in names
    ]


def stored_figures(name: str, scale: Scale, path: Path = FIGURES_FILE) -> Stored:
    """Returns the stored figures of a result; none if nothing is stored."""
    row = _file(path).get(name, {}).get(scale)
    if row is None:
        return Stored({})
    figures = {label: Estimate(**_numbers(found)) for label, found in row["figures"].items()}
    return Stored(figures, row["made"], row["version"])


def store_figures(name: str, scale: Scale, figures: Figures, path: Path = FIGURES_FILE) -> None:
    """Stores the figures of a result in place of earlier ones."""
    made = {"made": date.today().isoformat(), "version": o1coder_gym.__version__}
    rows = _file(path)
    rows.setdefault(name, {})[scale] = made | {
        "figures": {label: _row(one) for label, one in figures.items()}
    }
    write_whole(path, json.dumps(rows, indent=1, allow_nan=False) + "\n")


def _file(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _row(estimate: Estimate) -> dict[str, Any]:
    """Returns an estimate as JSON knows numbers: what is not defined is null."""
    return {name: None if value != value else value for name, value in asdict(estimate).items()}


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in row.items()}


def _solved(suite: Suite, out: Path, *, resume: bool, run: RunPlan | None, track: Track) -> Figures:
    """Shares of problems solved by each agent within each budget."""
    found = summarize(run_suite(suite, out, resume=resume, run=run))
    return {f"{name_of(one.setting.agent)} @ {one.setting.budget.tokens}": one.share for one in found}


def _table_1(suite: Suite, out: Path, *, resume: bool, run: RunPlan | None, track: Track) -> Figures:
    """Pass@1 of greedy decoding, and ASPR per problem and per path, by format (paper, Table 1)."""
    rows = run_suite(suite, out, resume=resume, run=run)
    greedy = {one.setting.format: one.share for one in summarize(rows) if one.setting.agent == "greedy"}
    found: dict[str, Estimate] = {}
    for part in parts(suite):
        rate = measure_aspr(out / part.name, agents=[_ROLLOUTS])[_ROLLOUTS]
        found[f"{part.plan.format}: Pass@1"] = greedy[part.plan.format]
        found[f"{part.plan.format}: ASPR"] = rate.per_problem
        found[f"{part.plan.format}: ASPR per path"] = rate.per_path
    return found


def _tests(
    sets: Sequence[tuple[str, str | None]], out: Path, *, resume: bool, run: RunPlan | None, track: Track
) -> Figures:
    """The value of tests on mutated inputs, by problem set."""
    found: dict[str, Estimate] = {}
    for problems, split in sets:
        settings = GeneratorSettings(problems=problems, split=split)
        rates = measure_generator(settings, out / problems, resume=resume, track=track).rates
        found |= {f"{problems}: {name}": rates[name] for name in ("input_validity", "kill_rate")}
    return found


def _thinking(suite: Suite, out: Path, *, resume: bool, run: RunPlan | None, track: Track) -> Figures:
    """Shares solved by format, agent and budget, and what steps solve beyond direct answers, in pairs.

    Intervals of these differences hold for all of a budget together (`Comparison.joint`).
    """
    rows = run_suite(suite, out, resume=resume, run=run)
    found = {
        f"{one.setting.format}: {name_of(one.setting.agent)} @ {one.setting.budget.tokens}": one.share
        for one in summarize(rows)
    }
    groups = group(rows)
    for setting, one in comparisons(rows, "greedy", "vanilla").items():
        agent, tokens = name_of(setting.agent), setting.budget.tokens
        found[f"{setting.format} {DIRECT}: {agent} @ {tokens}"] = one.joint
        if tokens != max(suite.tokens) or agent in (RANDOM_PICK, ORACLE):
            continue
        lost = changes(groups[setting], groups[partner(setting, groups, "greedy", "vanilla")]).lost
        counts = count_failures(groups[setting], lost)
        for rule, count in counts.items():
            shares = [1.0] * count + [0.0] * (sum(counts.values()) - count)
            found[f"{setting.format}: {agent} {LOST}: {rule}"] = estimate_share(shares)
    return found


def _prm(
    problems: ProblemChoice,
    model: str,
    agent: str,
    out: Path,
    *,
    resume: bool,
    run: RunPlan | None,
    track: Track,
) -> Figures:
    """How a scorer fitted to searches of training problems ranks steps of problems held out."""
    data: dict[str, Path] = {}
    for split, seed in (("train", 0), ("validation", 1)):
        rows = load_rows(problems.name, split=split)[: problems.limit]
        plan = SynthesisPlan(
            problems=problems.name,
            task_ids=tuple(row.problem.task_id for row in rows),
            agent=agent,
            policy=model,
            format="pseudocode",
            budget=Budget(tokens=2048),
            seeds=(seed,),
            tests=8,
        )
        data[split] = out / split
        # no validation part: what is fitted to and what is measured on are whole splits
        rules = HarvestRules(validation=0.0)
        synthesize(plan, data[split], rows=rows, rules=rules, resume=resume)
    (fitted,) = fit_heads(
        HeadSettings(data=data["train"], model=parse(model).target or "", objectives=("soft",)), out / "heads"
    )
    found: dict[str, Estimate] = {}
    for name, scorer in (("heuristic", "heuristic"), ("fitted head", f"prm:{fitted.model}")):
        asked = MeasurementSettings(scorer=scorer, data=data["validation"], split="all")
        report, _ = measure_scorer(asked, out / name.replace(" ", "-"), resume=resume)
        found |= {f"{name}: AUC": report.auc, f"{name}: pairs in order": report.pair_accuracy}
    return found


def _codet(limit: int | None, out: Path, *, resume: bool, run: RunPlan | None, track: Track) -> Figures:
    return codet.replay(out, default_judge(), limit=limit, resume=resume, track=track)


def _formats(problems: ProblemChoice, policy: str, agent: str, **rest: Any) -> Suite:
    return Suite(
        problems=(problems,),
        policies=(policy,),
        formats=("vanilla", "pseudocode", "functions"),
        agents=(agent,),
        share_samples=True,
        **rest,
    )


def _suite(problems: ProblemChoice, policy: str, drawn: str, **rest: Any) -> Suite:
    agents = tuple(f"{name}:{drawn}" if drawn else name for name in _SEARCHES)
    return Suite(problems=(problems,), policies=(policy,), agents=agents, share_samples=True, **rest)


def _both_formats(problems: ProblemChoice, policy: str) -> Suite:
    return Suite(
        problems=(problems,),
        policies=(policy,),
        agents=("greedy", _ROLLOUTS),
        formats=("vanilla", "pseudocode"),
        tokens=(),
        controls=False,
    )


_MICRO, _MBPP = ProblemChoice("micro", "test"), ProblemChoice("mbpp", "test", 100)

RESULTS: Mapping[str, Result] = {
    "codet": Result(
        "CodeT's published samples of CodeGen 16B on HumanEval: pass@k, drawn and chosen by CodeT.",
        partial(_codet, 10),
        partial(_codet, None),
    ),
    "prm": Result(
        "Does a reward model whose head was fitted to searches rank the steps of other problems?",
        partial(_prm, ProblemChoice("micro", limit=48), _TINY, f"mcts:simulations=16,width=4,{_DRAWN}"),
        partial(_prm, ProblemChoice("mbpp", limit=100), DEFAULT_POLICY, "mcts:simulations=16,width=4"),
    ),
    "search": Result(
        "Does a tree search solve more than best of n, at equal generated tokens?",
        partial(_solved, _suite(_MICRO, _TINY, _DRAWN, tokens=(256, 512, 1024), max_steps=5)),
        partial(_solved, _suite(_MBPP, DEFAULT_POLICY, "", tokens=(512, 1024, 2048))),
    ),
    "table1": Result(
        "Pass@1 and ASPR of direct answers and of pseudocode (paper, Table 1).",
        partial(_table_1, _both_formats(ProblemChoice("micro", "test", 64), _TINY)),
        partial(_table_1, _both_formats(_MBPP, DEFAULT_POLICY)),
    ),
    "tcg": Result(
        "How many tests of mutated inputs are valid, and how many wrong programs do they kill?",
        partial(_tests, [("starter", None)]),
        partial(_tests, [("humaneval", None), ("mbpp-sanitized", "test")]),
    ),
    "thinking": Result(
        "What do pseudocode and functions as steps solve beside direct answers, at equal generated tokens? "
        "Intervals of the differences, beyond direct, are corrected for all of a budget.",
        partial(
            _thinking,
            _formats(
                ProblemChoice("micro", "test", 32),
                _TINY,
                f"best_of_n:{_DRAWN}",
                tokens=(128, 256),
                max_steps=5,
            ),
        ),
        partial(
            _thinking,
            _formats(
                ProblemChoice("mbpp-sanitized", "test", 32), DEFAULT_POLICY, "best_of_n", tokens=(512, 1024)
            ),
        ),
    ),
}
"""By name."""
