"""PPO that chooses among K proposals: training on `O1Coder/Choice-v0`, evaluation, and the search agent.

The language model stays as it is; what is learned is which of its proposals to take. Training and search
read the same features (`steps.choices.Features`), which are kept beside the weights. A trained folder holds
``policy.zip`` (stable-baselines3; it may run code when loaded, so load only what you trust),
``choice.json`` and ``tensorboard/``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

import gymnasium
import numpy as np
from numpy.typing import NDArray

from o1coder_gym.errors import (
    BudgetExhausted,
    InfrastructureError,
    MissingExtraError,
    UnknownNameError,
    UsageError,
)
from o1coder_gym.models.training.starting import require_same
from o1coder_gym.rewards import Schedule, end_value, standing
from o1coder_gym.runs.files import replacing, write_json
from o1coder_gym.runs.kept import kept
from o1coder_gym.runs.provenance import file_hashes, input_hashes
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.steps import choices
from o1coder_gym.steps.choices import Features, Offer
from o1coder_gym.types import Outcome, Problem, Sampling, SearchResult, State, Transition
from o1coder_gym.types.queries import Advance, Part, Propose, Search, advance, propose

try:
    import torch
    from sb3_contrib import MaskablePPO
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
except ImportError as error:
    raise MissingExtraError("stable-baselines3", "sb3", error) from error

ALGORITHMS: Mapping[str, type[PPO] | type[MaskablePPO]] = {"maskable_ppo": MaskablePPO, "ppo": PPO}
WEIGHTS, DESCRIPTION, LOGS = "policy.zip", "choice.json", "tensorboard"

OnProgress: TypeAlias = Callable[[int, float | None], None]
"""Called after each update with the steps done and the recent success rate (None before any episode)."""


@dataclass(frozen=True, slots=True)
class Training:
    """What is trained on what.

    Attributes:
        env: Arguments of the environment, JSON-able.
        algorithm: A key of `ALGORITHMS`.
        steps: Choices to learn from, in all.
        num_envs: Environments side by side.
        rollout: Choices per environment and update.
        learning_rate: Learning rate of Adam.
        entropy: Weight of the entropy bonus.
        seed: Of weights, tasks, proposals and exploration.
        env_id: The environment.
    """

    env: Mapping[str, Any] = field(default_factory=dict)
    algorithm: str = "maskable_ppo"
    steps: int = 8192
    num_envs: int = 4
    rollout: int = 64
    learning_rate: float = 1e-3
    entropy: float = 0.01
    seed: int = 0
    env_id: str = "O1Coder/Choice-v0"

    def __post_init__(self) -> None:
        """Raises `UnknownNameError` when there is no such algorithm."""
        if self.algorithm not in ALGORITHMS:
            raise UnknownNameError("algorithm", self.algorithm, ALGORITHMS)


@dataclass(frozen=True, slots=True)
class Chooser:
    """A trained policy and the observation that it expects.

    Attributes:
        ppo: The stable-baselines3 model.
        features: How states and offers become numbers.
        sampling: How proposals were drawn in training.
    """

    ppo: OnPolicyAlgorithm
    features: Features
    sampling: Sampling

    def choose(self, observation: dict[str, NDArray[np.float32]], mask: NDArray[np.bool_]) -> int:
        """Returns the most likely choice among those allowed by `mask` [K]."""
        tensors, _ = self.ppo.policy.obs_to_tensor(observation)
        # [1, K]; the mask is applied here, for plain PPO has learned without one.
        logits = self.ppo.policy.get_distribution(tensors).distribution.logits  # pyright: ignore
        scores = np.where(mask, logits.detach().cpu().numpy()[0], -np.inf)
        return int(scores.argmax())


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results of a chooser's episodes.

    Attributes:
        solved: By problem, whether the program of each episode passed all tests, the public ones unless told
            otherwise.
        mean_return: Mean sum of rewards.
    """

    solved: Mapping[str, Sequence[bool]]
    mean_return: float

    @property
    def episodes(self) -> int:
        """Number of episodes."""
        return sum(map(len, self.solved.values()))

    @property
    def successes(self) -> int:
        """Episodes whose program passed."""
        return sum(map(sum, self.solved.values()))

    @property
    def success_rate(self) -> float:
        """Share of successes in [0, 1]."""
        return self.successes / self.episodes


Solves: TypeAlias = Callable[[State], bool]
"""Says whether the end of an episode is a success."""


