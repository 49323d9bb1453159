"""Mode B: what voters make of a test, counted by text as before and by what the judge takes for the same.

    python benchmarks/evidence/agreement.py programs --out runs/tiny.jsonl         # written by the tiny model
    python benchmarks/evidence/agreement.py programs --kind simulated --out runs/simulated.jsonl
    python benchmarks/evidence/agreement.py compare --programs runs/tiny.jsonl --programs runs/simulated.jsonl
    python benchmarks/evidence/agreement.py fit --programs runs/tiny.jsonl         # the package's own data

Both rules see the same programs and inputs: the first `--voters` programs of a problem vote, the others are
accepted or rejected by the tests that come of it, and compared with the hidden tests. Simulated programs
are the reference, as it is and in other forms that the judge takes for the same (whole numbers as floats,
floats off by a rounding), and mutants of it, one of them favoured by several programs as a misreading would
be.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from o1coder_gym.agents.best_of_n import best_of_n
from o1coder_gym.agents.driver import Driver, Task
from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.main import main_of
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.metrics import calibration_error
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.figures import draw_reliability
from o1coder_gym.runs.progress import tracked
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
_BATCH = 32
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
        voters: Programs of a problem that vote.
        tests: Tests asked for per problem.
        limit: Problems of each file.
    """

    programs: tuple[Path, ...]
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


def compare(asked: VotesSettings) -> None:
    """Print what tests are worth by either rule."""
    print("| programs | votes count by | tests | right | agreement | TPR | TNR | ECE of the weights |")
    print("|" + " --- |" * 8)
    for path in asked.programs:
        with Judge() as judge:
            both = Remembering(judge)
            for name, rule in (("text, first of a tie", by_text), ("the judge's equality", consensus)):
                qualities, voted = _measured(asked, path, rule, both)
                print(_line(f"{path.stem} | {name}", qualities, voted), flush=True)


def fit(asked: VotesSettings) -> None:
    """Fit the package's calibration of votes to half of the problems; show it on the other half."""
    with Judge() as judge:
        voted = [one for path in asked.programs for one in _measured(asked, path, consensus, judge)[1]]
    show(voted, asked.programs)


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


def _measured(
    asked: VotesSettings, path: Path, rule: Agreement, judge: OutputJudge
) -> tuple[list[ProblemQuality], list[agreement.VotedTest]]:
    """Returns the quality of the tests of each problem, and what its reference says of each test."""
    found = read_programs(path)
    rows = [
        row
        for row in _with_reference((*MICRO, *SETS))
        if len(found.get(row.problem.task_id, ())) > asked.voters
    ]
    votes = source_of({task_id: codes[: asked.voters] for task_id, codes in found.items()})
    judged: Mapping[str, Sequence[str]] = {task_id: codes[asked.voters :] for task_id, codes in found.items()}
    qualities: list[ProblemQuality] = []
    voted: list[agreement.VotedTest] = []
    generator = MutationGenerator(judge, solutions=votes, agreement=rule, calibration=uncalibrated)
    for batch in _batches(rows[: asked.limit]):
        made: list[GeneratedTests] = generator.generate_batch(
            [TestRequest(row.problem, asked.tests, None) for row in batch]
        )
        qualities += measure(judge, batch, made, samples=judged, mutants_per_problem=0)
        voted += agreement.voted_tests(judge, batch, made)
    return qualities, voted


def _line(head: str, qualities: Sequence[ProblemQuality], voted: Sequence[agreement.VotedTest]) -> str:
    told = reward_agreement(qualities)
    right = agreement.share_right(voted)
    error = calibration_error(agreement.agreement_bins(voted))
    rates = " | ".join(f"{100 * rate:.1f} %" for rate in (told.agreement, told.tpr, told.tnr))
    tests = f"{len(voted)} of {len(qualities)} problems"
    return f"| {head} | {tests} | {right.percent()} % | {rates} | {error:.3f} |"


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
