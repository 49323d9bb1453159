"""An app over real sockets, in a thread of the tests."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


@contextmanager
def served(app: Any, **options: Any) -> Iterator[int]:
    """Serves an app while the context lasts; yields its port, on which it listens already.

    Args:
        app: Of ASGI.
        options: Of `uvicorn.Config`.
    """
    server = uvicorn.Server(uvicorn.Config(app, port=0, **{"log_level": "warning", **options}))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
