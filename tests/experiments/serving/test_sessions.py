"""Sessions that nobody ends do not stay for ever."""

from o1coder_gym.experiments.serving.sessions import Sessions


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_session_is_gone_when_nothing_was_written_for_long() -> None:
    clock = Clock()
    sessions = Sessions[str](idle_s=10, clock=clock)
    sessions["left"] = "first step"
    clock.now = 8
    sessions["played"] = "first step"
    assert sessions.get("left") == "first step"  # a look is no step
    clock.now = 11
    assert (sessions.get("left"), len(sessions)) == (None, 1)
    sessions["played"] = "second step"
    clock.now = 21
    assert sessions.get("played") == "second step"
    clock.now = 22
    assert (sessions.get("played"), len(sessions)) == (None, 0)


def test_of_too_many_sessions_those_written_longest_ago_are_gone() -> None:
    sessions = Sessions[int](most=2)
    for session_id, step in (("a", 1), ("b", 1), ("a", 2), ("c", 1)):
        sessions[session_id] = step
    assert [sessions.get(one) for one in "abc"] == [2, None, 1]
    assert len(sessions) == 2


def test_a_session_ends_once() -> None:
    sessions = Sessions[int]()
    sessions["a"] = 1
    assert (sessions.pop("a", None), sessions.pop("a", None), sessions.get("a")) == (1, None, None)
