"""What can be brought along: the protocols that authors of components implement. See `types.protocols`."""

from o1coder_gym.types.protocols import (
    LONGEST_ACTION,
    ActingAgent,
    Judge,
    Model,
    Policy,
    StepScorer,
    TestGenerator,
)

__all__ = ["LONGEST_ACTION", "ActingAgent", "Judge", "Model", "Policy", "StepScorer", "TestGenerator"]