def train(
    training: Training,
    folder: Path,
    *,
    resume: bool = False,
    alpha: Schedule | None = None,
    on_progress: OnProgress | None = None,
) -> Chooser:
    """Trains until `training.steps` choices are learned from, saving after every update.

    Args:
        training: What to train.
        folder: Where weights, description and TensorBoard logs go.
        resume: Go on from the weights in `folder`, if there are any; `training.steps` may be more.
        alpha: α(t) of the reward; t counts updates.
        on_progress: Called after each update.

    Raises:
        InfrastructureError: When the judge failed, so that a reward is missing.
        O1CoderError: When the weights in `folder` are of a training with other arguments, another policy or
            other problems.
    """
    if resume and (folder / WEIGHTS).exists():
        _require_same(folder, training)
    env_kwargs = dict(training.env)
    env = make_vec_env(training.env_id, training.num_envs, seed=_seed(training), env_kwargs=env_kwargs)
    with closing(env), _one_thread():
        ppo = _algorithm(training, env, folder, resume)
        features, sampling = env.get_attr("features")[0], env.get_attr("sampling")[0]
        _describe(folder, training, features, sampling)
        remaining = training.steps - ppo.num_timesteps
        if remaining > 0:
            watch = _Watch(folder / WEIGHTS, alpha, on_progress)
            # Not reset: the count of steps is the clock of α(t) and of the logs, and goes on after a resume.
            ppo.learn(remaining, watch, reset_num_timesteps=False, tb_log_name=training.algorithm)
            save(ppo, folder / WEIGHTS)
        return Chooser(ppo, features, sampling)


