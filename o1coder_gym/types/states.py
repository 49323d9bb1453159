"""States of the decision process: the question and the reasoning steps so far."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from o1coder_gym.types.tests import TestCase


@dataclass(frozen=True, slots=True)
class Problem:
    """A programming question as search, training and environments may see it.

    It carries neither the hidden tests nor the reference solution (see `problems/hidden_tests.py`).

    Attributes:
        task_id: Unique in its problem set, e.g. ``"HumanEval/0"``.
        prompt: The question: text, or a function's signature and docstring.
        entry_point: Name of the function to define; None for whole programs (stdio tests).
        public_tests: Tests that the question shows or implies.
        meta: JSON-able extras, e.g. ``{"split": "test", "difficulty": "easy"}``.
        prelude: Code that runs before each program of this problem, as its platform does: imports, classes,
            helpers of the prompt. Programs see it; the entry point must be their own.
    """

    task_id: str
    prompt: str
    entry_point: str | None = None
    public_tests: tuple[TestCase, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict, hash=False)
    prelude: str = ""


class ActionType(enum.IntEnum):
    """Kinds of steps: the paper's three actions, helper functions and malformed text."""

    MALFORMED = 0
    """Text in which no step could be read; it stays in the state and is answered by feedback."""
    DEFINE = 1
    """Define the structure of the algorithm in pseudocode."""
    REFINE = 2
    """Refine part of the pseudocode."""
    CODE = 3
    """Generate Python code from the pseudocode; ends the episode."""
    HELPER = 4
    """Write a function that the program will call; the program is all helpers and the code."""


@dataclass(frozen=True, slots=True)
class Step:
    """One reasoning step S^j.

    Attributes:
        type: Which of the actions it is.
        text: Its body without header; for `CODE` and `HELPER` the bare program without fences.
    """

    type: ActionType
    text: str


@dataclass(frozen=True, slots=True)
class State:
    """s_t: the problem and the steps so far. Hashable; branching needs no copies.

    Attributes:
        problem_id: `Problem.task_id`.
        steps: S^{1:t}, oldest first.
    """

    problem_id: str
    steps: tuple[Step, ...] = ()

    def then(self, step: Step) -> State:
        """Returns s_{t+1} = s_t ∘ a_t."""
        return State(self.problem_id, (*self.steps, step))

    @property
    def depth(self) -> int:
        """Number of steps taken."""
        return len(self.steps)

    @property
    def code(self) -> str | None:
        """The committed program, its helpers first; None while the last step is not a code step."""
        if not self.steps or self.steps[-1].type is not ActionType.CODE:
            return None
        helpers = [step.text for step in self.steps if step.type is ActionType.HELPER]
        return "\n\n\n".join([*helpers, self.steps[-1].text])

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict; `from_row` is its inverse."""
        return {
            "problem_id": self.problem_id,
            "steps": [[int(step.type), step.text] for step in self.steps],
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> State:
        """Reads what `to_row` wrote.

        Raises:
            KeyError, ValueError, TypeError: When the row is not one that `to_row` wrote.
        """
        return cls(row["problem_id"], tuple(Step(ActionType(kind), text) for kind, text in row["steps"]))
