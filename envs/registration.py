"""The environments' ids; importing `o1coder_gym` registers them, opening nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import gymnasium

ENVS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "O1Coder/Starter-v0": {"problems": "starter"},
        "O1Coder/Micro-v0": {"problems": "micro"},
        "O1Coder/HumanEval-v0": {"problems": "humaneval"},
        "O1Coder/HumanEvalPlus-v0": {"problems": "humaneval+"},
        "O1Coder/MBPP-v0": {"problems": "mbpp"},
        "O1Coder/MBPPPlus-v0": {"problems": "mbpp+"},
        "O1Coder/TACO-v0": {"problems": "taco"},
        "O1Coder/Code-v0": {},
        "O1Coder/SingleTurn-v0": {"problems": "starter", "format": "vanilla", "max_steps": 1},
        "O1Coder/Choice-v0": {"problems": "micro"},
    }
)
"""Default arguments by id; `O1Coder/Code-v0` must be given ``problems``."""


def register_envs() -> None:
    """Registers every id that is not registered yet."""
    for env_id, kwargs in ENVS.items():
        if env_id in gymnasium.registry:
            continue
        kind = "choice" if env_id == "O1Coder/Choice-v0" else "text"
        gymnasium.register(
            env_id,
            entry_point=f"o1coder_gym.envs.env:{kind.title()}Env",
            vector_entry_point=f"o1coder_gym.envs.vector:{kind}_vector",
            kwargs=dict(kwargs),
        )
