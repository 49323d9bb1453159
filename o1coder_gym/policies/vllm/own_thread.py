"""A single-thread executor, for libraries that bind the calling thread to a core."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class OwnThread:
    """A single-thread executor on a daemon thread, which does not delay the end of the process."""

    def __init__(self, name: str) -> None:
        """Starts with the first function."""
        self._name = name
        self._inbox: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def call(self, function: Callable[[], T]) -> T:
        """Runs `function` on the thread; returns its result, or raises its exception."""
        return self.submit(function).result()

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Queues `function`; returns the future of its result, which may be cancelled until it starts."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
        future: Future[T] = Future()
        self._inbox.put((future, function))
        return future

    def _work(self) -> None:
        while True:
            future, function = self._inbox.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function())
            except BaseException as error:  # it belongs to the caller's thread, whatever it is
                future.set_exception(error)
