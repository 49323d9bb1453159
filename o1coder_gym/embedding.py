"""Text as a vector, for agents that read numbers: hashed words by default, or a function of yours.

``hash?dimensions=64`` (or ``hash:64``) is `hashed_words`; ``package.module:function?key=value`` is any
function from a text to a vector, with its keyword-only arguments.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from o1coder_gym import registry
from o1coder_gym.errors import UsageError
from o1coder_gym.parameters import AtLeastOne
from o1coder_gym.specs import Spec, parse

Embedding: TypeAlias = Callable[[str], NDArray[np.float32]]
"""Maps a text to a vector [D] with entries in [−1, 1], always of the same length."""

_WORD = re.compile(r"\w+")


def hashed_words(text: str, *, dimensions: AtLeastOne) -> NDArray[np.float32]:
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


@lru_cache(maxsize=64)
def load_embedding(spec: str) -> Embedding:
    """Returns the embedding that a spec names.

    Args:
        spec: See the module.

    Raises:
        UsageError: When it names none.
        PluginError: When the package that it comes from does not work.
    """
    kind, colon, dimensions = spec.partition(":")
    if kind != "hash" or not colon:
        return registry.bound("embedding", parse(spec), spec)
    if not dimensions.isdecimal():
        raise UsageError(f"embedding {spec!r}: expected hash?dimensions=D or hash:D with D >= 1")
    return registry.bound("embedding", Spec("hash", None, (("dimensions", dimensions),)), spec)
