"""What the sandbox really enforces on this machine, found out by trying."""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from o1coder_gym.errors import InfrastructureError, SandboxError, UsageError
from o1coder_gym.sandbox.canaries import BAIT, CANARIES, DESCRIPTIONS, FIND, PLANT, imports
from o1coder_gym.sandbox.confinement.blueprint import LAYERS
from o1coder_gym.types import CallTest, Limits, Outcome, Submission, Verdict

_PROBE_LIMITS = Limits(cpu_s=2.0, wall_s=10.0, memory_bytes=128 << 20)
_IMPORT_LIMITS = Limits(cpu_s=30.0, wall_s=60.0)


class SandboxWarning(UserWarning):
    """Warns that programs run with less protection than this sandbox can give."""


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What holds and what does not.

    Attributes:
        guarantees: Whether each guarantee held when a canary tried to break it.
        missing_layers: Why a layer, or part of one, is absent; empty if all are there.
        imports: Why programs cannot import a package that they are given, by its name; empty text if they
            can.
    """

    guarantees: Mapping[str, bool]
    missing_layers: Mapping[str, str]
    imports: Mapping[str, str] = field(default_factory=dict)

    @property
    def protects(self) -> bool:
        """Whether every layer is there and every guarantee held."""
        return not self.missing_layers and not self.broken

    @property
    def full(self) -> bool:
        """Whether it protects, and programs can import what they should."""
        return not self.gaps

    @property
    def gaps(self) -> tuple[str, ...]:
        """What is not as it should be, a phrase each."""
        gaps = [f"not guaranteed: {', '.join(self.broken)}"] if self.broken else []
        gaps += [f"no {name}: {why}" for name, why in self.missing_layers.items()]
        gaps += [f"programs cannot import {name}: {why}" for name, why in self.imports.items() if why]
        return tuple(gaps)

    @property
    def summary(self) -> str:
        """The report in one line."""
        layers = ", ".join(name for name in LAYERS if name not in self.missing_layers) or "none"
        return "; ".join((f"layers in force: {layers}", *(self.gaps or ("nothing is missing",))))

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
        imports = [f"programs import {name}: {why or 'yes'}" for name, why in self.imports.items()]
        return lines + layers + others + imports

    def demand(self, required: Iterable[str]) -> None:
        """Checks that what is required holds.

        Args:
            required: Names of guarantees and layers; ``"full"`` stands for all of them.

        Raises:
            SandboxError: When something does not hold; names it.
        """
        required = set(required)
        if "full" in required and not self.full:
            required |= {*self.guarantees, *self.missing_layers, *self.imports}
        reported = {**self.missing_layers, **{name: why for name, why in self.imports.items() if why}}
        absent = sorted(required & {*self.broken, *reported})
        if absent:
            reasons = [f"{name} ({reported.get(name, 'broken by a canary')})" for name in absent]
            raise SandboxError(f"the sandbox does not give what is required: {', '.join(reasons)}")

    def warn(self) -> None:
        """Warns if anything is absent."""
        if self.full:
            return
        what = "LACK WHAT THEY SHOULD IMPORT" if self.protects else "RUN WITH REDUCED PROTECTION"
        message = f"PROGRAMS {what} - {'; '.join(self.gaps)} (see docs/security.md)"
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
    packages: Collection[str],
) -> SandboxReport:
    """Runs the canaries.

    Args:
        evaluate: Runs submissions in the sandbox.
        missing_layers: Says after the first run which layers are absent.
        packages: Names of the packages that programs shall be able to import.

    Raises:
        InfrastructureError: When a canary could not be judged.
    """
    importing = imports(packages)
    with _bait() as bait:
        probes = [_probe(source.replace(BAIT, bait)) for source in CANARIES.values()]
        probes += [_probe(source, _IMPORT_LIMITS) for source in importing.values()]
        verdicts = evaluate(probes)
    evaluate([_probe(PLANT)])
    verdicts[len(CANARIES) : len(CANARIES)] = evaluate([_probe(FIND)])
    failed = next((one for one in verdicts if one.outcome is Outcome.INFRASTRUCTURE), None)
    if failed is not None:
        raise InfrastructureError(f"the sandbox cannot be examined: {failed.error}")
    held = [verdict.outcome is Outcome.PASS for verdict in verdicts[: len(DESCRIPTIONS)]]
    found = [_why(verdict) for verdict in verdicts[len(DESCRIPTIONS) :]]
    return SandboxReport(
        dict(zip(DESCRIPTIONS, held, strict=True)),
        dict(missing_layers()),
        dict(zip(importing, found, strict=True)),
    )


@contextlib.contextmanager
def _bait() -> Iterator[str]:
    """Puts up a file that every user may read; where no file can be made, this one has to do."""
    try:
        descriptor, bait = tempfile.mkstemp(prefix="o1coder-bait-")
    except OSError:
        yield __file__
        return
    try:
        os.fchmod(descriptor, 0o644)
        os.close(descriptor)
        yield bait
    finally:
        os.unlink(bait)


def _probe(source: str, limits: Limits = _PROBE_LIMITS) -> Submission:
    """Returns a canary as a submission that passes iff the guarantee holds."""
    return Submission(source, "probe", (CallTest("[]", "True"),), limits)


def _why(verdict: Verdict) -> str:
    """Says why a canary got nowhere; empty if it passed."""
    why = verdict.error.removeprefix("test 0: runtime error: ")
    return "" if verdict.outcome is Outcome.PASS else why or verdict.outcome.value
