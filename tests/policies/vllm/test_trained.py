"""vLLM with the weights of a policy in training, without vLLM."""

import pytest

from o1coder_gym.errors import PolicyError
from o1coder_gym.policies.vllm import engine
from o1coder_gym.policies.vllm.trained import TrainedVLLM
from o1coder_gym.steps.formats import Prompt


def test_a_closed_engine_is_not_loaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "require", lambda *_: None)
    closed = TrainedVLLM("tiny")
    closed.close()
    with pytest.raises(PolicyError, match="vLLM has been closed"):  # by a thread that was ahead
        closed.encode(Prompt((("user", "count"),), "", ""))
