"""How many examples a property is tried on: as many as `make test-all` takes, or a share, always the same."""

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import settings

Case = TypeVar("Case")

ALL = "all"
"""The profile of `make test-all`."""

settings.register_profile(ALL, max_examples=100, deadline=None)  # a loaded machine fails no test
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")  # else a change fails by an example that has nothing to do with it
_SHARE = 0.3


def examples(most: int) -> int:
    """Returns how many of at most `most` examples this run of the tests draws."""
    return most if settings.get_current_profile_name() == ALL else round(_SHARE * most)


def some(cases: Sequence[Case], few: int) -> Sequence[Case]:
    """Returns all cases in `make test-all`, else about `few` of them, evenly spread."""
    return cases if settings.get_current_profile_name() == ALL else cases[:: len(cases) // few]
