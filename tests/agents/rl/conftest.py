"""A model of a few thousand weights, and a process that any text leads through: learning in milliseconds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import (
    ActionType,
    CaseResult,
    Outcome,
    Problem,
    State,
    Step,
    Transition,
    Verdict,
)

SETTINGS = RLSettings(
    updates=2,
    problems=2,
    episodes=4,
    rows_at_once=8,
    learning_rate=1e-3,
    max_tokens=6,
    beta=0.1,
    save_every=1,
)


class LetterModel:
    """Two steps, then code; passes if it has more even than odd letters. r is the share of even letters."""

    task_ids = ("one", "two", "three")

    def problem(self, task_id: str, /) -> Problem:
        return Problem(task_id, f"count to {task_id}", "f")

    def initial(self, task_id: str, /) -> State:
        return State(task_id)

    def advance(self, pairs: Sequence[tuple[State, str]], /) -> list[Transition]:
        return [self._one(state, action) for state, action in pairs]

    def _one(self, state: State, action: str) -> Transition:
        last = state.depth == 2
        after = state.then(Step(ActionType.CODE, action) if last else PSEUDOCODE.parse(action))
        even = sum(ord(letter) % 2 == 0 for letter in action) / max(1, len(action))
        passed = even > 0.5
        outcome = Outcome.PASS if passed else Outcome.WRONG_ANSWER
        verdict = Verdict(outcome, (CaseResult(outcome),)) if last else None
        terms = {
            "process": even,
            "compile": float(last),
            "pass": float(passed and last),
            "value": 0.0,
        }
        return Transition(after, 0.0, last, False, verdict=verdict, reward_terms=terms)


class SilentModel(LetterModel):
    """Never takes anything for code."""

    def _one(self, state: State, action: str) -> Transition:
        found = super()._one(state, action)
        after = state.then(PSEUDOCODE.parse(action))
        return replace(found, state=after, terminated=False, truncated=found.terminated, verdict=None)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained tiny model."""
    pytest.importorskip("trl")
    from o1coder_gym.experiments.micro.tiny_model import TinySettings, train_tiny_model

    settings = TinySettings(layers=1, width=16, heads=2, vocabulary=300, traces=8, steps=1, batch_size=2)
    return train_tiny_model(tmp_path_factory.mktemp("tiny") / "model", settings)


@pytest.fixture
def settings() -> RLSettings:
    return SETTINGS


@pytest.fixture
def process() -> LetterModel:
    return LetterModel()


@pytest.fixture
def silent() -> LetterModel:
    return SilentModel()
