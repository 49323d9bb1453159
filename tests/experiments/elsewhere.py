"""An executor that sends everything through pickle, as another process would get it, and does it here."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

NAME = "tests.experiments.elsewhere:pickled"
"""Its spec."""


def pickled(work: Callable[[Any], Any], pieces: Sequence[Any], *, workers: int = 2) -> Iterator[Any]:
    """Maps a function over pieces, all of them copies."""
    sent = pickle.dumps(work)
    for piece in pieces:
        done = pickle.loads(sent)(pickle.loads(pickle.dumps(piece)))
        yield pickle.loads(pickle.dumps(done))
