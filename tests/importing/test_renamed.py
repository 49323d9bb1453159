"""Names that have changed within a module work for one version, and say what to write instead."""

import pytest

from o1coder_gym import errors
from o1coder_gym.agents.driver.tasks import Feed


def test_an_earlier_name_of_an_error_is_the_error_of_today() -> None:
    with pytest.warns(DeprecationWarning, match="CalledOff is called Cancelled now") as told:
        earlier = errors.CalledOff
    assert earlier is errors.Cancelled
    assert told[0].filename == __file__


def test_errors_have_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Interrupted'"):
        _ = errors.Interrupted


def test_a_feed_is_cancelled_by_its_earlier_name() -> None:
    feed = Feed()
    with pytest.warns(DeprecationWarning, match="called cancel now"):
        assert not feed.call_off("nobody")
