"""Finds out whether the Hugging Face Hub is reachable."""

from __future__ import annotations

import http.client
import os
import threading
import urllib.error
import urllib.request

_PROBE_SECONDS = 3.0
_YES = {"1", "ON", "YES", "TRUE"}


def hub_reachable() -> bool:
    """Returns within seconds whether the Hub answers, so that a machine without internet moves on."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in _YES:
        return False
    answered = threading.Event()
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    # A thread, because looking up a name knows no time-out.
    probe = threading.Thread(target=_probe, args=(endpoint, answered), daemon=True)
    probe.start()
    probe.join(_PROBE_SECONDS)
    return answered.is_set()


def _probe(endpoint: str, answered: threading.Event) -> None:
    """Sets `answered` at any response of the server, including an error."""
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        urllib.request.urlopen(request, timeout=_PROBE_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
    except (OSError, ValueError, http.client.HTTPException):  # the last of what speaks no HTTP
        return
    answered.set()
