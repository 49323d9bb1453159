"""PPO that learns which of K proposals of a fixed policy to take, compared with random choice."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from o1coder_gym.metrics.estimates import estimate_share
from o1coder_gym.problems.hidden_tests import Evaluation
from o1coder_gym.problems.likeness.overlap import SURE, in_training, overlaps
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.missing_tests import Warn, warn_of, without_visible_tests
from o1coder_gym.rewards import Schedule, load_schedule
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.provenance import Provenance, file_hashes, input_hashes, package_versions
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.sandbox import default_judge
from o1coder_gym.settings import AtLeastOne, Checked, NonNegative, Range
from o1coder_gym.settings.groups import (
    DEFAULT_POLICY,
    FormatName,
    MaxSteps,
    PolicySpec,
    Seed,
    SetName,
    Split,
)
from o1coder_gym.types import Outcome, State

if TYPE_CHECKING:
    from o1coder_gym.agents.rl import choice_ppo
    from o1coder_gym.agents.rl.choice_ppo import Chooser, Solves, Training

OnProgress = Callable[[int, float | None], None]
"""Called after each update with the choices learned from and the recent success rate if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceTraining(Checked):
    """Training.

    Attributes:
        reward: outcome, process, phi or phi_dense.
        alpha: α(t), t in updates: 0.5, linear?start=1&end=0.1&horizon=90, …
        algorithm: PPO that chooses among sensible proposals only, or among all.
        steps: Choices to learn from, in all.
        num_envs: Environments side by side.
        rollout: Choices per environment and update.
        learning_rate: Learning rate of Adam.
        episodes: Episodes of the evaluation.
    """

    reward: str = "outcome"
    alpha: str = "0.5"
    algorithm: Literal["maskable_ppo", "ppo"] = "maskable_ppo"
    steps: AtLeastOne = 8192
    num_envs: AtLeastOne = 4
    rollout: Annotated[int, Range(2)] = 64
    learning_rate: NonNegative = 1e-3
    episodes: AtLeastOne = 100
    seed: Seed = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceSettings(Checked):
    """Environment.

    Attributes:
        k: Proposals to choose from.
        max_tokens: Tokens per proposal.
        held_out: Split to evaluate on, by hidden tests; without it the training problems, by public tests.
        training: How it is trained.
    """

    problems: SetName = "starter"
    split: Split = None
    policy: PolicySpec = DEFAULT_POLICY
    format: FormatName = "pseudocode"
    max_steps: MaxSteps = 8
    k: AtLeastOne = 4
    max_tokens: AtLeastOne = 384
    held_out: str | None = None
    training: ChoiceTraining = ChoiceTraining()


def train_choice(
    settings: ChoiceSettings,
    out: Path,
    *,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    on_warning: Warn = warnings.warn,
) -> dict[str, Any]:
    """Trains PPO to choose among K proposals and evaluates it: ``o1coder rl choice`` without printing.

    Args:
        settings: What is trained on what.
        out: The run folder; the result serves as the agent ``choice_ppo?path=OUT``.
        resume: Whether to continue the run that `out` holds, also further than it was to go.
        on_progress: Called after each update.
        on_warning: Called with a line about problems without public tests, or both trained on and held out.

    Returns:
        ``steps``, and what ``random`` and ``learned`` choices reach on the same tasks and first proposals: of
        the split ``held_out``, where one is given, by hidden tests.

    Raises:
        JournalError: When `out` holds a run and `resume` is false, or a run of other settings.
        O1CoderError: When the policy or the problems have changed since the run began.
        MissingExtraError: When stable-baselines3 is not installed.
    """
    from o1coder_gym.agents.rl.choice_ppo import train

    schedule = load_schedule(settings.training.alpha)
    training = _training(settings, schedule)
    row = asdict(training)
    del row["steps"]  # a resumed run may go further
    rows = load_rows(settings.problems, split=settings.split)
    held_out = load_rows(settings.problems, split=settings.held_out) if settings.held_out else ()
    shared = in_training(overlaps(rows, held_out, ways=SURE), len(held_out))
    warn_of(on_warning, without_visible_tests(rows), shared)
    with RunFolder.open(out, {**row, "alpha": settings.training.alpha}, resume=resume) as folder:
        chooser = train(training, out, resume=resume, alpha=schedule, on_progress=on_progress)
        # By this a run of the agent notices that its chooser was trained further.
        inputs = input_hashes(settings.policy) | file_hashes(settings.problems)
        made = Provenance("rl choice", asdict(training), inputs, package_versions("torch"))
        made.write(out)
        result = _compared(chooser, training, settings, folder)
        folder.append("evaluations", result)
    return result


def _training(settings: ChoiceSettings, schedule: Schedule) -> Training:
    from o1coder_gym.agents.rl.choice_ppo import Training

    env: dict[str, Any] = {"problems": settings.problems, "split": settings.split, "policy": settings.policy}
    env |= {"format": settings.format, "max_steps": settings.max_steps, "k": settings.k}
    how = settings.training
    env |= {"max_tokens": settings.max_tokens, "reward": how.reward, "alpha": schedule(0)}
    return Training(
        env, how.algorithm, how.steps, how.num_envs, how.rollout, how.learning_rate, seed=how.seed
    )


def _compared(
    chooser: Chooser, training: Training, settings: ChoiceSettings, folder: RunFolder
) -> dict[str, Any]:
    """Evaluates random and learned choices on the same tasks and first proposals."""
    from o1coder_gym.agents.rl.choice_ppo import evaluate

    held_out, solves = settings.held_out, None
    if held_out is not None:
        training = replace(training, env={**training.env, "split": held_out})
        solves = _by_hidden_tests(settings.problems, held_out, folder)
    seed = derive_stream(training.seed, "evaluation")
    play = partial(evaluate, training=training, episodes=settings.training.episodes, seed=seed, solves=solves)
    found = {"steps": chooser.ppo.num_timesteps, "random": _row(play(None)), "learned": _row(play(chooser))}
    return found if held_out is None else {**found, "held_out": held_out}


def _by_hidden_tests(problems: str, split: str, folder: RunFolder) -> Solves:
    evaluation = Evaluation(load_rows(problems, split=split), default_judge(), log=folder)

    def solves(end: State) -> bool:
        code = end.code
        return code is not None and evaluation.evaluate(end.problem_id, code).outcome is Outcome.PASS

    return solves


def _row(found: choice_ppo.Evaluation) -> dict[str, Any]:
    # By problem: episodes of one problem are not independent, so the interval is one over problems.
    counts = [len(ends) for ends in found.solved.values()]
    share = estimate_share([sum(ends) / len(ends) for ends in found.solved.values()], counts)
    return {
        "episodes": found.episodes,
        "successes": found.successes,
        "mean_return": found.mean_return,
        "interval": (share.low, share.high),
        "rough": share.rough,
        "success_rate": found.success_rate,
    }
