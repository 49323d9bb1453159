"""The worker pool of one judge: starts zygotes on demand, replaces dead and worn ones."""

from __future__ import annotations

import math
import os
import selectors
import time
from collections import Counter

from o1coder_gym.errors import InfrastructureError
from o1coder_gym.sandbox.confinement.blueprint import Blueprint
from o1coder_gym.sandbox.workers.worker import Worker, WorkerDied

# A zygote is replaced after so many jobs: whatever a child can wear out in it, it is not for ever.
_JOBS_PER_ZYGOTE = 10_000
_FAILED_STARTS = 3


class Pool:
    """Up to a number of workers that share one selector."""

    def __init__(self, blueprint: Blueprint, size: int) -> None:
        """Args: the blueprint of all zygotes, and the largest number of concurrent jobs."""
        self.selector = selectors.DefaultSelector()
        self.missing: dict[str, str] = {}
        self._blueprint = blueprint
        self._size = size
        self._workers: list[Worker] = []
        self._failed_starts = 0
        self._has_full_batches = False

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the zygotes that run."""
        return tuple(worker.pid for worker in self._workers)

    def idle(self, wanted: int, *, loaded: bool = False) -> list[Worker]:
        """Returns up to `wanted` workers that can take a job now; starts more if there are too few.

        Args:
            wanted: Number of workers.
            loaded: Whether they have packages imported. Such zygotes are larger and slower to fork, so
                they are kept apart from the others.

        Raises:
            InfrastructureError: When no zygote can be started.
        """
        # Remembered: a judge that has had one full batch will have others, and each worker gets a core of its
        # own.
        self._has_full_batches = self._has_full_batches or wanted >= self._size
        kind = [worker for worker in self._workers if worker.loaded is loaded]
        free = [worker for worker in kind if not worker.busy]
        # At most `size` jobs at a time over both kinds. Of each kind up to `size` zygotes may be alive, so
        # batches that alternate between them start none anew.
        room = self._size - sum(worker.busy for worker in self._workers)
        while len(free) < min(wanted, room) and len(kind) < self._size:
            worker = Worker(self._blueprint, self.selector, self._free_cores(), loaded=loaded)
            self._workers.append(worker)
            kind.append(worker)
            free.append(worker)
        # Those that have just been started are not ready; they are given jobs when they greet.
        return [worker for worker in free if worker.missing is not None][: min(wanted, room)]

    def _free_cores(self) -> set[int]:
        """Returns where the next worker may run: on one core only, if this judge keeps all cores busy.

        A program then starts where the memory that it was forked from is at hand. Judges of fewer or single
        programs are not bound: several of them could meet on one core while another is free.
        """
        cores = os.sched_getaffinity(0)
        if not self._has_full_batches or self._size < len(cores):
            return cores
        load = Counter(core for worker in self._workers for core in worker.cores)
        return {min(sorted(cores), key=load.__getitem__)}

    def wait_s(self) -> float:
        """Seconds until a worker is overdue; infinite if none is busy."""
        return min((worker.deadline for worker in self._workers), default=math.inf) - time.monotonic()

    def overdue(self) -> list[Worker]:
        """Returns the workers that have not answered in time."""
        now = time.monotonic()
        return [worker for worker in self._workers if worker.is_overdue(now)]

    def greeted(self, worker: Worker) -> None:
        """Records that a worker has become ready."""
        self._failed_starts = 0
        self.missing = dict(worker.missing or {})

    def retire_if_worn(self, worker: Worker) -> None:
        """Closes a worker that can or should take no further job."""
        if not worker.clean or worker.jobs >= _JOBS_PER_ZYGOTE:
            self.retire(worker)

    def retire(self, worker: Worker) -> None:
        """Closes a worker; another one takes its place when it is needed."""
        self._workers.remove(worker)
        worker.close()

    def bury(self, worker: Worker, cause: WorkerDied) -> None:
        """Closes a worker that died.

        Raises:
            InfrastructureError: When zygotes fail again and again before they are ready.
        """
        # Only deaths before the first job count: a program that kills its zygote must not stop the judge.
        self._failed_starts += worker.missing is None
        self.retire(worker)
        if self._failed_starts >= _FAILED_STARTS:
            self._failed_starts = 0
            raise InfrastructureError(f"the sandbox does not start: {cause}") from cause

    def retire_busy(self) -> None:
        """Closes all workers that have a job, and with them the job."""
        for worker in [worker for worker in self._workers if worker.busy]:
            self.retire(worker)

    def close(self) -> None:
        """Closes all workers and the selector; may be called again."""
        for worker in list(self._workers):
            self.retire(worker)
        self.selector.close()
