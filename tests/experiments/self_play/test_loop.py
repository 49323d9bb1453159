"""The loop of self-play with stages that only write down their names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.errors import JournalError, O1CoderError
from o1coder_gym.experiments.micro.problems import micro_rows, write_rows
from o1coder_gym.experiments.self_play import (
    MARK,
    Learned,
    Schedule,
    loop,
    run_stages,
    self_play,
    stalled,
)
from o1coder_gym.experiments.self_play.config import ProblemSection, RunSection, SelfPlaySettings
from o1coder_gym.experiments.self_play.stages import RealStages
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.runs.journal import RunFolder


class Killed(Exception):
    """Stands for a kill."""


@dataclass
class Notes:
    """Each stage makes one file; `done` says what was really done, `rates` what a policy is worth."""

    rates: Mapping[str, float]
    die_at: str = ""
    done: list[str] = field(default_factory=list)

    def synthesize(self, learned: Learned, iteration: int, folder: Path) -> Path:
        self._make(folder, f"data {iteration} by {Path(learned.policy).parent.name}")
        return folder

    def fine_tune(self, learned: Learned, iteration: int, folder: Path) -> str:
        return self._make(folder, f"sft on {self._name(learned.data)}")

    def train_scorer(self, learned: Learned, iteration: int, folder: Path) -> str:
        return "prm:" + self._make(folder, f"prm on {self._name(learned.data)}")

    def reinforce(self, learned: Learned, iteration: int, folder: Path) -> str:
        assert learned.scorer is None or learned.scorer.startswith("prm:")
        return self._make(folder, f"rl {iteration}")

    def measure(self, learned: Learned) -> Mapping[str, Any]:
        return {"pass_rate": self.rates.get(self._name(Path(learned.policy)), 0.0)}

    def _make(self, folder: Path, what: str) -> str:
        if what == self.die_at:
            raise Killed
        self.done.append(what)
        (folder / "model").write_text(what)
        return str(folder / "model")

    def _name(self, path: Path | None) -> str:
        assert path is not None
        return "/".join(path.parts[-3:-1]) if path.name == "model" else "/".join(path.parts[-2:])


RISING = {"start": 0.1, "iteration-00/sft": 0.2, "iteration-00/rl": 0.3, "iteration-01/rl": 0.4}
START = Learned("start/model")
TWO = Schedule(2)


def run(notes: Notes, folder: Path, schedule: Schedule = TWO) -> tuple[Learned, list[str]]:
    told: list[str] = []
    with RunFolder.open(folder, {"a": 1}, resume=True) as opened:
        return run_stages(notes, START, schedule, opened, told.append), told


def test_the_stages_come_in_the_order_of_the_algorithm(tmp_path: Path) -> None:
    notes = Notes(RISING)
    learned, _ = run(notes, tmp_path)
    assert notes.done == [
        "data 0 by start",
        "sft on iteration-00/data",
        "prm on iteration-00/data",
        "rl 0",
        "data 1 by rl",
        "prm on iteration-01/data",  # anew, before RL
        "rl 1",
    ]
    assert learned.policy == str(tmp_path / "iteration-01" / "rl" / "model")
    curve = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [(row["iteration"], row["stage"], row["pass_rate"]) for row in curve] == [
        (0, "start", 0.1),
        (0, "sft", 0.2),
        (0, "end", 0.3),
        (1, "end", 0.4),
    ]
    mark = json.loads((tmp_path / "iteration-01" / "prm" / MARK).read_text())
    assert mark["inputs"] == {
        "policy": "RUN/iteration-00/rl/model",
        "scorer": "prm:RUN/iteration-00/prm/model",
        "data": "RUN/iteration-01/data",
    }


def test_stages_may_be_left_out(tmp_path: Path) -> None:
    notes = Notes(RISING)
    run(notes, tmp_path / "rft", Schedule(1, fine_tune=False))
    assert notes.done == ["data 0 by start", "prm on iteration-00/data", "rl 0"]
    notes = Notes(RISING)
    run(notes, tmp_path / "search", Schedule(2, train_scorer=False, reinforce=False))
    assert notes.done == ["data 0 by start", "sft on iteration-00/data", "data 1 by sft"]


def test_expert_iteration_trains_the_first_policy_on_all_data_each_time(tmp_path: Path) -> None:
    class Begun(Notes):
        def fine_tune(self, learned: Learned, iteration: int, folder: Path) -> str:
            assert learned.policy == START.policy
            return super().fine_tune(learned, iteration, folder)

    schedule = Schedule(3, expert=True, train_scorer=False, reinforce=False)
    notes = Begun(RISING)
    learned, told = run(notes, tmp_path, schedule)
    assert notes.done == [
        "data 0 by start",
        "sft on iteration-00/data",
        "data 1 by sft",
        "sft on iteration-01/data",
        "data 2 by sft",
        "sft on iteration-02/data",
    ]
    assert learned.policy == str(tmp_path / "iteration-02" / "sft" / "model")
    # at the end of an iteration the policy is that of its SFT, which was measured
    assert sum(line.startswith("measuring") for line in told) == 4
    curve = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [(row["iteration"], row["stage"], row["pass_rate"]) for row in curve[:3]] == [
        (0, "start", 0.1),
        (0, "sft", 0.2),
        (0, "end", 0.2),
    ]


@pytest.mark.parametrize("die_at", ["data 0 by start", "sft on iteration-00/data", "rl 0", "rl 1"])
def test_a_killed_run_does_the_rest_and_nothing_twice(tmp_path: Path, die_at: str) -> None:
    whole = Notes(RISING)
    run(whole, tmp_path / "whole")
    killed = Notes(RISING, die_at=die_at)
    with pytest.raises(Killed):
        run(killed, tmp_path / "killed")
    resumed = Notes(RISING)
    run(resumed, tmp_path / "killed")
    assert killed.done + resumed.done == whole.done
    for name in ("curve.jsonl", "journal.jsonl"):
        texts = [(tmp_path / folder / name).read_text() for folder in ("whole", "killed")]
        assert texts[0] == texts[1]
    _, told = run(Notes(RISING), tmp_path / "killed")
    assert sum("done before" in line for line in told) == 7


def test_a_missing_artefact_is_named(tmp_path: Path) -> None:
    run(Notes(RISING), tmp_path)
    (tmp_path / "iteration-00" / "prm" / "model").unlink()
    with pytest.raises(O1CoderError, match=r"prm is marked as done, but .*model is missing; delete"):
        run(Notes(RISING), tmp_path)
    mark = tmp_path / "iteration-00" / "prm" / MARK
    mark.write_text("{}")
    with pytest.raises(O1CoderError, match="not the mark of a stage"):
        run(Notes(RISING), tmp_path)
    (tmp_path / "iteration-00" / "prm" / MARK).unlink()
    again = Notes(RISING)
    run(again, tmp_path)
    assert again.done == ["prm on iteration-00/data"]


def test_an_artefact_of_other_inputs_is_not_taken(tmp_path: Path) -> None:
    run(Notes(RISING), tmp_path)
    mark = tmp_path / "iteration-00" / "rl" / MARK
    mark.write_text(mark.read_text().replace("iteration-00/sft", "iteration-00/other"))
    with pytest.raises(O1CoderError, match="was made from other inputs"):
        run(Notes(RISING), tmp_path)


def test_a_run_does_not_go_on_with_other_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trl")

    def die(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(RealStages, "measure", lambda *_: {"pass_rate": 0.0})
    monkeypatch.setattr(RealStages, "synthesize", die)
    problems = tmp_path / "problems.jsonl"
    write_rows(micro_rows({"train": 1, "validation": 1, "test": 1}), problems)
    config = SelfPlaySettings(run=RunSection("tiny"), problems=ProblemSection(str(problems)), rl=None).config
    with pytest.raises(Killed):
        self_play(config, tmp_path / "run")
    with pytest.raises(Killed):  # the same
        self_play(config, tmp_path / "run", resume=True)
    problems.write_text(problems.read_text() + "\n")
    with pytest.raises(JournalError, match="differs in: files"):
        self_play(config, tmp_path / "run", resume=True)


def test_the_run_ends_when_nothing_is_gained(tmp_path: Path) -> None:
    flat = {"iteration-00/rl": 0.3, "iteration-01/rl": 0.3, "iteration-02/rl": 0.2}
    notes = Notes(flat)
    _, told = run(notes, tmp_path, Schedule(9, patience=2))
    assert notes.done[-1] == "rl 2"
    assert told[-1] == "no gain for 2 iterations: the run ends"


def test_stalled_by_hand() -> None:
    assert not stalled([0.1, 0.2], 0)
    assert not stalled([0.3, 0.2], 2)  # too early to say
    assert stalled([0.1, 0.3, 0.3, 0.2], 2)
    assert not stalled([0.1, 0.3, 0.2, 0.4], 2)


@pytest.mark.parametrize("lines", range(9))
def test_a_measurement_that_was_cut_is_made_again_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    """Of two policies on four problems; the judge could not decide one."""
    pytest.importorskip("trl")
    asked: list[str] = []

    def tested(stages: RealStages, model: str) -> dict[str, dict[str, float]]:
        asked.append(model)
        names = ("pass_rate", "greedy", "format_compliance")
        return {one.problem.task_id: dict.fromkeys(names, 1.0) for one in rows[1:]}

    monkeypatch.setattr(loop, "run_stages", lambda *_: Learned("learned"))
    monkeypatch.setattr(RealStages, "tested", tested)
    problems, out = tmp_path / "problems.jsonl", tmp_path / "run"
    write_rows(micro_rows({"train": 1, "validation": 1, "test": 4}), problems)
    rows = load_rows(str(problems)).of_split("test")
    config = SelfPlaySettings(run=RunSection("tiny"), problems=ProblemSection(str(problems)), rl=None).config
    first = self_play(config, out)
    assert first.problems == 3
    assert len(asked) == 2
    file = out / "tested.jsonl"
    whole = file.read_text().splitlines(keepends=True)
    file.write_text("".join(whole[:lines]))
    asked.clear()
    assert self_play(config, out, resume=True) == first
    assert len(asked) == 2 - lines // 4
    assert file.read_text() == "".join(whole)
