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

All of them play the chain in a `ReasoningModel`, so what they pay is what an environment pays: a step that
cannot be read scores 0, a chain is over at the step limit, and one that stops without code is worth what the
limit would have made of it (`ReasoningModel.stopped`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeAlias

from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.envs.settings import Settings, SharedJudge
from o1coder_gym.errors import MissingExtraError
from o1coder_gym.protocols import StepScorer
from o1coder_gym.rewards import (
    DEFAULTS,
    Reward,
    RewardConstants,
    RewardFunction,
    phi_reward,
    sparse_outcome,
)
from o1coder_gym.steps.answers import said_in
from o1coder_gym.steps.formats import StepFormat, is_prose, load_format, read_action, split_chain
from o1coder_gym.types import (
    ActionType,
    Outcome,
    Problem,
    State,
    Step,
    Tests,
    Transition,
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
        steps = self._model.max_steps
        return Dataset.from_list(
            rows(self._problems, format=self._format, tests=self._tests, max_steps=steps)
        )

    @property
    def environment_factory(self) -> Callable[[], ReasoningTools]:
        """Makes an environment for one episode at a time."""
        return partial(ReasoningTools, self._model)

    @property
    def rewarding_environment_factory(self) -> Callable[[], ReasoningTools]:
        """Makes environments that own their reward, for AsyncGRPO: it hands none to reward functions.

        Give it with ``reward_funcs=[]``. It pickles, as AsyncGRPO's workers need it.
        """
        return partial(RewardingTools, self._model)

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
        texts = [read_texts(completion, self._model.format) for completion in completions]
        return [episode.reward for episode in play(self._model, columns["task_id"], texts)]


@dataclass(slots=True)
class Episode:
    """An episode that is played. Mutable.

    Attributes:
        state: Where it is.
        transitions: So far.
        stop: What the last step is paid if nothing follows; None once the episode is over.
    """

    state: State
    transitions: list[Transition] = field(default_factory=list)
    stop: Reward | None = None

    @property
    def over(self) -> bool:
        """Whether no step can follow."""
        return bool(self.transitions) and self.transitions[-1].done

    @property
    def terms(self) -> Mapping[str, float]:
        """The reward terms of its end."""
        return self.stop.terms if self.stop is not None else self.transitions[-1].reward_terms

    @property
    def reward(self) -> float | None:
        """The sum of its rewards; None where the judge failed or had no tests, which trainers mask."""
        rewards = [transition.reward for transition in self.transitions]
        if self.stop is not None:
            rewards[-1:] = [self.stop.value]
        total = math.fsum(rewards)
        verdict = self.transitions[-1].verdict if self.transitions else None
        untested = verdict is not None and verdict.outcome is Outcome.NO_TESTS
        return None if untested or math.isnan(total) else total


def play(model: ReasoningModel, task_ids: Sequence[str], texts: Sequence[Sequence[str]]) -> list[Episode]:
    """Plays whole chains, all at once.

    Args:
        model: The process.
        task_ids: A problem of each chain, [B].
        texts: Its steps; those behind the end of the episode are not played, [B].

    Returns:
        B episodes; one whose steps do not come to an end is stopped.
    """
    episodes = [Episode(model.initial(task_id)) for task_id in task_ids]
    waiting = [list(reversed(steps)) for steps in texts]
    while active := [
        (episode, steps)
        for episode, steps in zip(episodes, waiting, strict=True)
        if steps and not episode.over
    ]:
        transitions = model.advance([(episode.state, steps.pop()) for episode, steps in active])
        for (episode, _), transition in zip(active, transitions, strict=True):
            episode.state = transition.state
            episode.transitions.append(transition)
    stopped = [episode for episode in episodes if not episode.over]
    for episode, reward in zip(stopped, model.stopped([one.state for one in stopped]), strict=True):
        episode.stop = reward
    return episodes


class ReasoningTools:
    """The process as a tool for a language model: one episode, moved on by `step`."""

    def __init__(self, model: ReasoningModel) -> None:
        """Args: the process, shared by all environments of a spec."""
        self._model = model
        self._episode: Episode | None = None

    def reset(self, task_id: str, **columns: Any) -> None:
        """Begins an episode; the question is in the prompt already."""
        self._episode = Episode(self._model.initial(task_id))

    def step(self, action: str) -> str:
        """Take one reasoning step: define, refine, or write the final code.

        Args:
            action: The step with its header, such as "### Step 1 (define)" and its text.

        Returns:
            What came of it.
        """
        episode = self._episode
        if episode is None or episode.over:
            return "The episode is over."
        (transition,) = self._model.advance([(episode.state, action)])
        episode.state = transition.state
        episode.transitions.append(transition)
        return transition.feedback or "Go on."

    @property
    def reward(self) -> float | None:
        """The sum of the rewards, if the episode ends here; None where the judge failed or had no tests."""
        episode = self._episode
        if episode is None:
            return 0.0
        stop = None if episode.over else self._model.stopped([episode.state])[0]
        return replace(episode, stop=stop).reward


class RewardingTools(ReasoningTools):
    """An episode that pays its own reward."""

    def get_reward(self) -> float | None:
        """Returns `reward`; the trainer calls it when the episode is over."""
        return self.reward


Completion: TypeAlias = str | Sequence[Mapping[str, Any]]
Rewards: TypeAlias = list[float | None]

MAX_STEPS = 8
"""Longest chain where no column says otherwise; that of the environments."""


def rows(
    problems: Sequence[Problem],
    *,
    format: str = "pseudocode",
    tests: Mapping[str, Tests] | None = None,
    max_steps: int = MAX_STEPS,
) -> list[dict[str, Any]]:
    """Returns a row per problem for a trainer's data set.

    Args:
        problems: The questions; hidden tests are not among what they carry.
        format: Step format that the prompt asks for.
        tests: Further tests by task id, e.g. generated ones; judged after the public tests.
        max_steps: Longest chain, ≥ 1.

    Returns:
        ``prompt`` (messages), ``task_id``, ``question``, ``entry_point``, ``tests`` (JSON text), ``format``;
        and ``max_steps`` where it is not `MAX_STEPS`.
    """
    from o1coder_gym.problems.rows import case_to_json

    write = load_format(format)
    extra = tests or {}
    limit = {} if max_steps == MAX_STEPS else {"max_steps": max_steps}
    return [
        {
            "prompt": [
                {"role": role, "content": content}
                for role, content in write.prompt(problem, State(problem.task_id)).messages
            ],
            "task_id": problem.task_id,
            "question": problem.prompt,
            "entry_point": problem.entry_point,
            "prelude": problem.prelude,
            "tests": json.dumps(
                [case_to_json(test) for test in (*problem.public_tests, *extra.get(problem.task_id, ()))]
            ),
            "format": format,
            **limit,
        }
        for problem in problems
    ]


def outcome(completions: Sequence[Completion], **columns: Any) -> Rewards:
    """R: 1 iff the program of a chain passes all tests, else 0."""
    return _term("outcome", completions, columns)


def pass_ratio(completions: Sequence[Completion], **columns: Any) -> Rewards:
    """Returns the share of tests passed; 0 without a program."""
    return _term("pass", completions, columns)


def compiles(completions: Sequence[Completion], **columns: Any) -> Rewards:
    """1 iff there is a program and it compiles."""
    return _term("compile", completions, columns)


def well_formed(completions: Sequence[Completion], **columns: Any) -> Rewards:
    """1 iff every step can be read and the last one that the step limit allows is code; prose is none."""
    asked = columns.get("entry_point", [None] * len(completions))
    each = zip(completions, columns["format"], asked, _limits(columns, len(completions)), strict=True)
    return [
        float(_is_whole_text(completion, load_format(name), entry, limit))
        for completion, name, entry, limit in each
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
        return _term(
            "phi", completions, columns, partial(phi_reward, constants=self._constants), self._loaded()
        )

    def _loaded(self) -> StepScorer:
        if self._scorer is None:
            from o1coder_gym.prm import load_scorer

            self._scorer = load_scorer("heuristic")
        return self._scorer


phi = Phi()
"""φ with α = 0.5, γ = 0.9 and the heuristic scorer."""


class Combined:
    """One reward function of several: their weighted sum, None where one of them is not known.

    Trainers of TRL add up reward functions that are given beside each other and take None for 0 unless all of
    them return it. So `outcome` and `well_formed` as two functions grade a well-formed chain on which the
    judge failed as a failing program; as one they leave it out.
    """

    def __init__(self, *parts: tuple[Callable[..., Rewards], float], name: str = "combined") -> None:
        """Args: reward functions with their weights; what trainers log the sum as."""
        self._parts = parts
        self.__name__ = name

    def __call__(self, completions: Sequence[Completion], **columns: Any) -> Rewards:
        """Returns the sum for each completion."""
        found = [part(completions=completions, **columns) for part, _ in self._parts]
        weights = [weight for _, weight in self._parts]
        return [_weighted(values, weights) for values in zip(*found, strict=True)]


def _weighted(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    known = [value * weight for value, weight in zip(values, weights, strict=True) if value is not None]
    return sum(known) if len(known) == len(values) else None


outcome_and_form = Combined((outcome, 1.0), (well_formed, 0.2), name="outcome_and_form")
"""R + 0.2 for a chain that can be read; None where R is not known."""


def read_texts(completion: Completion, step_format: StepFormat) -> list[str]:
    """Cuts a whole chain into the texts of its steps, up to the first program."""
    return split_chain(step_format, _text(completion))


def read_chain(
    completion: Completion, step_format: StepFormat, entry_point: str | None = None
) -> tuple[Step, ...]:
    """Reads the steps of a whole chain, up to the first program."""
    texts = read_texts(completion, step_format)
    return tuple(read_action(step_format, action, entry_point) for action in texts)


def _text(completion: Completion) -> str:
    """Returns a completion as text; of a conversation what the assistant said."""
    if isinstance(completion, str):
        return completion
    return "\n\n".join(_said(turn) for turn in completion if turn["role"] == "assistant")


def _said(turn: Mapping[str, Any]) -> str:
    """Returns what an assistant's turn says: the actions of its tool calls, else its content."""
    calls = [call.get("function", call).get("arguments") for call in turn.get("tool_calls") or ()]
    actions = [action for call in calls if (action := _action(call)) is not None]
    return "\n\n".join(actions) or said_in(turn)


def _action(arguments: Any) -> str | None:
    """Returns the action among a tool call's arguments, which may be JSON; None where there is none."""
    try:
        given = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return None
    return str(given["action"]) if isinstance(given, Mapping) and "action" in given else None


def _term(
    name: str,
    completions: Sequence[Completion],
    columns: Mapping[str, Any],
    reward: RewardFunction = sparse_outcome,
    scorer: StepScorer | None = None,
) -> Rewards:
    """Returns a reward term of the end of each chain, None where it is not known."""
    found: dict[int, float] = {}
    for (step_format, limit, _), places in _groups(completions, columns).items():
        problems = {columns["task_id"][place]: _problem(columns, place) for place in places}
        model = ReasoningModel(
            problems.values(),
            SharedJudge(),
            format=load_format(step_format),
            max_steps=limit,
            reward=reward,
            scorer=scorer,
        )
        texts = [read_texts(completions[place], model.format) for place in places]
        episodes = play(model, [columns["task_id"][place] for place in places], texts)
        found.update((place, episode.terms[name]) for place, episode in zip(places, episodes, strict=True))
    return [None if math.isnan(found[place]) else found[place] for place in range(len(completions))]


def _groups(
    completions: Sequence[Completion], columns: Mapping[str, Any]
) -> dict[tuple[str, int, int], list[int]]:
    """Returns the places of chains that one model can play: a task id is one problem there."""
    seen: dict[tuple[str, int, str], list[tuple[Any, ...]]] = {}
    groups: dict[tuple[str, int, int], list[int]] = {}
    for place, limit in enumerate(_limits(columns, len(completions))):
        content = (
            *(columns[name][place] for name in ("question", "entry_point", "tests")),
            _prelude(columns, place),
        )
        known = seen.setdefault((columns["format"][place], limit, columns["task_id"][place]), [])
        if content not in known:
            known.append(content)
        groups.setdefault((columns["format"][place], limit, known.index(content)), []).append(place)
    return groups


def _problem(columns: Mapping[str, Any], place: int) -> Problem:
    from o1coder_gym.problems.rows import case_from_json

    tests = tuple(map(case_from_json, json.loads(columns["tests"][place])))
    task_id, question, entry_point = (columns[name][place] for name in ("task_id", "question", "entry_point"))
    return Problem(task_id, question, entry_point, tests, prelude=_prelude(columns, place))


def _prelude(columns: Mapping[str, Any], place: int) -> str:
    return columns["prelude"][place] if "prelude" in columns else ""


def _limits(columns: Mapping[str, Any], count: int) -> list[int]:
    return list(columns.get("max_steps", (MAX_STEPS,) * count))


def _is_whole_text(completion: Completion, step_format: StepFormat, entry: str | None, limit: int) -> bool:
    texts = read_texts(completion, step_format)[:limit]
    kinds = [step.type for step in read_chain(completion, step_format, entry)[:limit]]
    whole = bool(kinds) and kinds[-1] is ActionType.CODE and ActionType.MALFORMED not in kinds
    return whole and not is_prose(step_format, texts[-1])
