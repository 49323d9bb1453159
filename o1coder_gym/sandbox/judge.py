"""The judge: runs batches of untrusted programs against tests and returns a verdict for each."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self
from weakref import WeakSet

from o1coder_gym.errors import O1CoderError, UsageError
from o1coder_gym.sandbox.batch import Batch
from o1coder_gym.sandbox.confinement.blueprint import LAYERS
from o1coder_gym.sandbox.report import USUALLY_REQUIRED, WITHOUT, SandboxReport, check_names, examine
from o1coder_gym.sandbox.trial import ObservedTrial, Output, Trial
from o1coder_gym.sandbox.workers.drawing import draw
from o1coder_gym.sandbox.workers.pool import Pool
from o1coder_gym.types import Submission, Verdict


class Judge:
    """Runs untrusted programs, each in a confined process of its own.

    Attributes:
        workers: Most zygotes that it runs, each on one core.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        layers: Iterable[str] = LAYERS,
        require: Iterable[str] | None = None,
        without: Iterable[str] = (),
        packages: Iterable[str] = ("numpy",),
        stdout_tolerance: float | None = None,
    ) -> None:
        """Configures the sandbox; zygotes start with the first batch, or at once if `require` is given.

        With the default layers the first batch warns of every protection that this machine cannot give.

        Args:
            workers: Most zygotes; None means one per usable core.
            layers: Operating system layers to use, of `blueprint.LAYERS`.
            require: Guarantees and layers that must hold, by the names in `report`; ``"full"`` means all
                of them. None means `USUALLY_REQUIRED` with the default layers, and nothing otherwise.
            without: Names of `USUALLY_REQUIRED` to waive; the environment variable
                ``O1CODER_SANDBOX_WITHOUT`` (comma-separated) waives them for all judges.
            packages: Installed packages that programs may import besides the standard library.
            stdout_tolerance: Absolute and relative tolerance of floats in standard output; None
                compares text.

        Raises:
            UsageError: When an argument makes no sense.
            SandboxError: When a requirement cannot be met.
        """
        if workers is not None and workers < 1:
            raise UsageError(f"a judge needs at least one worker, not {workers}")
        self.workers = workers or len(os.sched_getaffinity(0))
        self._blueprint = draw(layers, packages)
        # Identity, not equality: whoever passes layers, even all of them, has chosen what is lost,
        # and gets no default requirement.
        by_name = {*check_names(without), *filter(None, os.environ.get(WITHOUT, "").split(","))}
        usual = [name for name in USUALLY_REQUIRED if name not in by_name] if layers is LAYERS else []
        self._required = check_names(usual if require is None else require)
        self._stdout_tolerance = stdout_tolerance
        self._lock = threading.Lock()
        self._pool: Pool | None = None
        self._inherited: Pool | None = None
        self._owner = os.getpid()
        # Known to `_renew_locks`, which a fork may need at any moment.
        _judges.add(self)
        if require is not None and self._required:
            self._keep_only_if_sound()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the live zygotes as this process sees them (outside their own namespaces)."""
        return self._pool.pids if self._pool is not None else ()

    def evaluate(
        self, submissions: Sequence[Submission], /, *, stop_at_failure: bool = False
    ) -> list[Verdict]:
        """Judges a batch.

        Args:
            submissions: Programs with their tests and limits.
            stop_at_failure: Skips a program's tests after its first failure; they share its outcome.

        Returns:
            One verdict per submission, in order. A submission over which two zygotes died has the
            outcome `INFRASTRUCTURE`: a failure of the judge, never of the program.

        Raises:
            UsageError: When a test cannot be run on any program.
            InfrastructureError: When the sandbox does not start.
        """
        with self._lock:
            self._examine()
            return self._run(submissions, stop_at_failure)

    def outputs(self, submissions: Sequence[Submission], /) -> list[tuple[Output, ...]]:
        """Runs programs and returns their outputs without judging them.

        Args:
            submissions: Programs with call tests or stdio tests; the expected results are ignored.

        Returns:
            For each submission a tuple with one output per test, in order.

        Raises:
            UsageError, InfrastructureError: As `evaluate` does.
        """
        trials = [self.observed_trial(one) for one in submissions]
        with self._lock:
            self._examine()
            verdicts = Batch(self._own_pool(), trials).run()
        return [trial.outputs(verdict) for trial, verdict in zip(trials, verdicts, strict=True)]

    def report(self) -> SandboxReport:
        """Reports the guarantees that hold on this machine according to canary programs; cached per process.

        Raises:
            SandboxError: When something that this judge requires does not hold.
            InfrastructureError: When the sandbox does not start.
        """
        with self._lock:
            return self._examine()

    def trial(self, submission: Submission, *, stop_at_failure: bool = False) -> Trial:
        """Plans the runs that judge one program under the settings of this judge.

        Raises:
            UsageError: When a test cannot be run on any program.
        """
        return Trial(
            submission,
            stop_at_failure=stop_at_failure,
            stdout_tolerance=self._stdout_tolerance,
            packages=tuple(self._blueprint.packages),
        )

    def observed_trial(self, submission: Submission) -> ObservedTrial:
        """Plans the runs that collect the outputs of one program, without judging them.

        Raises:
            UsageError: When a test cannot be run on any program.
        """
        return ObservedTrial(submission, tuple(self._blueprint.packages))

    @contextmanager
    def lent(self) -> Iterator[Pool]:
        """Yields the zygote pool for exclusive use; batches of this judge wait until it is given back.

        Raises:
            SandboxError, InfrastructureError: As `report` does.
        """
        with self._lock:
            self._examine()
            yield self._own_pool()

    def close(self) -> None:
        """Stops all zygotes; a later batch starts new ones."""
        with self._lock:
            # A forked child must not end the zygotes of its parent.
            if self._pool is not None and self._owner == os.getpid():
                self._pool.close()
            self._pool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep_only_if_sound(self) -> None:
        """Checks the requirements now, and stops the zygotes again if one of them does not hold."""
        try:
            self.report()
        except O1CoderError:
            self.close()
            raise

    def _examine(self) -> SandboxReport:
        """Runs the canaries once per configuration, warns of what is missing and checks the requirements."""
        # What canaries find depends on these three alone, so one report serves all judges of the process:
        # an examination costs more than a dozen processes.
        kind = (self._blueprint.layers, tuple(self._blueprint.packages), os.geteuid())
        if kind not in _reports:
            pool = self._own_pool()
            # A function of what is missing: zygotes say so in their greeting, and none has started before the
            # first canary.
            _reports[kind] = examine(self._probe, lambda: pool.missing, self._blueprint.packages)
            # Who has left layers out knows what is lost, and is not warned.
            if self._blueprint.layers == LAYERS:
                _reports[kind].warn()
        _reports[kind].demand(self._required)
        return _reports[kind]

    def _run(self, submissions: Sequence[Submission], stop_at_failure: bool) -> list[Verdict]:
        """Judges submissions; the caller has examined the sandbox."""
        trials = [self.trial(one, stop_at_failure=stop_at_failure) for one in submissions]
        return Batch(self._own_pool(), trials).run()

    def _probe(self, submissions: Sequence[Submission]) -> list[Verdict]:
        """Judges canaries, which import packages themselves instead of having them loaded."""
        # Without `packages` nothing is warmed up: the canary itself shows whether a program can import.
        trials = [Trial(one, stop_at_failure=False, stdout_tolerance=None) for one in submissions]
        return Batch(self._own_pool(), trials).run()

    def _own_pool(self) -> Pool:
        """Returns the zygotes of this process; those of a parent that forked belong to the parent."""
        if self._owner != os.getpid():
            self._owner = os.getpid()
            # Kept, not dropped: the garbage collector would close sockets and warn of zygotes that still run,
            # which are the parent's to close.
            self._inherited, self._pool = self._pool, None
        if self._pool is None:
            self._pool = Pool(self._blueprint, self.workers)
        return self._pool


_judges: WeakSet[Judge] = WeakSet()


def _renew_locks() -> None:
    """Replaces the locks in a forked child: the thread that held one does not exist there to release it."""
    for judge in _judges:
        judge._lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_locks)

_reports: dict[tuple[tuple[str, ...], tuple[str, ...], int], SandboxReport] = {}
"""What canaries have found in this process, by layers, packages and user id."""
_default: Judge | None = None


def default_judge(workers: int | None = None) -> Judge:
    """Returns the judge that this process shares, created on first use and closed at exit.

    Args:
        workers: Most zygotes of one that is created now; None means one per usable core.
    """
    global _default
    if _default is None:
        _default = Judge(workers)
        # The zygotes end with the control socket anyway; this waits for them, so that none outlives the
        # process.
        atexit.register(_default.close)
    return _default
