"""Which of the programs that a search found is its answer: selectors, and an adversary that parts them."""

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
