"""What a training of a policy says at its end."""

import pytest

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.experiments.training.rl import RLPlan, unrewarded

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
