"""Mode B: what voters make of a test, counted by text as before and by what the judge takes for the same.

    python benchmarks/evidence/agreement.py programs --out runs/tiny.jsonl         # written by the tiny model
    python benchmarks/evidence/agreement.py programs --kind simulated --out runs/simulated.jsonl
    python benchmarks/evidence/agreement.py compare --programs runs/tiny.jsonl --out runs/votes   # resumes
    python benchmarks/evidence/agreement.py fit --programs runs/tiny.jsonl --out runs/votes   # packaged

Both rules see the same programs and inputs: the first `--voters` programs of a problem vote, the others are
accepted or rejected by the tests that come of it, and compared with the hidden tests. Differences are paired:
their interval is over problems, each with what both rules made of it. Simulated programs
are the reference, as it is and in other forms that the judge takes for the same (whole numbers as floats,
floats off by a rounding), and mutants of it, one of them favoured by several programs as a misreading would
be.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from o1coder_gym.agents.best_of_n import best_of_n
from o1coder_gym.agents.driver import Driver, Task
from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.main import main_of
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.metrics import calibration_error
from o1coder_gym.metrics.estimates import ROUGH, Estimate, estimate
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.figures import draw_reliability
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.progress import tracked
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.sandbox import Judge
from o1coder_gym.sandbox.trial import Output
from o1coder_gym.settings import AtLeastOne, Checked
from o1coder_gym.tcg.checking.agreement import Agreed, Agreement, Outputs, Same, consensus, uncalibrated
from o1coder_gym.tcg.checking.execution import OutputJudge
from o1coder_gym.tcg.checking.solutions import read_programs, source_of
from o1coder_gym.tcg.mutation import MutationGenerator
from o1coder_gym.tcg.quality import agreement
from o1coder_gym.tcg.quality.measures import ProblemQuality, measure, reward_agreement
from o1coder_gym.tcg.quality.mutants import mutants
from o1coder_gym.tcg.requests import TestRequest
from o1coder_gym.types import GeneratedTests, Sampling, Submission, Verdict

MICRO, SETS = ("micro",), ("mbpp-sanitized", "humaneval")
_BATCH = 16
_VOTES = "votes"
"""Name of the journal: a row for each problem of each file of programs, with what either rule made of it."""
_OTHER_FORM = """
def _other_form(value):
    if isinstance(value, (list, tuple)):
        return type(value)(map(_other_form, value)) if type(value) in (list, tuple) else value
    if type(value) is int and abs(value) < 2**53:
        return float(value)
    return value * (1 + 2**-51) if type(value) is float else value

def _as_before(function):
    return lambda *given, **named: _other_form(function(*given, **named))

{name} = _as_before({name})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramsSettings(Checked):
    """Programs.

    Attributes:
        out: File to write.
        kind: Written by the tiny model on its own problems, or simulated on MBPP and HumanEval.
        limit: Problems.
        samples: Programs per problem.
        seed: Of the programs.
    """

    out: Path
    kind: Literal["tiny", "simulated"] = "tiny"
    limit: AtLeastOne = 300
    samples: AtLeastOne = 8
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VotesSettings(Checked):
    """Votes.

    Attributes:
        programs: Files of programs; several are measured one by one, and fitted together.
        out: Run folder; what it holds is not measured again.
        voters: Programs of a problem that vote.
        tests: Tests to request per problem.
        limit: Problems of each file.
    """

    programs: tuple[Path, ...]
    out: Path
    voters: AtLeastOne = 4
    tests: AtLeastOne = 20
    limit: AtLeastOne = 300


def programs(asked: ProgramsSettings) -> None:
    """Write programs for problems with references, as rows with task_id and code."""
    rows = _with_reference(MICRO if asked.kind == "tiny" else SETS)
    rows = random.Random(asked.seed).sample(rows, min(asked.limit, len(rows)))
    make = _sampled if asked.kind == "tiny" else _simulated
    with asked.out.open("w") as file:
        for task_id, code in make(rows, asked.samples, asked.seed):
            file.write(json.dumps({"task_id": task_id, "code": code}) + "\n")


