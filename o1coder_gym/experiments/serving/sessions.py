"""Sessions of clients that may go without a word: bounded by age and by number."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_Value = TypeVar("_Value")

IDLE_S = 4 * 3600.0
"""A session in which nothing was written for so long is gone; a step of slow trainings takes minutes."""

MOST = 1 << 16
"""Sessions at most; of more, those that were written longest ago are gone."""


class Sessions(Generic[_Value]):
    """What a server knows of each session, by the session's id. Mutable; for one event loop.

    A rollout that fails, or that its caller cuts off, says nothing to the server, which would keep its
    session for ever.
    """

    def __init__(
        self, idle_s: float = IDLE_S, most: int = MOST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Args: seconds and number as of `IDLE_S` and `MOST`; the clock, in seconds."""
        self._idle_s, self._most, self._clock = idle_s, most, clock
        # In the order of their last writing, so that the first is always the one to go.
        self._sessions: OrderedDict[str | None, tuple[float, _Value]] = OrderedDict()

    def __len__(self) -> int:
        """Returns the number of sessions that are kept."""
        self._drop()
        return len(self._sessions)

    def __setitem__(self, session_id: str | None, value: _Value) -> None:
        """Begins a session, or goes on with it; drops those that have become too old or too many."""
        self._sessions[session_id] = self._clock(), value
        self._sessions.move_to_end(session_id)
        self._drop()

    def get(self, session_id: str | None) -> _Value | None:
        """Returns what is known of a session, None if it never began, has ended or is gone."""
        self._drop()
        found = self._sessions.get(session_id)
        return None if found is None else found[1]

    def pop(self, session_id: str | None, default: None = None) -> _Value | None:
        """Ends a session; returns as `get`."""
        found = self._sessions.pop(session_id, None)
        return default if found is None else found[1]

    def _drop(self) -> None:
        oldest = self._clock() - self._idle_s
        while self._sessions:
            written, _ = next(iter(self._sessions.values()))
            if written >= oldest and len(self._sessions) <= self._most:
                return
            self._sessions.popitem(last=False)
