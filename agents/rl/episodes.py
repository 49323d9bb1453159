"""Episodes for training: sampled through the driver, each token assigned to its step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from o1coder_gym.agents.best_of_n import best_of_n
from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.recordings import Recorder, Recording
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.agents.rl.token_rows import Sample, TokenRow, row_of
from o1coder_gym.errors import O1CoderError
from o1coder_gym.policies import LanguageModelPolicy
from o1coder_gym.rewards import fractional_outcome, outcome_reward
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.steps.formats import StepFormat, is_prose
from o1coder_gym.types import ActionType, Problem, Proposal, Sampling, State, Transition
from o1coder_gym.types.protocols import Model


@dataclass(frozen=True, slots=True)
class Episode:
    """A chain of steps that a policy took, to its end.

    Attributes:
        problem: The question.
        proposals: The policy's samples, one per step, m of them.
        transitions: The transition of each.
        prose: Whether the last text, judged as a program, holds none (`is_prose`).
        version: Batches that the weights which sampled it had learned from.
    """

    problem: Problem
    proposals: tuple[Proposal, ...]
    transitions: tuple[Transition, ...]
    prose: bool = False
    version: int = 0

    @property
    def last(self) -> Transition:
        """The transition that ended it."""
        return self.transitions[-1]

    @property
    def process(self) -> tuple[float, ...]:
        """r^{1:m}, the step scorer's values; zeros without a scorer."""
        return tuple(transition.reward_terms["process"] for transition in self.transitions)

    @property
    def committed(self) -> bool:
        """Whether it ended with code."""
        return self.last.verdict is not None

    @property
    def well_formed(self) -> bool:
        """Whether every step could be read and the last one is code, not prose."""
        malformed = any(step.type is ActionType.MALFORMED for step in self.last.state.steps)
        return self.committed and not self.prose and not malformed

    @property
    def tokens(self) -> int:
        """Generated tokens."""
        return sum(proposal.tokens for proposal in self.proposals)

    def outcome(self, tau_pass: float, tau_fail: float, *, fractional: bool = False) -> float:
        """Returns R; NaN where the judge failed, and where there are no tests."""
        grade = fractional_outcome if fractional else outcome_reward
        return grade(self.last.verdict, tau_pass, tau_fail)


def sample_episodes(
    model: Model,
    policy: LanguageModelPolicy,
    task_ids: Sequence[str],
    *,
    sampling: Sampling,
    seed: int,
    first: int = 0,
) -> list[Episode]:
    """Samples one episode for each entry of `task_ids`; repeated entries give independent episodes.

    Args:
        model: The process, with the scorer and the tests of the training.
        policy: Writes the steps.
        task_ids: B problems.
        sampling: How steps are drawn.
        seed: Fixes the episodes, whatever else is in the batch.
        first: Place of the first one in a larger batch, of which another process samples the rest.

    Returns:
        B episodes, in order.

    Raises:
        O1CoderError: When an episode is impossible: the policy, the scorer or the judge failed.
    """
    # Training samples as search and evaluation do, through the driver: the same prompts, parsing and judge.
    recorder = Recorder()
    # An episode is one rollout of the policy: best of one.
    agent = partial(best_of_n, n=1, sampling=sampling)
    tasks = [
        # By place in the whole batch: equal problems get different episodes, on any number of processes the
        # same.
        Task(task_id, agent, name=f"episode-{index}", seed=derive_stream(seed, str(index)))
        for index, task_id in enumerate(task_ids, start=first)
    ]
    # All episodes live at once: each decode step then serves the whole batch.
    driver = Driver(model, policy, observer=recorder, live=max(1, len(tasks)))
    for result in driver.run(tasks):
        if result.error is not None:
            raise O1CoderError(f"an episode failed: {result.error}") from result.error
    form = policy.step_format
    return [_episode(model.problem(task.task_id), recorder.recordings[task.key], form) for task in tasks]


def _episode(problem: Problem, recording: Recording, step_format: StepFormat) -> Episode:
    """Returns the episode of a recording; one that outgrew the model's context ended there, without code.

    Raises:
        O1CoderError: When the context has no room for the question.
    """
    # The driver answers a prompt that does not fit by empty samples: nothing was sampled from there on.
    fits = [one for one in recording.proposals if one.tokens or one.finish != "length"]
    steps = [*recording.transitions.values()][: len(fits)]
    if not fits:
        raise O1CoderError(f"{problem.task_id}: the question is longer than the model's context")
    if len(fits) < len(recording.proposals):
        steps[-1] = replace(steps[-1], truncated=True)
    return Episode(problem, tuple(fits), tuple(steps), is_prose(step_format, fits[-1].text))


def token_row(policy: LanguageModelPolicy, episode: Episode) -> TokenRow:
    """Returns the tokens of an episode as the policy saw and wrote them, every sampled one with its step."""
    states = [State(episode.problem.task_id), *(transition.state for transition in episode.transitions[:-1])]
    samples = []
    for step, (state, proposal) in enumerate(zip(states, episode.proposals, strict=True)):
        # All sampled tokens, also those that showed the end of the step: the policy chose these as well.
        ids = proposal.sampled_ids or proposal.token_ids
        logprobs = proposal.sampled_logprobs or (0.0,) * len(ids)
        shown = policy.prompt_ids(episode.problem, state, episode.proposals[:step])
        samples.append(Sample(shown, ids, logprobs))
    return row_of(samples)


def metrics(episodes: Sequence[Episode]) -> dict[str, float]:
    """Returns the logged figures of a batch of episodes; means over those that could be judged.

    Returns:
        ``pass_rate``, ``compile_rate``, ``pass_ratio``, ``format_compliance``, ``steps``, ``tokens``,
        ``judge_failures`` and ``untested`` (episodes without tests); NaN for a mean over nothing.
    """
    # A NaN value marks what was not judged: it is counted, and left out of every mean, so that all figures
    # are of the same episodes.
    unjudged = [one for one in episodes if math.isnan(one.last.reward_terms["value"])]
    judged = [one for one in episodes if not math.isnan(one.last.reward_terms["value"])]
    untested = sum(not math.isnan(one.last.reward_terms["compile"]) for one in unjudged)
    terms = [one.last.reward_terms for one in judged]
    return {
        "pass_rate": _mean([float(term["pass"] == 1.0) for term in terms]),
        "compile_rate": _mean([term["compile"] for term in terms]),
        "pass_ratio": _mean([term["pass"] for term in terms]),
        "process": _mean([r for one in judged for r in one.process]),
        "format_compliance": _mean([float(one.well_formed) for one in judged]),
        "steps": _mean([float(len(one.proposals)) for one in judged]),
        "tokens": _mean([float(one.tokens) for one in judged]),
        "judge_failures": float(len(unjudged) - untested),
        "untested": float(untested),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
