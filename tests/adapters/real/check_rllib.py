"""RLlib's PPO trains on O1Coder/Choice-v0."""

import math

from blocks import played


def test_rllib_trains_on_choices():
    (names,) = played("RLlib")
    told = names["result"]["env_runners"]
    assert told["num_episodes"] > 0
    assert 0 <= told["episode_return_mean"] <= 1
    losses = names["result"]["learners"]["default_policy"]
    assert math.isfinite(losses["total_loss"])
