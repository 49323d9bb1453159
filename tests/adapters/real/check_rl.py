"""TorchRL and Tianshou train on O1Coder/Choice-v0, TorchRL plays the text environment."""

import math

from blocks import played


def test_torchrl_trains_on_choices_and_plays_texts(capsys):
    choices, texts = played("TorchRL")
    assert choices["loss"].isfinite()
    told = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert told[:2] == ["update 0", "update 1"]
    assert texts["after"]["depth"].argmax().item() == 1
    assert "Step 1" in texts["after"]["steps"]


def test_tianshou_trains_on_choices():
    (names,) = played("Tianshou")
    result = names["result"]
    assert result.train_step >= 32
    assert result.update_step >= 1
    assert math.isfinite(names["collector"].buffer.rew.sum())
