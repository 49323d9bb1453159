"""What a training of a policy says at its end, and with what it does not go on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import JournalError
from o1coder_gym.experiments.micro.problems import micro_rows
from o1coder_gym.experiments.training import rl
from o1coder_gym.experiments.training.rl import RLPlan, train_policy, unrewarded

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
