"""How many examples a property is tried on: as many as `make test-all` takes, or a share of them."""

from hypothesis import settings

ALL = "all"
"""The profile of `make test-all`."""

settings.register_profile(ALL, max_examples=100)
_SHARE = 0.3


def examples(most: int) -> int:
    """Returns how many of at most `most` examples this run of the tests draws, other ones each time."""
    return most if settings.get_current_profile_name() == ALL else round(_SHARE * most)
