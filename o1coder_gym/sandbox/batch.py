"""Runs one batch in a single thread: dispatches trials to idle workers and handles their replies."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from o1coder_gym.sandbox.trial import News, Starved, Trial
from o1coder_gym.sandbox.workers.pool import Pool
from o1coder_gym.sandbox.workers.worker import Worker, WorkerDied
from o1coder_gym.types import Verdict

_BREAKDOWNS = 2
"""Zygotes that may die over one submission, or find no core for it, before it is a failure of the judge."""
_LOOK_S = 1.0


class Batch:
    """A batch in progress: its trials, which worker runs which, and the verdicts so far."""

    def __init__(self, pool: Pool, trials: Sequence[Trial] | Mapping[int, Trial]) -> None:
        """Args: the workers to use, and the trials, by index."""
        self._pool = pool
        self._trials = trials
        # Trials that want packages wait apart: they go to workers that have some loaded.
        self._waiting: dict[bool, deque[int]] = {False: deque(), True: deque()}
        for index in range(len(trials)):
            self._wait(index)
        self._running: dict[Worker, int] = {}
        self._verdicts: dict[int, Verdict] = {}

    def run(self) -> list[Verdict]:
        """Returns one verdict per trial, in order.

        Raises:
            InfrastructureError: When no zygote can be started.
        """
        try:
            while len(self._verdicts) < len(self._trials):
                self._dispatch()
                self._listen()
        finally:
            # An exception or Ctrl-C leaves jobs whose answers nobody would read; a zygote in the middle of
            # one cannot take another, so it goes too.
            self._pool.retire_busy()
        return [self._verdicts[index] for index in range(len(self._trials))]

    def _dispatch(self) -> None:
        """Gives waiting trials to idle workers."""
        for loaded, waiting in self._waiting.items():
            for worker in self._pool.idle(len(waiting), loaded=loaded) if waiting else ():
                index = self._running[worker] = waiting.popleft()
                try:
                    worker.give(self._trials[index].next_job())
                except WorkerDied as death:
                    self._lose(worker, death)

    def _listen(self) -> None:
        """Waits for the next events of workers, and handles them."""
        for key, _ in self._pool.selector.select(max(0.0, self._wait_s())):
            worker: Worker = key.data
            try:
                self._hear(worker, key.fileobj)
            except WorkerDied as death:
                self._lose(worker, death)
        for worker in self._pool.overdue():
            self._lose(worker, WorkerDied(f"zygote {worker.pid} does not answer"))

    def _wait_s(self) -> float:
        """Seconds until something has to be done although no worker said anything."""
        return min(_LOOK_S, self._pool.wait_s())

    def _hear(self, worker: Worker, ready: object) -> None:
        """Handles one readable or writable socket of a worker."""
        # Not greeted yet: whatever is ready belongs to its start, and it has no job.
        if worker.missing is None:
            worker.handle(ready)
            if worker.missing is not None:
                self._pool.greeted(worker)
            return
        finished = worker.handle(ready)
        if finished is not None:
            index = self._running.pop(worker)
            self._pool.retire_if_worn(worker)
            self._dispatch()  # the zygote continues while this process grades
            try:
                verdict = self._trials[index].accept(finished)
            except Starved as starved:
                self._restart(index, str(starved), self._wait)  # the machine may have more room later
                return
            if verdict is None:
                self._wait_again(index)
            else:
                self._verdicts[index] = verdict
        elif worker in self._running:
            self._look(worker, self._trials[self._running[worker]])

    def _look(self, worker: Worker, trial: Trial) -> None:
        """Stops a running job that has already failed, or starts the clock of its next test."""
        news = trial.news(worker.partial_answer())
        if news is News.DECIDED:
            worker.stop_job()
        elif news is News.NEXT_TEST:
            worker.begin_test()

    @property
    def _unbegun(self) -> int:
        """Trials that wait for a worker."""
        return sum(map(len, self._waiting.values()))

    def _wait(self, index: int) -> None:
        """Queues a trial behind all others."""
        self._waiting[self._trials[index].wants_packages].append(index)

    def _wait_again(self, index: int) -> None:
        """Queues a trial for its next job, before all that have not started."""
        self._waiting[self._trials[index].wants_packages].appendleft(index)

    def _lose(self, worker: Worker, death: WorkerDied) -> None:
        """Removes a dead worker; its trial restarts on another one unless too many have died running it."""
        index = self._running.pop(worker, None)
        if index is not None:
            self._restart(index, str(death), self._wait_again)
        self._pool.bury(worker, death)

    def _restart(self, index: int, reason: str, queue: Callable[[int], None]) -> None:
        """Queues a trial that broke down through no doing of its own from its start, unless too often."""
        trial = self._trials[index]
        # It may be the program's doing or the machine's: one restart tells the two apart, mostly.
        trial.breakdowns += 1
        trial.restart()
        if trial.breakdowns < _BREAKDOWNS:
            queue(index)
        else:
            self._verdicts[index] = trial.infrastructure(reason)
