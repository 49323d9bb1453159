"""Self-play (Algorithm 1): the policy makes the data that it learns from, again and again.

    synthesize → (SFT, in the first iteration) → PRM → RL → synthesize with the new policy → …

This is the loop alone: which stage comes when, what is done already, when to stop. What a stage does is
given from outside. A stage that ended has ``stage.json`` in its folder, written last; a run that was killed
does the stage it was in again, from that stage's own checkpoints, and nothing before it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from o1coder_gym.errors import O1CoderError
from o1coder_gym.runs.files import write_whole
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.provenance import config_hash

MARK = "stage.json"
CURVE = "curve"
"""Name of the file of measurements."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What the run has so far.

    Attributes:
        policy: Model of the policy: a name or a folder.
        scorer: Spec of the step scorer, None before the first one is trained.
        data: D_process: the folder of all rows so far, None before the first search.
    """

    policy: str
    scorer: str | None = None
    data: Path | None = None


class Stages(Protocol):
    """The work of each stage; it leaves its artefact in `folder`, and may find half-done work there."""

    def synthesize(self, learned: Learned, iteration: int, folder: Path) -> Path:
        """Searches with the policy; returns the folder of D ∪ D'."""
        ...

    def fine_tune(self, learned: Learned, folder: Path) -> str:
        """Returns the policy trained on D⁺."""
        ...

    def train_scorer(self, learned: Learned, folder: Path) -> str:
        """Returns the scorer trained on D."""
        ...

    def reinforce(self, learned: Learned, iteration: int, folder: Path) -> str:
        """Returns the policy trained on φ."""
        ...

    def measure(self, learned: Learned) -> Mapping[str, Any]:
        """Returns numbers of the policy on held-out problems; ``"pass_rate"`` decides when to stop."""
        ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which stages there are, and when the run ends.

    Attributes:
        iterations: At most.
        patience: k: end after k iterations without a gain of the pass rate; 0 never ends early.
        fine_tune: Whether the first iteration has SFT; without it this is the RFT variant.
        train_scorer: Whether the PRM is trained, anew in every iteration.
        reinforce: Whether there is RL.
    """

    iterations: int = 2
    patience: int = 0
    fine_tune: bool = True
    train_scorer: bool = True
    reinforce: bool = True


Tell = Callable[[str], None]
"""Told what happens, one line each."""


def self_play(stages: Stages, start: Learned, schedule: Schedule, folder: RunFolder, tell: Tell) -> Learned:
    """Runs the loop of Algorithm 1; what the folder has already is not done again.

    Args:
        stages: The work.
        start: What there is before.
        schedule: Which stages, how often.
        folder: Of the run; one folder per stage in ``iteration-NN/``, measurements in ``curve.jsonl``.
        tell: Told of each stage.

    Returns:
        What was learned last.

    Raises:
        O1CoderError: When a stage fails, or the artefact of a finished stage is missing.
    """
    learned = start
    work = _Work(folder, tell)
    rates = [work.measured(stages, learned, 0, "start")]
    for iteration in range(schedule.iterations):
        place = folder.path / f"iteration-{iteration:02d}"

        def synthesize(into: Path, now: Learned = learned, number: int = iteration) -> str:
            return str(stages.synthesize(now, number, into))

        learned = replace(learned, data=Path(work.done(place / "data", learned, synthesize)))
        if schedule.fine_tune and iteration == 0:
            learned = _with_policy(
                learned, work.done(place / "sft", learned, _bound(stages.fine_tune, learned))
            )
            work.measured(stages, learned, iteration, "sft")
        if schedule.train_scorer:
            scorer = work.done(place / "prm", learned, _bound(stages.train_scorer, learned))
            learned = replace(learned, scorer=scorer)
        if schedule.reinforce:

            def reinforce(into: Path, now: Learned = learned, number: int = iteration) -> str:
                return stages.reinforce(now, number, into)

            learned = _with_policy(learned, work.done(place / "rl", learned, reinforce))
        rates.append(work.measured(stages, learned, iteration, "end"))
        if stalled(rates, schedule.patience):
            tell(f"no gain for {schedule.patience} iterations: the run ends")
            break
    return learned


def stalled(rates: Sequence[float], patience: int) -> bool:
    """Whether none of the last `patience` rates is above the best one before them.

    Args:
        rates: Pass rate at the start and after each iteration.
        patience: k; 0 for never.
    """
    if not patience or len(rates) <= patience:
        return False
    return max(rates[-patience:]) <= max(rates[:-patience])


class _Work:
    """Does what is not done yet, and writes down what was done."""

    def __init__(self, folder: RunFolder, tell: Tell) -> None:
        self._folder = folder
        self._tell = tell
        rows = folder.rows(CURVE)
        self._curve = {(row["iteration"], row["stage"]): row for row in rows}

    def done(self, place: Path, learned: Learned, run: Callable[[Path], str]) -> str:
        """Returns the artefact of a stage, made now unless it was made before."""
        inputs = self._inputs(learned)
        name = str(place.relative_to(self._folder.path))
        if (mark := _read_mark(place)) is not None:
            if mark["inputs"] != inputs:
                raise O1CoderError(f"{place} was made of other inputs; delete it to make it anew")
            artefact = self._absolute(mark["artefact"])
            if not (path := Path(artefact.removeprefix("prm:"))).exists():
                raise O1CoderError(f"{place} is marked as done, but {path} is missing; delete {place / MARK}")
            self._tell(f"{name}: done before")
            return artefact
        self._tell(name)
        place.mkdir(parents=True, exist_ok=True)
        artefact = run(place)
        row = {
            "stage": name,
            "inputs": inputs,
            "hash": config_hash(inputs),
            "artefact": self._relative(artefact),
        }
        write_whole(place / MARK, json.dumps(row, indent=2) + "\n")
        self._folder.append("journal", {"stage": name, "hash": row["hash"]})
        return artefact

    def measured(self, stages: Stages, learned: Learned, iteration: int, stage: str) -> float:
        """Returns the pass rate of the policy, measured now unless it was measured before."""
        row = self._curve.get((iteration, stage))
        if row is None:
            self._tell(f"measuring {self._relative(learned.policy)}")
            found = dict(stages.measure(learned))
            row = {"iteration": iteration, "stage": stage, "policy": self._relative(learned.policy), **found}
            self._folder.append(CURVE, row)
        self._tell(f"pass rate {row['pass_rate']:.1%} after iteration {iteration}, {stage}")
        return float(row["pass_rate"])

    def _inputs(self, learned: Learned) -> dict[str, str | None]:
        """Names what a stage starts from; folders of this run relative to it: the run may be moved."""
        values = {"policy": learned.policy, "scorer": learned.scorer, "data": learned.data}
        return {name: None if value is None else self._relative(str(value)) for name, value in values.items()}

    def _relative(self, text: str) -> str:
        return text.replace(f"{self._folder.path}/", "RUN/")

    def _absolute(self, text: str) -> str:
        return text.replace("RUN/", f"{self._folder.path}/")


def _bound(stage: Callable[[Learned, Path], str], learned: Learned) -> Callable[[Path], str]:
    return lambda into: stage(learned, into)


def _with_policy(learned: Learned, policy: str) -> Learned:
    return replace(learned, policy=policy)


def _read_mark(place: Path) -> dict[str, Any] | None:
    path = place / MARK
    if not path.exists():
        return None
    try:
        row = json.loads(path.read_text())
        return {"inputs": row["inputs"], "artefact": row["artefact"]}
    except (ValueError, KeyError, TypeError) as error:
        raise O1CoderError(f"{path}: not the mark of a stage; delete it to make the stage anew") from error
