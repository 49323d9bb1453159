"""Whether the Hugging Face Hub can be asked at all."""

from __future__ import annotations

import os
import urllib.error
import urllib.request

_PROBE_SECONDS = 3.0


def hub_reachable() -> bool:
    """Tells within seconds whether the Hub answers, so that a machine without internet moves on."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return False
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        urllib.request.urlopen(request, timeout=_PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True
