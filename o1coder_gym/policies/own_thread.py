"""A thread of one's own, for libraries that bind the thread that calls them to a core."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class OwnThread:
    """Runs functions one at a time, all on one thread; it does not hold up the end of the process."""

    def __init__(self, name: str) -> None:
        """Starts with the first function."""
        self._name = name
        self._inbox: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def call(self, function: Callable[[], T]) -> T:
        """Runs `function` there; returns what it returns, raises what it raises."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
        future: Future[T] = Future()
        self._inbox.put((future, function))
        return future.result()

    def _work(self) -> None:
        while True:
            future, function = self._inbox.get()
            try:
                future.set_result(function())
            except BaseException as error:  # it belongs to the caller's thread, whatever it is
                future.set_exception(error)
