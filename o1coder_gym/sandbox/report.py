"""What the sandbox really enforces on this machine, found out by trying."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from o1coder_gym.errors import InfrastructureError, SandboxError, UsageError
from o1coder_gym.sandbox.blueprint import LAYERS
from o1coder_gym.sandbox.canaries import BAIT, CANARIES, DESCRIPTIONS, FIND, PLANT
from o1coder_gym.types import CallTest, Limits, Outcome, Submission, Verdict

_PROBE_LIMITS = Limits(cpu_s=2.0, wall_s=10.0, memory_bytes=128 << 20)


class SandboxWarning(UserWarning):
    """Warns that programs run with less protection than this sandbox can give."""


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What holds and what does not.

    Attributes:
        guarantees: Whether each guarantee held when a canary tried to break it.
        missing_layers: Why a layer, or part of one, is absent; empty if all are there.
    """

    guarantees: Mapping[str, bool]
    missing_layers: Mapping[str, str]

    @property
    def full(self) -> bool:
        """Whether every layer is there and every guarantee held."""
        return not self.missing_layers and all(self.guarantees.values())

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the guarantees that did not hold."""
        return tuple(name for name, held in self.guarantees.items() if not held)

    def lines(self) -> list[str]:
        """Returns the report for people, a line each."""
        marks = {True: "held", False: "BROKEN"}
        lines = [f"{name}: {marks[held]} ({DESCRIPTIONS[name]})" for name, held in self.guarantees.items()]
        layers = [f"layer {name}: {self.missing_layers.get(name) or 'on'}" for name in LAYERS]
        others = [f"{name}: {why}" for name, why in self.missing_layers.items() if name not in LAYERS]
        return lines + layers + others

    def demand(self, required: Iterable[str]) -> None:
        """Checks that what is required holds.

        Args:
            required: Names of guarantees and layers; ``"full"`` stands for all of them.

        Raises:
            SandboxError: When something does not hold; names it.
        """
        required = set(required)
        if "full" in required and not self.full:
            required |= {*self.guarantees, *self.missing_layers}
        absent = sorted(required & {*self.broken, *self.missing_layers})
        if absent:
            reasons = [f"{name} ({self.missing_layers.get(name, 'broken by a canary')})" for name in absent]
            raise SandboxError(f"the sandbox does not give what is required: {', '.join(reasons)}")

    def warn(self) -> None:
        """Warns if anything is absent."""
        if self.full:
            return
        parts = []
        if self.broken:
            parts.append(f"not guaranteed: {', '.join(self.broken)}")
        if self.missing_layers:
            parts.append("; ".join(f"no {name}: {why}" for name, why in self.missing_layers.items()))
        message = f"PROGRAMS RUN WITH REDUCED PROTECTION - {' - '.join(parts)} (see docs/security.md)"
        warnings.warn(message, SandboxWarning, stacklevel=3)


def check_names(required: Iterable[str]) -> tuple[str, ...]:
    """Returns the names of requirements.

    Raises:
        UsageError: When one of them is unknown.
    """
    names = (required,) if isinstance(required, str) else tuple(required)
    known = {"full", *DESCRIPTIONS, *LAYERS}
    if unknown := set(names) - known:
        raise UsageError(f"unknown sandbox guarantees {sorted(unknown)}; known: {', '.join(sorted(known))}")
    return names


def examine(
    evaluate: Callable[[Sequence[Submission]], list[Verdict]],
    missing_layers: Callable[[], Mapping[str, str]],
) -> SandboxReport:
    """Runs the canaries.

    Args:
        evaluate: Runs submissions in the sandbox.
        missing_layers: Says after the first run which layers are absent.

    Raises:
        InfrastructureError: When a canary could not be judged.
    """
    descriptor, bait = tempfile.mkstemp(prefix="o1coder-bait-")
    try:
        os.fchmod(descriptor, 0o644)
        os.close(descriptor)
        sources = {name: source.replace(BAIT, bait) for name, source in CANARIES.items()}
        verdicts = evaluate([_probe(source) for source in sources.values()])
    finally:
        os.unlink(bait)
    evaluate([_probe(PLANT)])
    verdicts += evaluate([_probe(FIND)])
    failed = next((one for one in verdicts if one.outcome is Outcome.INFRASTRUCTURE), None)
    if failed is not None:
        raise InfrastructureError(f"the sandbox cannot be examined: {failed.error}")
    held = [verdict.outcome is Outcome.PASS for verdict in verdicts]
    return SandboxReport(dict(zip(DESCRIPTIONS, held, strict=True)), dict(missing_layers()))


def _probe(source: str) -> Submission:
    """Returns a canary as a submission that passes iff the guarantee holds."""
    return Submission(source, "probe", (CallTest("[]", "True"),), _PROBE_LIMITS)
