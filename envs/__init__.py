"""Gymnasium environments over one pure reasoning model."""

from o1coder_gym.envs.env import ChoiceEnv, EnvState, ReasoningEnv, TextEnv
from o1coder_gym.envs.interactions.choice import ChoiceInteraction
from o1coder_gym.envs.interactions.interaction import Cursor, Interaction
from o1coder_gym.envs.interactions.text import TextInteraction, UnicodeText
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.envs.registration import ENVS, register_envs
from o1coder_gym.envs.settings import Settings
from o1coder_gym.envs.snapshot import Snapshot, fork, get_state, set_state
from o1coder_gym.envs.trl import O1CoderSpec
from o1coder_gym.envs.vector import ReasoningVectorEnv, VectorState

register_envs()

__all__ = [  # noqa: RUF022
    # the decision process
    "ReasoningModel",
    # environments
    "ReasoningEnv",
    "TextEnv",
    "ChoiceEnv",
    "ReasoningVectorEnv",
    "ENVS",
    "register_envs",
    # how an agent meets them
    "Interaction",
    "TextInteraction",
    "ChoiceInteraction",
    "Cursor",
    "Settings",
    "O1CoderSpec",
    "UnicodeText",
    # saving, restoring, forking
    "Snapshot",
    "EnvState",
    "VectorState",
    "get_state",
    "set_state",
    "fork",
]
