"""What a training of a policy says at its end, and with what it does not go on."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import JournalError
from o1coder_gym.experiments.micro.problems import micro_rows
from o1coder_gym.experiments.training import rl
from o1coder_gym.experiments.training.rl import RLPlan, train_policy, unrewarded
from o1coder_gym.reporting.figures import latest_updates
from o1coder_gym.reporting.tables.learning import learning_grids
from o1coder_gym.runs.journal import RunFolder

NOTHING, SOME = {"episodes/pass_rate": 0.0}, {"episodes/pass_rate": 0.25}
PLAN = RLPlan("tiny", "micro", ())


@pytest.mark.parametrize(
    ("plan", "updates", "line"),
    [
        (PLAN, [NOTHING, {"episodes/pass_rate": None}], "no episode passed, so there was no reward to learn"),
        (PLAN, [NOTHING, SOME], ""),
        (
            RLPlan("tiny", "micro", (), scorer="heuristic"),
            [NOTHING],
            "no episode passed, so the scorer",
        ),
        (RLPlan("tiny", "micro", (), RLSettings(reward="statistics:mean")), [NOTHING], ""),
    ],
    ids=["none passed", "one passed", "a scorer", "a reward of one's own"],
)
def test_a_training_without_a_reward_says_so(plan: RLPlan, updates: list, line: str) -> None:
    told = unrewarded(plan, updates)
    assert told.startswith(line)
    assert bool(told) == bool(line)


def test_a_batch_that_is_learned_again_replaces_the_one_that_a_kill_has_undone(tmp_path: Path) -> None:
    first, again = [0.0, 0.25, 0.5], [0.25, 0.75, 1.0]
    for rates, batches in ((first, (0, 1, 2)), (again, (1, 2, 3))):  # its last checkpoint was after batch 0
        with RunFolder.open(tmp_path, {"command": "rl policy"}, resume=rates is again) as folder:
            tell = rl.update_log(folder)
            for t, rate in zip(batches, rates, strict=True):
                tell(t, {"episodes/pass_rate": rate, "kl": math.nan})
    with RunFolder.open(tmp_path, {"command": "rl policy"}, resume=True) as folder:
        assert len([*folder.rows("updates")]) == 5  # an equal one is not written again
        rows = latest_updates(folder.rows("updates"))
    assert [(row["t"], row["episodes/pass_rate"]) for row in rows] == [
        (0, 0.0),
        (1, 0.25),
        (2, 0.75),
        (3, 1.0),
    ]
    (grid,) = learning_grids(tmp_path)
    assert [row["episodes/pass_rate"] for row in grid.rows] == [0.0, 0.25, 0.75, 1.0]


class Killed(Exception):
    """Ends a training before it costs anything."""


def test_a_training_does_not_go_on_with_another_generator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trl")

    def die(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(rl, "generated_tests", die)
    code = tmp_path / "own.py"
    code.write_text("x = 1\n")
    rows = micro_rows({"train": 2})
    names = tuple(row.problem.task_id for row in rows)
    plan = RLPlan("tiny", "micro", names, RLSettings(problems=2, episodes=2, rows_at_once=4))
    plan = replace(plan, generator=f"{code}:Mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tests.jsonl").touch()  # it had begun

    def go_on() -> None:
        train_policy(plan, tmp_path / "run", rows=rows, resume=True)

    for _ in range(2):
        with pytest.raises(Killed):
            go_on()
    code.write_text("x = 2\n")
    with pytest.raises(JournalError, match="differs in: files"):
        go_on()
