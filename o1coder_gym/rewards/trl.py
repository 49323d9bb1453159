"""Reward functions for other trainers: ``trl grpo --reward_funcs o1coder_gym.rewards.trl.outcome …``.

Each takes the columns that `rows` writes (or `O1CoderSpec.train_dataset` has) and returns one number per
completion, None where the judge itself failed, or where what is rewarded needs tests and there are none.
Completions are whole chains of steps, as text or as messages.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from o1coder_gym.problems.rows import case_from_json, case_to_json
from o1coder_gym.protocols import StepScorer
from o1coder_gym.rewards.terms import DEFAULTS, RewardConstants, fractional_outcome, outcome_reward
from o1coder_gym.rewards.terms import phi as phi_of
from o1coder_gym.steps.formats import StepFormat, load_format
from o1coder_gym.types import (
    ActionType,
    Outcome,
    Problem,
    State,
    Step,
    Submission,
    Tests,
    Verdict,
)

Completion: TypeAlias = str | Sequence[Mapping[str, Any]]
Rewards: TypeAlias = list[float | None]


def rows(
    problems: Sequence[Problem], *, format: str = "pseudocode", tests: Mapping[str, Tests] | None = None
) -> list[dict[str, Any]]:
    """Returns a row per problem for a trainer's data set.

    Args:
        problems: The questions; hidden tests are not among what they carry.
        format: Step format that the prompt asks for.
        tests: Further tests by task id, e.g. generated ones; judged after the public tests.

    Returns:
        ``prompt`` (messages), ``task_id``, ``question``, ``entry_point``, ``tests`` (JSON text), ``format``.
    """
    write = load_format(format)
    extra = tests or {}
    return [
        {
            "prompt": [
                {"role": role, "content": content}
                for role, content in write.prompt(problem, State(problem.task_id)).messages
            ],
            "task_id": problem.task_id,
            "question": problem.prompt,
            "entry_point": problem.entry_point,
            "tests": json.dumps(
                [case_to_json(test) for test in (*problem.public_tests, *extra.get(problem.task_id, ()))]
            ),
            "format": format,
        }
        for problem in problems
    ]


def outcome(completions: Sequence[Completion], **columns: Any) -> Rewards:
    """R: 1 iff the program of a chain passes all tests, else 0."""
    return [_if_known(outcome_reward(verdict)) for verdict in _judged(completions, columns)]


def pass_ratio(completions: Sequence[Completion], **columns: Any) -> Rewards:
    """Returns the share of tests passed; 0 without a program."""
    verdicts = _judged(completions, columns)
    return [_if_known(fractional_outcome(verdict)) for verdict in verdicts]


def compiles(completions: Sequence[Completion], **columns: Any) -> Rewards:
    """1 iff there is a program and it compiles."""
    verdicts = _judged(completions, columns)
    return [_compile_bit(verdict) for verdict in verdicts]


def well_formed(completions: Sequence[Completion], **columns: Any) -> Rewards:
    """1 iff every step can be read and the last one is code."""
    return [float(_is_whole(steps)) for steps in _chains(completions, columns)]


class Phi:
    """φ(R, r^{1:m}) as a reward function, with the process rewards of a step scorer.

    `phi` is one with the scorer that needs no model; make your own with a trained PRM:
    ``Phi(load_scorer("prm:runs/prm/model"), RewardConstants(alpha=0.5))``.
    """

    __name__ = "phi"

    def __init__(self, scorer: StepScorer | None = None, constants: RewardConstants = DEFAULTS) -> None:
        """Args: the scorer (None: the heuristic one), α, γ and τ."""
        self._scorer = scorer
        self._constants = constants

    def __call__(self, completions: Sequence[Completion], **columns: Any) -> Rewards:
        """Returns φ of each completion."""
        constants = self._constants
        chains, verdicts = _chains(completions, columns), _judged(completions, columns)
        process = self._process(chains, columns)
        rewards: Rewards = []
        for scores, verdict in zip(process, verdicts, strict=True):
            earned = outcome_reward(verdict, constants.tau_pass, constants.tau_fail)
            rewards.append(_if_known(phi_of(earned, scores, constants.alpha, constants.gamma)))
        return rewards

    def _process(self, chains: Sequence[tuple[Step, ...]], columns: Mapping[str, Any]) -> list[list[float]]:
        """Scores all prefixes of all chains in one batch."""
        problems = [
            Problem(task_id, question, entry_point)
            for task_id, question, entry_point in zip(
                columns["task_id"], columns["question"], columns["entry_point"], strict=True
            )
        ]
        items = [
            (problem, State(problem.task_id, steps[: taken + 1]))
            for problem, steps in zip(problems, chains, strict=True)
            for taken in range(len(steps))
        ]
        scores = iter(self._loaded().score(items))
        return [[next(scores) for _ in steps] for steps in chains]

    def _loaded(self) -> StepScorer:
        if self._scorer is None:
            from o1coder_gym.prm import load_scorer

            self._scorer = load_scorer("heuristic")
        return self._scorer


phi = Phi()
"""φ with α = 0.5, γ = 0.9 and the heuristic scorer."""


def read_texts(completion: Completion, step_format: StepFormat) -> list[str]:
    """Cuts a whole chain into the texts of its steps, up to the first program."""
    text = _text(completion)
    actions: list[str] = []
    while text.strip():
        end = step_format.boundary(text)
        actions.append(text[:end])
        if end is None or step_format.parse(actions[-1]).type is ActionType.CODE:
            break
        text = text[end:]
    return actions


def read_chain(completion: Completion, step_format: StepFormat) -> tuple[Step, ...]:
    """Reads the steps of a whole chain, up to the first program."""
    return tuple(step_format.parse(action) for action in read_texts(completion, step_format))


def _chains(completions: Sequence[Completion], columns: Mapping[str, Any]) -> list[tuple[Step, ...]]:
    return [
        read_chain(completion, load_format(name))
        for completion, name in zip(completions, columns["format"], strict=True)
    ]


def _text(completion: Completion) -> str:
    """Returns a completion as text; of a conversation what the assistant said."""
    if isinstance(completion, str):
        return completion
    return "\n\n".join(str(turn["content"]) for turn in completion if turn["role"] == "assistant")


def _judged(completions: Sequence[Completion], columns: Mapping[str, Any]) -> list[Verdict | None]:
    """Judges the programs of all chains in one batch; None for a chain without one."""
    from o1coder_gym.sandbox import default_judge

    codes = [
        steps[-1].text if steps and steps[-1].type is ActionType.CODE else None
        for steps in _chains(completions, columns)
    ]
    submissions = [
        Submission(code, entry_point, tuple(map(case_from_json, json.loads(tests))))
        for code, entry_point, tests in zip(codes, columns["entry_point"], columns["tests"], strict=True)
        if code is not None
    ]
    verdicts = iter(default_judge().evaluate(submissions) if submissions else [])
    return [None if code is None else next(verdicts) for code in codes]


def _is_whole(steps: Sequence[Step]) -> bool:
    kinds = [step.type for step in steps]
    return bool(kinds) and kinds[-1] is ActionType.CODE and ActionType.MALFORMED not in kinds


def _compile_bit(verdict: Verdict | None) -> float | None:
    if verdict is None:
        return 0.0
    return None if verdict.outcome is Outcome.INFRASTRUCTURE else float(verdict.compiles)


def _if_known(reward: float) -> float | None:
    return None if math.isnan(reward) else reward
