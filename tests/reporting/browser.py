"""One headless Chromium for many pages, asked by its DevTools protocol through a pipe."""

import contextlib
import fcntl
import itertools
import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--window-size=1280,800"]


class Browser:
    """A running browser; `close` ends it."""

    def __init__(self, program: str, folder: Path) -> None:
        """Starts it, with its own data in a folder."""
        theirs, self._commands = os.pipe()
        self._replies, also_theirs = os.pipe()
        # It reads from descriptor 3 and writes to 4; these two must not be overwritten while they are moved.
        moved = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 10) for one in (theirs, also_theirs)]

        def hand_over() -> None:
            for place, one in zip((3, 4), moved, strict=True):
                os.dup2(one, place)

        self._process = subprocess.Popen(
            [program, *OPTIONS, f"--user-data-dir={folder}"],
            preexec_fn=hand_over,
            pass_fds=(3, 4),
            stderr=subprocess.DEVNULL,
        )
        for one in (theirs, also_theirs, *moved):
            os.close(one)
        self._numbers = itertools.count(1)
        self._unread = b""

    def text_of(self, address: str, element: str) -> str:
        """Opens a page in a window of its own, and returns the text of an element once it is there."""
        target = self._call("Target.createTarget", url=address, newWindow=True)["targetId"]
        try:
            session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            wanted = f"document.getElementById({element!r})?.textContent"
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                with contextlib.suppress(RuntimeError):  # the empty page before it is just going
                    found = self._call("Runtime.evaluate", session, expression=wanted)["result"]
                    if "value" in found:
                        return found["value"]
                time.sleep(0.01)
        finally:
            self._call("Target.closeTarget", targetId=target)
        raise TimeoutError(f"no element {element!r} in {address}")

    def close(self) -> None:
        """Ends it with all its processes."""
        os.close(self._commands)  # the end of its pipe is its end
        self._process.wait(PATIENCE_S)
        os.close(self._replies)

    def _call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Sends a command and returns its result; events that come between are passed over."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        message |= {} if session is None else {"sessionId": session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (reply := self._read()).get("id") != number:
            pass
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']['message']}")
        return reply["result"]

    def _read(self) -> dict[str, Any]:
        """Returns the next message."""
        while b"\0" not in self._unread:
            if not select.select([self._replies], [], [], PATIENCE_S)[0]:
                raise TimeoutError("the browser is silent")
            part = os.read(self._replies, 1 << 16)
            if not part:
                raise RuntimeError("the browser has ended")
            self._unread += part
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)
