"""JSON as commands print it."""

from __future__ import annotations

import json
from typing import Any

from o1coder_gym.runs.files import finite


def to_json(value: Any) -> str:
    """Returns JSON that every reader accepts: NaN and infinity, which JSON lacks, become null."""
    text = json.dumps(finite(value), ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which a program may print
        return json.dumps(finite(value), allow_nan=False)
    return text