def load(folder: str | Path) -> Chooser:
    """Loads what `train` saved.

    Raises:
        UsageError: When the folder holds no trained chooser.
    """
    folder = Path(folder)
    try:
        row = json.loads((folder / DESCRIPTION).read_text())
        ppo = ALGORITHMS[row["training"]["algorithm"]].load(folder / WEIGHTS, device="cpu")
        return Chooser(ppo, Features(**row["features"]), Sampling(**row["sampling"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{folder} holds no trained chooser ({error}); train one with: o1coder rl choice"
        ) from error


def evaluate(
    chooser: Chooser | None,
    training: Training,
    *,
    episodes: int = 100,
    seed: int = 10_000,
    solves: Solves | None = None,
) -> Evaluation:
    """Plays episodes with a chooser; None chooses at random among the allowed proposals.

    Args:
        chooser: Who chooses; the same seed gives all choosers the same tasks and first proposals.
        training: Names the environment.
        episodes: Number of episodes, ≥ 1.
        seed: Of the episodes.
        solves: Says whether an episode's end is a success; None: all public tests passed.
    """
    dice = np.random.default_rng(seed)
    solved: dict[str, list[bool]] = {}
    total = 0.0
    with closing(gymnasium.make(training.env_id, **training.env)) as env, _one_thread():
        for episode in range(episodes):
            observation, info = env.reset(seed=derive_stream(seed, "episode", episode))
            done = False
            while not done:
                # [K] of bool: K proposals, of which some may be equal or missing.
                mask = env.get_wrapper_attr("action_masks")()
                allowed = np.flatnonzero(mask)
                action = int(dice.choice(allowed)) if chooser is None else chooser.choose(observation, mask)
                observation, reward, terminated, truncated, info = env.step(action)
                total += float(reward)
                done = terminated or truncated
            end: State = env.get_wrapper_attr("cursor").state
            # A caller that holds hidden tests passes `solves`; this module never sees them.
            success = info["is_success"] if solves is None else solves(end)
            solved.setdefault(info["task_id"], []).append(bool(success))
    return Evaluation(solved, total / episodes)


def choice_ppo(problem: Problem, root: State, *, path: str = "") -> Search:
    """Searches by following the trained chooser in `path` from state to state.

    Each step asks for K proposals and looks at all of them, as in training. When the budget ends the search,
    the best program on offer so far is the answer.

    Raises:
        UsageError: When `path` holds no trained chooser.
    """
    if not path:
        raise UsageError("choice_ppo needs path=FOLDER, a folder written by: o1coder rl choice")
    chooser = _loaded(path)
    best: Transition | None = None
    state = root
    try:
        while True:
            offers = yield from _offers(state, chooser)
            if not offers:
                return _answer(best)
            for offer in offers:
                # Every offer was judged, also those not taken: the best program seen is the answer if the
                # budget ends here.
                best = _better(best, offer)
            k = chooser.features.k
            mask = choices.mask(offers, k)
            chosen = offers[chooser.choose(chooser.features.observe(problem, state, offers), mask)].transition
            if chosen.done:
                return _answer(chosen if chosen.verdict is not None else None)
            state = chosen.state
    except BudgetExhausted:
        return _answer(best)


def save(ppo: OnPolicyAlgorithm, path: Path) -> None:
    """Writes weights through a second file, so that `path` is always whole."""
    with replacing(path) as part:
        ppo.save(part)


class _Watch(BaseCallback):
    """Saves after each update, moves α(t), reports, and stops on a reward that the judge could not give."""

    def __init__(self, weights: Path, alpha: Schedule | None, on_progress: OnProgress | None) -> None:
        super().__init__()
        self._weights = weights
        self._alpha = alpha
        self._on_progress = on_progress

    def _on_rollout_start(self) -> None:
        ppo = cast(OnPolicyAlgorithm, self.model)
        # Counted from what was learned from, not from zero, so that a resumed run continues with its clock.
        updates = ppo.num_timesteps // (ppo.n_steps * ppo.n_envs)
        # At the first rollout of a process nothing has been learned yet that would be worth writing.
        if updates:
            save(ppo, self._weights)
        if self._alpha is not None:
            alpha = self._alpha(updates)
            self.training_env.env_method("set_alpha", alpha)
            self.logger.record("rollout/alpha", alpha)
        if self._on_progress is not None:
            recent = self.model.ep_success_buffer
            self._on_progress(ppo.num_timesteps, sum(recent) / len(recent) if recent else None)

    def _on_step(self) -> bool:
        # A NaN in one reward would make all weights NaN with the next update.
        if np.isnan(self.locals["rewards"]).any():
            raise InfrastructureError(
                "the judge failed, so a reward is missing; the weights so far are saved"
            )
        return True


@contextmanager
def _one_thread() -> Iterator[None]:
    """Runs torch in one thread: networks this small only make threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _algorithm(training: Training, env: Any, folder: Path, resume: bool) -> OnPolicyAlgorithm:
    kind = ALGORITHMS[training.algorithm]
    logs = str(folder / LOGS)
    if resume and (folder / WEIGHTS).exists():
        ppo = kind.load(folder / WEIGHTS, env=env, device="cpu", tensorboard_log=logs)
        # Loading seeds everything as at the start, and the same episodes would come again.
        ppo.set_random_seed(derive_stream(training.seed, "resumed", str(ppo.num_timesteps)) >> 32)
        return ppo
    return kind(
        "MultiInputPolicy",
        env,
        learning_rate=training.learning_rate,
        n_steps=training.rollout,
        # Four minibatches per update, of all environments.
        batch_size=training.num_envs * training.rollout // 4 or 1,
        # Episodes are a few steps long and finite: what counts is the sum of rewards, φ.
        gamma=1.0,
        ent_coef=training.entropy,
        tensorboard_log=logs,
        seed=_seed(training),
        device="cpu",
    )


def _seed(training: Training) -> int:
    """Returns the seed of the library, which adds the number of each environment to it; in [0, 2^31)."""
    return derive_stream(training.seed, "training") >> 32


def _require_same(folder: Path, training: Training) -> None:
    """Raises `O1CoderError` if a folder's training was begun with other settings, its length aside."""
    begun = json.loads((folder / DESCRIPTION).read_text())
    wanted = _made_of(training)
    for row in (begun, wanted):
        row["training"].pop("steps")
    # One after the other, for a scorer has a hash in both; earlier versions wrote neither down.
    for part in (name for name in wanted if name in begun):
        require_same(folder, begun[part], wanted[part])


def _made_of(training: Training) -> dict[str, Any]:
    """Returns what a chooser depends on: the settings, and hashes of what the environment names."""
    policy, problems, scorer = (training.env.get(name) for name in ("policy", "problems", "scorer"))
    inputs, files = input_hashes(policy, scorer), file_hashes(problems, scorer)
    return {"training": asdict(training), "inputs": inputs, "files": files}


def _describe(folder: Path, training: Training, features: Features, sampling: Sampling) -> None:
    row = _made_of(training) | {"features": asdict(features), "sampling": asdict(sampling)}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / DESCRIPTION, row)


@kept(4, lambda path: [f"{path}/{WEIGHTS}"])  # the logs beside them change, too
def _loaded(path: str) -> Chooser:
    """Loads a chooser once; again when its training has gone on since."""
    return load(path)


def _offers(state: State, chooser: Chooser) -> Part[list[Offer]]:
    """Asks for proposals and executes each, without those that the budget could not pay for."""
    (proposals,) = yield from propose([Propose(state, chooser.features.k, chooser.sampling)])
    if not proposals:
        return []
    transitions = yield from advance([Advance(state, proposal.text) for proposal in proposals])
    pairs = zip(proposals, transitions, strict=True)
    return [Offer(*pair) for pair in pairs if pair[1].state != state]


def _answer(end: Transition | None) -> SearchResult:
    """Returns an end with a program as the answer, if there is one."""
    return SearchResult(None) if end is None else SearchResult(end.state, end_value(end) or 0.0)


def _better(best: Transition | None, offer: Offer) -> Transition | None:
    """Returns the better of the best program so far and a new one; never one on which the judge failed."""
    end = offer.transition
    if end.verdict is None or end.verdict.outcome is Outcome.INFRASTRUCTURE:
        return best
    return end if best is None or _standing(end) > _standing(best) else best


def _standing(end: Transition) -> float:
    return standing(end_value(end), end.verdict.outcome if end.verdict is not None else None)
