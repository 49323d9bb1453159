"""The monitor: figures of each batch of episodes, and warnings when a training should stop."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from o1coder_gym.agents.rl.advantages import divergence
from o1coder_gym.agents.rl.credit import Scored, weight_of_outcome
from o1coder_gym.agents.rl.episodes import metrics
from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import O1CoderError
from o1coder_gym.rewards import process_return
from o1coder_gym.runs import ranks
from o1coder_gym.types.protocols import Policy

PATIENCE = 3
"""Batches in a row without a single program, after which training ends."""
_WITHOUT_CODE = "monitor/without_code"
"""Logged: batches in a row without a program so far."""
HACKING = 0.05
"""Divergence of process reward and pass rate above which a warning is issued."""

OnUpdate = Callable[[int, dict[str, float]], None]
"""Called with each batch of episodes: optimizer steps so far, and its metrics."""
Validate = Callable[[Policy], dict[str, float]]
"""Measures a policy on held-out problems, e.g. ``{"pass_rate": 0.4}``."""


def is_of_a_batch(row: Mapping[str, float]) -> bool:
    """Whether a row of the trainer's log has the figures of a batch of episodes, of judged ones or not."""
    return any(name.startswith("episodes/") for name in row)


class Monitor:
    """Watches the batches of a training. Mutable: remembers the earlier ones."""

    def __init__(
        self, settings: RLSettings, *, validate: Validate | None = None, on_update: OnUpdate | None = None
    ) -> None:
        """Prepares to watch.

        Args:
            settings: How to train.
            validate: Measures the policy every `validate_every` batches; None never does.
            on_update: Called with each batch.
        """
        self._settings = settings
        self._validate = validate
        self._on_update = on_update
        self._without_code = 0
        self._process: list[float] = []
        self._pass_rate: list[float] = []

    def recall(self, history: Sequence[Mapping[str, float]]) -> None:
        """Restores its memory from the log of an earlier part of the run, so that resuming changes nothing.

        Args:
            history: The rows of the trainer's log, in order; those without episodes are passed over.
        """
        batches = [row for row in history if is_of_a_batch(row)]
        self._process = [row.get("episodes/process", math.nan) for row in batches]
        self._pass_rate = [row.get("episodes/pass_rate", math.nan) for row in batches]
        self._without_code = int(batches[-1].get(_WITHOUT_CODE, 0)) if batches else 0

    def watch(
        self,
        scored: Sequence[Scored],
        t: int,
        newest: Callable[[], Policy],
        further: Mapping[str, float] = MappingProxyType({}),
    ) -> dict[str, float]:
        """Returns the figures to log of a batch.

        Args:
            scored: Its episodes.
            t: Optimizer steps so far.
            newest: Gives the policy after t steps, which need not be the one that sampled them; all ranks
                call it.
            further: Figures of the sampler, logged beside.

        Raises:
            O1CoderError: When the policy has not written a program in `PATIENCE` batches.
        """
        found = metrics([one.episode for one in scored])
        self._require_code(scored)
        log = {f"episodes/{name}": value for name, value in found.items()}
        log |= {**self._reward_terms(scored, t), **further}
        log[_WITHOUT_CODE] = float(self._without_code)
        log["monitor/divergence"] = self._divergence(found["process"], found["pass_rate"], t)
        # t counts optimizer steps; a batch takes `iterations` of them.
        every = self._settings.validate_every * self._settings.iterations
        validate = self._validate
        if validate is not None and every and t % every == 0:
            # One rank measures and the others wait for its result: they must not train on meanwhile.
            policy = newest()
            measured = ranks.from_first(lambda: validate(policy))
            log |= {f"validation/{name}": value for name, value in measured.items()}
        if self._on_update is not None:
            self._on_update(t, log)
        return log

    def _require_code(self, scored: Sequence[Scored]) -> None:
        # Without a program all outcomes are τ_fail, and nothing but the PRM would be learned from.
        self._without_code = 0 if any(one.episode.committed for one in scored) else self._without_code + 1
        if self._without_code == PATIENCE:
            raise O1CoderError(
                f"the policy wrote no program in {PATIENCE} batches of {len(scored)} episodes; "
                "train it on whole paths first (o1coder sft), or allow more steps or tokens"
            )

    def _divergence(self, process: float, pass_rate: float, t: int) -> float:
        """Warns of reward hacking: the learned reward rises while the verified one falls."""
        self._process.append(process)
        self._pass_rate.append(pass_rate)
        apart = divergence(self._process, self._pass_rate)
        if apart > HACKING and ranks.is_first():
            warnings.warn(
                f"update {t}: the process reward rises while the pass rate falls, by {apart:.2f}: "
                "the policy may be exploiting the PRM; retrain the PRM or raise α",
                stacklevel=3,
            )
        return apart

    def _reward_terms(self, scored: Sequence[Scored], t: int) -> dict[str, float]:
        judged = [one for one in scored if one.judged]
        gains = [process_return(one.episode.process, self._settings.gamma) for one in judged]
        return {
            "reward_terms/alpha": weight_of_outcome(self._settings, t),
            "reward_terms/outcome": _mean([one.outcome for one in judged]),
            "reward_terms/process_return": _mean(gains),
            "reward_terms/reward": _mean([one.reward for one in judged]),
        }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
