"""Choice of a search's answer among its programs: selectors, and an adversary that separates programs."""

from o1coder_gym.agents.choosing.selectors import (
    Program,
    choose_program,
    choosing,
    choosing_by_scorer,
    codes,
    judged_programs,
    watched,
)

__all__ = [
    "Program",
    "choose_program",
    "choosing",
    "choosing_by_scorer",
    "codes",
    "judged_programs",
    "watched",
]
