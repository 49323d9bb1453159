"""A rank that meets what its first word says."""

import os
import signal
import sys

from o1coder_gym.errors import O1CoderError, UsageError
from o1coder_gym.runs import ranks


def meet(what: str) -> None:
    """Runs a training of no steps, in which something happens."""
    with ranks.together({"settings": {"seed": ranks.rank() if what == "other data" else 0}}):
        assert ranks.gathered(ranks.rank()) == [0, 1]
        assert ranks.from_first(lambda: f"of {ranks.rank()}") == "of 0"
        assert ranks.leader() == 0
        if what == "usage error":
            raise UsageError("a batch of 3 cannot be shared")
        if ranks.rank() == 1 and what == "failure":
            raise O1CoderError("the judge failed")
        if ranks.rank() == 1 and what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        ranks.gathered(what)


try:
    meet(sys.argv[1])
    print("done")
except O1CoderError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2 if isinstance(error, UsageError) else 1)