def _sampled(rows: Sequence[ProblemRow], samples: int, seed: int) -> Iterator[tuple[str, str]]:
    """Lets the tiny model write, in pseudocode steps at temperature 1; what is no program is left out."""
    policy, sampling = load_policy("hf:tiny?dtype=float32"), Sampling(1.0, top_p=1.0, top_k=0, max_tokens=96)
    with Judge() as judge:
        model = ReasoningModel([row.problem for row in rows], judge, max_steps=5)
        for batch in tracked(_batches(rows), -(-len(rows) // _BATCH), "programs of the tiny model"):
            tasks = [
                Task(
                    row.problem.task_id,
                    partial(best_of_n, n=1, sampling=sampling),
                    seed=derive_stream(seed, "programs", index),
                )
                for row in batch
                for index in range(samples)
            ]
            for task, done in zip(tasks, Driver(model, policy).run(tasks), strict=True):
                if done.result is not None and done.result.code is not None:
                    yield task.task_id, done.result.code


def _simulated(rows: Sequence[ProblemRow], samples: int, seed: int) -> Iterator[tuple[str, str]]:
    """Makes programs of which as many are right as a problem is easy, and some are wrong alike."""
    for row in rows:
        dice = random.Random(f"{seed} {row.problem.task_id}")
        code, name = row.reference or "", row.problem.entry_point
        faults = [one.code for one in mutants(code, entry_point=name)]
        forms = [code, code + _OTHER_FORM.format(name=name)] if name else [code]
        easy, misread = dice.uniform(0.2, 0.9), dice.choice(faults) if faults else code
        for _ in range(samples):
            if dice.random() < easy or not faults:
                yield row.problem.task_id, dice.choice(forms)
            else:
                yield row.problem.task_id, misread if dice.random() < 0.4 else dice.choice(faults)


class Remembering:
    """A judge that runs a program on the same inputs once, so that both rules count the same outputs."""

    def __init__(self, judge: OutputJudge) -> None:
        """Args: the judge that runs them."""
        self._judge = judge
        self._known: dict[Submission, tuple[Output, ...]] = {}

    def evaluate(
        self, submissions: Sequence[Submission], /, *, stop_at_failure: bool = False
    ) -> list[Verdict]:
        """Judges a batch."""
        return self._judge.evaluate(submissions, stop_at_failure=stop_at_failure)

    def outputs(self, submissions: Sequence[Submission], /) -> list[tuple[Output, ...]]:
        """Runs what is new of a batch."""
        new = [one for one in dict.fromkeys(submissions) if one not in self._known]
        self._known.update(zip(new, self._judge.outputs(new) if new else (), strict=True))
        return [self._known[one] for one in submissions]


def by_text(outputs: Outputs, *, same: Same) -> list[Agreed | None]:
    """Counts votes as before: by text, the first of two that tie is agreed on."""
    behaviours = Counter(tuple(row) for row in outputs if any(output is not None for output in row))
    if not behaviours:
        return [None] * (len(outputs[0]) if outputs else 0)
    best, votes = max(
        behaviours.items(), key=lambda one: (one[1], sum(output is not None for output in one[0]))
    )
    support = votes / len(outputs)
    return [Agreed(one, support) if one is not None and support > 0.3 else None for one in best]


RULES: Mapping[str, Agreement] = {"text, first of a tie": by_text, "the judge's equality": consensus}
"""How votes are counted, by what it is called: before and now."""
BEFORE, NOW = RULES


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of one problem by one rule.

    Attributes:
        quality: Programs accepted and rejected by the tests that it led to.
        voted: These tests.
    """

    quality: ProblemQuality
    voted: tuple[agreement.VotedTest, ...]

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Counted:
        """Reads what `dataclasses.asdict` wrote."""
        voted = tuple(agreement.VotedTest(**one) for one in row["voted"])
        return cls(ProblemQuality(**row["quality"]), voted)


def compare(asked: VotesSettings) -> None:
    """Print what tests are worth by either rule, and the differences."""
    print("| programs | votes count by | tests | right | agreement | TPR | TNR | ECE of the weights |")
    print("|" + " --- |" * 8)
    for path, counted in _all_counted(asked):
        for name in RULES:
            print(_line(f"{path.stem} | {name}", counted[name]), flush=True)
        print(_difference_line(path.stem, counted[BEFORE], counted[NOW]), flush=True)


def fit(asked: VotesSettings) -> None:
    """Fit the package's calibration of votes to half of the problems; show it on the other half."""
    show([one for _, counted in _all_counted(asked) for one in _voted(counted[NOW])], asked.programs)


def show(voted: Sequence[agreement.VotedTest], programs: Sequence[Path]) -> None:
    """Fits, writes the calibration, prints and draws its reliability beside the first file of programs."""
    names = sorted({one.problem for one in voted})
    learned = set(random.Random(0).sample(names, len(names) // 2))
    known, others = ([one for one in voted if (one.problem in learned) is side] for side in (True, False))
    calibration = agreement.fit_agreement(known)
    agreement.write_calibration(calibration, [path.name for path in programs], len(learned))
    for title, given in (("as voted", others), ("calibrated", agreement.calibrated(others, calibration))):
        bins = agreement.agreement_bins(given)
        print(
            f"{title}: calibration error {calibration_error(bins):.3f} on {len(names) - len(learned)} others"
        )
        for one in bins:
            print(f"  weight {one.score:.2f}: {one.target:.2f} of {one.count} tests right")
        picture = programs[0].with_name(f"{programs[0].stem}-{title.replace(' ', '-')}.png")
        draw_reliability(bins, picture, f"Votes, {title}")


def _all_counted(asked: VotesSettings) -> Iterator[tuple[Path, Mapping[str, Sequence[Counted]]]]:
    """Yields each file of programs with what the rules made of its problems, by rule."""
    config = {"voters": asked.voters, "tests": asked.tests}
    config |= {"programs": {path.name: content_hash(path.read_text()) for path in asked.programs}}
    with Judge() as judge, RunFolder.open(asked.out, config, resume=True) as folder:
        for path in asked.programs:
            yield path, _counted(asked, path, judge, folder)


def _counted(
    asked: VotesSettings, path: Path, judge: OutputJudge, folder: RunFolder
) -> Mapping[str, Sequence[Counted]]:
    """Measures the problems that the folder does not hold yet; returns all of them by rule."""
    found = read_programs(path)
    rows = [row for row in _with_reference((*MICRO, *SETS)) if len(found.get(_id(row), ())) > asked.voters]
    rows = rows[: asked.limit]
    known = {row["task_id"]: row["rules"] for row in folder.rows(_VOTES) if row["programs"] == path.name}
    batches = _batches([row for row in rows if _id(row) not in known])
    for batch in tracked(batches, len(batches), f"votes of {path.stem}"):
        remembering = Remembering(judge)  # of one batch, or all outputs would stay in memory
        made = {name: _count(asked, batch, found, rule, remembering) for name, rule in RULES.items()}
        for place, row in enumerate(batch):
            rules = {name: asdict(counted[place]) for name, counted in made.items()}
            known[_id(row)] = rules
            folder.append(_VOTES, {"task_id": _id(row), "programs": path.name, "rules": rules})
    return {name: [Counted.from_row(known[_id(row)][name]) for row in rows] for name in RULES}


def _count(
    asked: VotesSettings,
    rows: Sequence[ProblemRow],
    found: Mapping[str, Sequence[str]],
    rule: Agreement,
    judge: OutputJudge,
) -> list[Counted]:
    """Returns the quality of the tests of each problem, and what its reference says of each test."""
    votes = source_of({task_id: codes[: asked.voters] for task_id, codes in found.items()})
    judged = {task_id: codes[asked.voters :] for task_id, codes in found.items()}
    generator = MutationGenerator(judge, solutions=votes, agreement=rule, calibration=uncalibrated)
    made: list[GeneratedTests] = generator.generate_batch(
        [TestRequest(row.problem, asked.tests, None) for row in rows]
    )
    qualities = measure(judge, rows, made, samples=judged, mutants_per_problem=0)
    voted = agreement.voted_tests(judge, rows, made)
    return [
        Counted(quality, tuple(test for test in voted if test.problem == quality.task_id))
        for quality in qualities
    ]


def _voted(counted: Sequence[Counted]) -> list[agreement.VotedTest]:
    return [test for one in counted for test in one.voted]


def _line(head: str, counted: Sequence[Counted]) -> str:
    told, voted = reward_agreement([one.quality for one in counted]), _voted(counted)
    right = agreement.share_right(voted)
    error = calibration_error(agreement.agreement_bins(voted))
    rates = " | ".join(f"{100 * rate:.1f} %" for rate in (told.agreement, told.tpr, told.tnr))
    tests = f"{len(voted)} of {len(counted)} problems"
    return f"| {head} | {tests} | {right.percent()} % | {rates} | {error:.3f} |"


def _difference_line(head: str, before: Sequence[Counted], now: Sequence[Counted]) -> str:
    cells = [_points(one) for one in differences(before, now)]
    return f"| {head} | now less before, points, paired | | {' | '.join(cells)} | |"


def _points(one: Estimate) -> str:
    ends = f"[{100 * one.low:.1f}, {100 * one.high:.1f}]" + ROUGH * one.rough
    return f"{100 * one.value:+.1f} {ends}"


def differences(before: Sequence[Counted], now: Sequence[Counted]) -> list[Estimate]:
    """Returns by how much the share of right tests, agreement, TPR and TNR differ, over problems.

    Args:
        before: By problem.
        now: The same problems, in the same order.
    """
    groups = {one.quality.task_id: [place] for place, one in enumerate(before)}
    sides = [np.asarray([_parts(one) for one in side], float) for side in (before, now)]

    def difference(rate: int, places: Sequence[int]) -> float:
        parts = [side[list(places), rate].sum(axis=0) for side in sides]
        if not all(whole for _, whole in parts):
            return math.nan
        (was, of), (is_now, of_now) = parts
        return float(is_now / of_now - was / of)

    return [estimate(groups, partial(difference, rate)) for rate in range(4)]


def _parts(one: Counted) -> list[tuple[int, int]]:
    """Returns (part, whole) of each rate that is compared."""
    told, right = one.quality, sum(test.right for test in one.voted)
    agreed = told.right_accepted + told.wrong_rejected
    return [
        (right, len(one.voted)),
        (agreed, told.right + told.wrong),
        (told.right_accepted, told.right),
        (told.wrong_rejected, told.wrong),
    ]


def _id(row: ProblemRow) -> str:
    return row.problem.task_id


def _with_reference(names: Sequence[str]) -> list[ProblemRow]:
    return [row for name in names for row in load_rows(name) if row.reference and row.tests]


def _batches(rows: Sequence[ProblemRow]) -> list[Sequence[ProblemRow]]:
    return [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]


if __name__ == "__main__":
    app = new_app("agreement", __doc__ or "")
    app.command(command(ProgramsSettings, programs, name="programs"))
    app.command(command(VotesSettings, compare, name="compare"))
    app.command(command(VotesSettings, fit, name="fit"))
    sys.exit(main_of(app))
