"""A feed: tasks that arrive while a driver runs, and may be called off again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.errors import UsageError


class Feed:
    """Hands tasks to a running driver: `driver.stream(feed)`. May be used by any number of threads.

    The driver ends once the feed is closed and all its tasks are over.
    """

    def __init__(self) -> None:
        """Starts open and empty."""
        self._lock = threading.Lock()
        self._waiting: deque[Task] = deque()
        self._called_off: set[str] = set()
        self._open = True
        self._wake: Callable[[], None] = _nobody

    @property
    def open(self) -> bool:
        """Whether tasks may still be put."""
        return self._open

    @property
    def waiting(self) -> int:
        """Number of tasks that the driver has not begun."""
        return len(self._waiting)

    def put(self, task: Task) -> None:
        """Gives the driver a task; its key must differ from those of all tasks that are not over.

        Raises:
            UsageError: When the feed is closed.
        """
        with self._lock:
            if not self._open:
                raise UsageError(f"the feed is closed; it takes no {task.key!r}")
            self._waiting.append(task)
        self._wake()

    def call_off(self, key: str) -> bool:
        """Ends the task of this key: one that waits is dropped, one that runs ends with its best so far.

        Returns:
            Whether it was dropped, so that no result comes.
        """
        with self._lock:
            kept = deque(task for task in self._waiting if task.key != key)
            dropped = len(kept) < len(self._waiting)
            self._waiting = kept
            if not dropped:
                self._called_off.add(key)
        self._wake()
        return dropped

    def close(self) -> None:
        """Takes no more tasks; those that it has are still done."""
        self._open = False
        self._wake()

    def attach(self, wake: Callable[[], None]) -> None:
        """Says whom to wake when something changed; for the driver."""
        self._wake = wake

    def take(self) -> Task | None:
        """Returns the next task, or None if none waits; for the driver."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def take_called_off(self) -> set[str]:
        """Returns the keys that were called off since the last time; for the driver."""
        with self._lock:
            called_off, self._called_off = self._called_off, set()
            return called_off


def _nobody() -> None:
    """Stands for the driver until there is one."""
