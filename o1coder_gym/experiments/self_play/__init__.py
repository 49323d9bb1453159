"""Self-play (Algorithm 1): the loop, its stages, its configuration."""

from o1coder_gym.experiments.self_play.config import SelfPlayConfig, read_config
from o1coder_gym.experiments.self_play.loop import (
    CURVE,
    MARK,
    TESTED,
    Schedule,
    SelfPlayResult,
    run_stages,
    self_play,
    stalled,
)
from o1coder_gym.experiments.self_play.stages import Learned

__all__ = [
    "CURVE",
    "MARK",
    "TESTED",
    "Learned",
    "Schedule",
    "SelfPlayConfig",
    "SelfPlayResult",
    "read_config",
    "run_stages",
    "self_play",
    "stalled",
]
