"""A toy world that needs no sandbox: programs are single words, the judge knows what they are worth."""

import json
import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from o1coder_gym.envs import (
    ChoiceInteraction,
    ReasoningEnv,
    ReasoningModel,
    ReasoningVectorEnv,
    TextInteraction,
)
from o1coder_gym.types import (
    CallTest,
    CaseResult,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    State,
    Submission,
    Verdict,
)

DEFINE = "### Step 1 (define)\nfunction solve(x)\n"
GOOD, HALF, BAD = (f"### Step 1 (code)\n```python\n{word}\n```\n" for word in ("good", "half", "bad"))
ACTIONS = (DEFINE, GOOD, HALF, BAD, "no step at all")

PROBLEMS = tuple(
    Problem(f"toy/{number}", f"Question {number}?", "solve", (CallTest("[1]", "2"), CallTest("[2]", "3")))
    for number in range(3)
)


class ToyJudge:
    """`good` passes, `half` fails the second test, all else fails both; counts its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Verdict]:
        self.batches.append(len(submissions))
        return [self._verdict(submission.code) for submission in submissions]

    def _verdict(self, code: str) -> Verdict:
        right = {"good": 2, "half": 1}.get(code, 0)
        wrong = CaseResult(Outcome.WRONG_ANSWER, got="0")
        results = (CaseResult(Outcome.PASS),) * right + (wrong,) * (2 - right)
        return Verdict(Outcome.PASS if right == 2 else Outcome.WRONG_ANSWER, results)


class ToyPolicy:
    """Draws actions of the toy world with the request's seed."""

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        return [self._draw(request) for request in requests]

    def _draw(self, request: PolicyRequest) -> tuple[Proposal, ...]:
        texts = random.Random(request.seed).choices(ACTIONS, weights=(2, 1, 1, 3, 1), k=request.n)
        return tuple(Proposal(text, tokens=len(text.split()), logprob=-0.5 * len(text)) for text in texts)


class ToyScorer:
    """Scores shorter chains higher."""

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        return [1.0 / (1 + state.depth) for _, state in items]


class Toy(SimpleNamespace):
    """Builds toy models and environments."""

    def model(self, **arguments: Any) -> ReasoningModel:
        return ReasoningModel(PROBLEMS, ToyJudge(), **{"max_steps": 3, "scorer": ToyScorer(), **arguments})

    def text(self, model: ReasoningModel | None = None, **arguments: Any) -> ReasoningEnv:
        return ReasoningEnv(TextInteraction(model or self.shared), **arguments)

    def choice(self, model: ReasoningModel | None = None, **arguments: Any) -> ReasoningEnv:
        return ReasoningEnv(ChoiceInteraction(model or self.shared, ToyPolicy(), k=4), **arguments)

    def text_vector(self, num_envs: int = 2, **arguments: Any) -> ReasoningVectorEnv:
        return ReasoningVectorEnv(TextInteraction(self.shared), num_envs, **arguments)

    def choice_vector(self, num_envs: int = 2, **arguments: Any) -> ReasoningVectorEnv:
        return ReasoningVectorEnv(ChoiceInteraction(self.shared, ToyPolicy(), k=4), num_envs, **arguments)


@pytest.fixture(scope="session")
def toy() -> Toy:
    world = Toy(
        problems=PROBLEMS,
        actions=ACTIONS,
        define=DEFINE,
        good=GOOD,
        half=HALF,
        bad=BAD,
        judge=ToyJudge,
        policy=ToyPolicy(),
        scorer=ToyScorer(),
    )
    world.shared = world.model()
    return world


@pytest.fixture(scope="session")
def plain() -> Callable[[Any], str]:
    """Turns what an environment returned into text that can be compared; drops clocks."""
    return lambda value: json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if key not in ("t", "_t")}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "tolist"):
        return [str(value.dtype), _plain(value.tolist())]
    return value
