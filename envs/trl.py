"""One object that wires this project's problems into a TRL trainer, in the manner of TRL's own specs.

    spec = O1CoderSpec("mbpp", split="train")
    GRPOTrainer(
        model,
        reward_funcs=spec.reward_funcs,
        train_dataset=spec.train_dataset,
        environment_factory=spec.environment_factory,
    )

With the environment the model takes its steps as tool calls and is told after each what came of it; its chat
template must know tools. Without ``environment_factory`` the completion is read as a whole chain of steps.

Reward functions for other trainers: ``trl grpo --reward_funcs o1coder_gym.envs.trl.outcome …``.

Each takes the columns that `rows` writes (or `O1CoderSpec.train_dataset` has) and returns one number per
completion, None where the judge itself failed, or where what is rewarded needs tests and there are none.
Completions are whole chains of steps, as text or as messages.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.envs.settings import Settings, SharedJudge
from o1coder_gym.errors import MissingExtraError
from o1coder_gym.protocols import StepScorer
from o1coder_gym.rewards import DEFAULTS, RewardConstants, fractional_outcome, outcome_reward
from o1coder_gym.rewards import phi as phi_of
from o1coder_gym.steps.answers import said_in
from o1coder_gym.steps.formats import StepFormat, is_prose, load_format, read_action, split_chain
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


class O1CoderSpec:
    """Data set, environment and reward for a trainer, over one problem set.

    The trainer sees public and given tests, never hidden ones.
    """

    def __init__(
        self,
        problems: str,
        *,
        split: str | None = None,
        format: str = "pseudocode",
        max_steps: int = 8,
        reward: str = "phi",
        alpha: float = 0.5,
        gamma: float = 0.9,
        scorer: str | None = None,
        tests: Mapping[str, Tests] | None = None,
        limit: int | None = None,
    ) -> None:
        """Reads the problems.

        Args:
            problems: Name or path of a problem set.
            split: Split of the set.
            format: Step format.
            max_steps: Steps per episode.
            reward: Mode, as of the environments: outcome, process, phi or phi_dense.
            alpha: α of φ.
            gamma: γ of φ.
            scorer: Step scorer, as of the environments.
            tests: Further tests by task id, e.g. generated ones.
            limit: First N problems only.

        Raises:
            UnknownNameError: When there is no such problem set, split, format or reward.
        """
        from o1coder_gym.prm import load_scorer
        from o1coder_gym.problems.loading import load_problems

        settings = Settings(
            problems, split, format, max_steps, reward, alpha=alpha, gamma=gamma, scorer=scorer
        )
        self._problems = load_problems(problems, split=split)[:limit]
        self._format = format
        self._tests = tests
        self._model = ReasoningModel(
            self._problems,
            SharedJudge(),
            format=load_format(format),
            max_steps=max_steps,
            reward=settings.reward_function(),
            scorer=load_scorer(scorer) if scorer else None,
            tests=tests,
        )

    @cached_property
    def train_dataset(self) -> Any:
        """A `datasets.Dataset` with a row per problem, see `envs.trl.rows`.

        Raises:
            MissingExtraError: When datasets is not installed.
        """
        try:
            from datasets import Dataset
        except ImportError as error:
            raise MissingExtraError("datasets", "train") from error
        return Dataset.from_list(rows(self._problems, format=self._format, tests=self._tests))

    @property
    def environment_factory(self) -> Callable[[], ReasoningTools]:
        """Makes an environment for one episode at a time."""
        return lambda: ReasoningTools(self._model)

    @property
    def reward_funcs(self) -> list[Callable[..., list[float | None]]]:
        """One function, `episode_reward`."""
        return [self.episode_reward]

    def episode_reward(
        self, completions: Sequence[Completion], environments: Sequence[Any] | None = None, **columns: Any
    ) -> list[float | None]:
        """Returns the reward of each episode, whether it was played in an environment or written down."""
        if environments is not None:
            return [environment.reward for environment in environments]
        played = [ReasoningTools(self._model) for _ in completions]
        for tools, task_id, completion in zip(played, columns["task_id"], completions, strict=True):
            tools.reset(task_id=task_id)
            for step in read_texts(completion, self._model.format):
                tools.step(step)
        return [tools.reward for tools in played]


class ReasoningTools:
    """The process as a tool for a language model: one episode, moved on by `step`."""

    def __init__(self, model: ReasoningModel) -> None:
        """Args: the process, shared by all environments of a spec."""
        self._model = model
        self._state = State("")
        self._rewards: list[float] = []
        self._untested = False
        self._over = True

    def reset(self, task_id: str, **columns: Any) -> None:
        """Begins an episode; the question is in the prompt already."""
        self._state = self._model.initial(task_id)
        self._rewards = []
        self._untested = False
        self._over = False

    def step(self, action: str) -> str:
        """Take one reasoning step: define, refine, or write the final code.

        Args:
            action: The step with its header, such as "### Step 1 (define)" and its text.

        Returns:
            What came of it.
        """
        if self._over:
            return "The episode is over."
        (transition,) = self._model.advance([(self._state, action)])
        self._state = transition.state
        self._rewards.append(transition.reward)
        self._untested = transition.verdict is not None and transition.verdict.outcome is Outcome.NO_TESTS
        self._over = transition.done
        return transition.feedback or "Go on."

    @property
    def reward(self) -> float | None:
        """The sum of the rewards so far; None where the judge failed or had no tests, which TRL masks."""
        total = math.fsum(self._rewards) if self._rewards else 0.0
        return None if self._untested or math.isnan(total) else total


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
    from o1coder_gym.problems.rows import case_to_json

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
    """1 iff every step can be read and the last one is code; prose is none."""
    chains = _chains(completions, columns)
    return [
        float(_is_whole(steps) and not is_prose(write, read_texts(completion, write)[-1]))
        for steps, completion, write in zip(
            chains, completions, map(load_format, columns["format"]), strict=True
        )
    ]


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
    return split_chain(step_format, _text(completion))


def read_chain(
    completion: Completion, step_format: StepFormat, entry_point: str | None = None
) -> tuple[Step, ...]:
    """Reads the steps of a whole chain, up to the first program."""
    texts = read_texts(completion, step_format)
    return tuple(read_action(step_format, action, entry_point) for action in texts)


def _chains(completions: Sequence[Completion], columns: Mapping[str, Any]) -> list[tuple[Step, ...]]:
    names = columns.get("entry_point", [None] * len(completions))
    return [
        read_chain(completion, load_format(format), name)
        for completion, format, name in zip(completions, columns["format"], names, strict=True)
    ]


def _text(completion: Completion) -> str:
    """Returns a completion as text; of a conversation what the assistant said."""
    if isinstance(completion, str):
        return completion
    return "\n\n".join(said_in(turn) for turn in completion if turn["role"] == "assistant")


def _judged(completions: Sequence[Completion], columns: Mapping[str, Any]) -> list[Verdict | None]:
    """Judges the programs of all chains in one batch; None for a chain without one."""
    from o1coder_gym.problems.rows import case_from_json
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
