"""Named results: what answers each question, measured as figures with the outcome of each problem.

``quick`` takes the tiny model, which the package ships, and minutes; ``full`` the default model and hours. On
one machine the figures of a seed come out the same to the last digit; on another one draws may differ in
rounding. `figures` compares them with those that the package stores.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from o1coder_gym.errors import UnknownNameError
from o1coder_gym.experiments.benchmark import RANDOM_PICK
from o1coder_gym.experiments.measures import codet
from o1coder_gym.experiments.measures.aspr import measure_aspr
from o1coder_gym.experiments.measures.figures import Measured, Scale, configuration_of
from o1coder_gym.experiments.shards import SynthesisPlan
from o1coder_gym.experiments.suite import ProblemChoice, RunPlan, Suite, parts, run_suite
from o1coder_gym.experiments.synthesis import HarvestRules, synthesize
from o1coder_gym.experiments.training.prm import HeadSettings, MeasurementSettings, fit_heads, measure_scorer
from o1coder_gym.experiments.training.tcg import GeneratorSettings, Track, measure_generator, untracked
from o1coder_gym.metrics.estimates import Estimate, estimate_share
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.reporting.comparison import changes, comparisons, partner
from o1coder_gym.reporting.results import ORACLE, ResultRow, group, seeds_by_problem
from o1coder_gym.reporting.tables.failures import RULES, failure_of
from o1coder_gym.runs.budget import Budget
from o1coder_gym.sandbox import default_judge
from o1coder_gym.settings.groups import DEFAULT_POLICY
from o1coder_gym.specs import name_of, parse
from o1coder_gym.tcg.quality.measures import shares_by_problem

DIRECT, LOST = "beyond direct", "lost"
"""Names of figures: what steps solve beyond direct answers; the problems that they lose, by what is wrong."""

_TINY = "hf:tiny?dtype=float32"
_DRAWN = "temperature=1.0,top_p=1.0,top_k=0,max_tokens=96"
_SEARCHES = ("best_of_n", "mcts", "puct")
_ROLLOUTS = "best_of_n:n=8"


class Measure(Protocol):
    """Measures a result in a folder, in which an interrupted measurement resumes."""

    def __call__(self, out: Path, *, resume: bool, run: RunPlan | None, track: Track) -> Measured:
        """Returns its figures and outcomes."""
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


def reproduce(
    name: str,
    out: Path,
    *,
    scale: Scale = "quick",
    resume: bool = False,
    run: RunPlan | None = None,
    track: Track = untracked,
) -> Measured:
    """Measures a named result; see `figures` for comparing it with what is stored.

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
    found = measure(out, resume=resume, run=run, track=track)
    return replace(found, configuration=configuration_of(out))


def _solved(suite: Suite, out: Path, *, resume: bool, run: RunPlan | None, track: Track) -> Measured:
    """Shares of problems solved by each agent within each budget."""
    groups = group(run_suite(suite, out, resume=resume, run=run))
    return _shares(
        {f"{name_of(one.agent)} @ {one.budget.tokens}": _by_problem(rows) for one, rows in groups.items()}
    )


def _by_problem(rows: Iterable[ResultRow]) -> dict[str, float]:
    """Returns by task id the share of seeds that solved the problem; a result has one problem set."""
    return {task_id: sum(one) / len(one) for (_, task_id), one in seeds_by_problem(rows).items()}


def _shares(outcomes: Mapping[str, Mapping[str, float]]) -> Measured:
    """Returns figures that are means over problems."""
    return Measured({name: estimate_share([*one.values()]) for name, one in outcomes.items()}, outcomes)


def _table_1(suite: Suite, out: Path, *, resume: bool, run: RunPlan | None, track: Track) -> Measured:
    """Pass@1 of greedy decoding, and ASPR per problem and per path, by format (paper, Table 1)."""
    groups = group(run_suite(suite, out, resume=resume, run=run))
    greedy = {one.format: _by_problem(rows) for one, rows in groups.items() if one.agent == "greedy"}
    found: dict[str, Estimate] = {}
    outcomes: dict[str, Mapping[str, float]] = {}
    for part in parts(suite):
        format = part.plan.format
        rate = measure_aspr(out / part.name, agents=[_ROLLOUTS])[_ROLLOUTS]
        outcomes |= {f"{format}: Pass@1": greedy[format], f"{format}: ASPR": rate.shares}
        found[f"{format}: Pass@1"] = estimate_share([*greedy[format].values()])
        found[f"{format}: ASPR"] = rate.per_problem
        found[f"{format}: ASPR per path"] = rate.per_path
    return Measured(found, outcomes)


def _tests(
    sets: Sequence[tuple[str, str | None]], out: Path, *, resume: bool, run: RunPlan | None, track: Track
) -> Measured:
    """The value of tests on mutated inputs, by problem set."""
    outcomes: dict[str, Mapping[str, float]] = {}
    for problems, split in sets:
        settings = GeneratorSettings(problems=problems, split=split)
        report = measure_generator(settings, out / problems, resume=resume, track=track)
        rates = shares_by_problem(report.problems)
        outcomes |= {f"{problems}: {name}": rates[name] for name in ("input_validity", "kill_rate")}
    return _shares(outcomes)


def _thinking(suite: Suite, out: Path, *, resume: bool, run: RunPlan | None, track: Track) -> Measured:
    """Shares solved by format, agent and budget, and what steps solve beyond direct answers, in pairs.

    Intervals of these differences hold for all of a budget together (`Comparison.joint`).
    """
    rows = run_suite(suite, out, resume=resume, run=run)
    groups = group(rows)
    solved = _shares(
        {
            f"{one.format}: {name_of(one.agent)} @ {one.budget.tokens}": _by_problem(some)
            for one, some in groups.items()
        }
    )
    found, outcomes = dict(solved.figures), dict(solved.outcomes)
    for setting, one in comparisons(rows, "greedy", "vanilla").items():
        agent, tokens = name_of(setting.agent), setting.budget.tokens
        found[f"{setting.format} {DIRECT}: {agent} @ {tokens}"] = one.joint
        if tokens != max(suite.tokens) or agent in (RANDOM_PICK, ORACLE):
            continue
        lost = changes(groups[setting], groups[partner(setting, groups, "greedy", "vanilla")]).lost
        faults = _shares(
            {
                f"{setting.format}: {agent} {LOST}: {rule}": _failing(groups[setting], lost, rule)
                for rule in RULES
            }
        )
        found.update(faults.figures)
        outcomes.update(faults.outcomes)
    return Measured(found, outcomes)


def _failing(rows: Iterable[ResultRow], lost: Collection[str], rule: str) -> dict[str, float]:
    """Returns by task id of all problems the share of seeds whose answer loses it by a rule.

    Of all, since those that are lost are other ones in each measurement: their shares would not compare.
    """
    found: dict[str, list[bool]] = {}
    for row in rows:
        if row.counted:
            failing = row.task_id in lost and failure_of(row) == rule
            found.setdefault(row.task_id, []).append(failing)
    return {task_id: sum(one) / len(one) for task_id, one in found.items()}


def _prm(
    problems: ProblemChoice,
    model: str,
    agent: str,
    out: Path,
    *,
    resume: bool,
    run: RunPlan | None,
    track: Track,
) -> Measured:
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
    return Measured(found)


def _codet(limit: int | None, out: Path, *, resume: bool, run: RunPlan | None, track: Track) -> Measured:
    return _shares(codet.replay(out, default_judge(), limit=limit, resume=resume, track=track))


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
