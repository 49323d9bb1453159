"""Text as a vector, for agents that read numbers: hashed words by default, or a function of yours."""

from __future__ import annotations

import pkgutil
import re
import zlib
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from o1coder_gym.errors import UsageError

Embedding: TypeAlias = Callable[[str], NDArray[np.float32]]
"""Maps a text to a vector [D] with entries in [−1, 1], always of the same length."""

_WORD = re.compile(r"\w+")


def hashed_words(text: str, *, dimensions: int) -> NDArray[np.float32]:
    """Embeds a text as its bag of words under the hashing trick, of length 1 (Weinberger et al. 2009).

    Args:
        text: Anything.
        dimensions: D ≥ 1.
    """
    vector = np.zeros(dimensions, dtype=np.float32)
    for word in _WORD.findall(text.lower()):
        code = zlib.crc32(word.encode("utf-8", "surrogatepass"))
        vector[(code >> 1) % dimensions] += 1.0 if code & 1 else -1.0
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


def load_embedding(spec: str) -> Embedding:
    """Returns the embedding that ``"hash:D"`` or ``"package.module:function"`` names.

    Raises:
        UsageError: When it names none.
    """
    kind, _, rest = spec.partition(":")
    if kind == "hash":
        if not rest.isdecimal() or int(rest) < 1:
            raise UsageError(f"embedding {spec!r}: expected hash:D with D >= 1")
        return partial(hashed_words, dimensions=int(rest))
    try:
        return pkgutil.resolve_name(spec)
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError(
            f"embedding {spec!r} is neither hash:D nor an importable function: {error}"
        ) from error
