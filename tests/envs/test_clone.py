"""The clone contract, as a game of random interleavings against replay from the beginning.

Each environment in the pool carries the history of resets and steps that led to where it is. Whatever is
forked, restored, pickled or copied in between: the next answer is the one that a new environment gives
after the same history. So clones follow the same trajectory, and nothing done to one touches another.
"""

import copy
import pickle
from dataclasses import dataclass
from typing import Any

import gymnasium
import pytest
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit
from gymnasium.wrappers.vector import RecordEpisodeStatistics as RecordVectorStatistics
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from o1coder_gym import envs
from o1coder_gym.errors import UsageError
from tests.examples import examples

pytestmark = pytest.mark.slow

History = tuple[tuple[str, Any], ...]

KINDS = {
    "bare": lambda toy: toy.text(),
    "choice": lambda toy: toy.choice(),
    "wrapped": lambda toy: RecordEpisodeStatistics(TimeLimit(toy.text(), 2)),
    "vector": lambda toy: toy.choice_vector(2),
    "wrapped vector": lambda toy: RecordVectorStatistics(toy.text_vector(2, autoreset_mode="SameStep")),
    "sync vector": lambda toy: SyncVectorEnv([lambda: TimeLimit(toy.text(), 2)] * 2),
}


@dataclass
class Member:
    """An environment of the pool, how it got where it is, and whether its episode is over."""

    env: Any
    history: History = ()
    over: bool = True


def act(env: Any, move: tuple[str, Any]) -> tuple[Any, bool]:
    """Makes a move; returns the answer and whether the episode is over (vectors reset by themselves)."""
    kind, argument = move
    if kind == "reset":
        return env.reset(seed=argument), False
    answer = env.step(argument)
    vector = hasattr(env.unwrapped, "num_envs")
    return answer, not vector and bool(answer[2] or answer[3])


operation = st.one_of(
    st.tuples(st.just("step"), st.integers(0, 24)),
    st.tuples(st.just("step"), st.integers(0, 24)),
    st.tuples(st.just("step"), st.integers(0, 24)),
    st.tuples(st.just("reset"), st.sampled_from([None, None, 0, 1])),
    st.tuples(st.sampled_from(["fork", "deepcopy", "pickle"]), st.none()),
    st.tuples(st.just("set_state"), st.integers(0, 3)),
)


@pytest.fixture(scope="module")
def answers() -> dict[tuple[str, History], str]:
    """What new environments answered, by kind and history."""
    return {}


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=examples(200),
    deadline=None,
    derandomize=True,
    suppress_health_check=(HealthCheck.too_slow,),
    database=None,
)
@given(operations=st.lists(st.tuples(st.integers(0, 3), operation), min_size=4, max_size=14))
def test_histories_decide_trajectories(toy, plain, answers, kind: str, operations: list) -> None:
    make = KINDS[kind]

    def action(number: int) -> Any:
        single = range(4) if "choice" in kind or kind == "vector" else toy.actions
        pair = single[number % len(single)], single[number // len(single) % len(single)]
        return pair if "vector" in kind else pair[0]

    def expected(history: History) -> str:
        if (kind, history) not in answers:
            env = make(toy)
            answers[kind, history] = plain([act(env, move) for move in history][-1][0])
        return answers[kind, history]

    def play(member: Member, move: tuple[str, Any]) -> None:
        answer, member.over = act(member.env, move)
        member.history = (*member.history, move)
        assert plain(answer) == expected(member.history)

    pool = [Member(make(toy))]
    play(pool[0], ("reset", 0))
    for which, (name, argument) in operations:
        member = pool[which % len(pool)]
        match name:
            case "step" if not member.over:
                play(member, ("step", action(argument)))
            case "reset":
                play(member, ("reset", argument))
            case "fork" | "deepcopy":
                clone = envs.fork(member.env) if name == "fork" else copy.deepcopy(member.env)
                pool = [*pool[-3:], Member(clone, member.history, member.over)]
            case "pickle" if kind != "sync vector":  # holds functions
                member.env = pickle.loads(pickle.dumps(member.env))
            case "set_state":
                other = pool[argument % len(pool)]
                envs.set_state(member.env, envs.get_state(other.env))
                member.history, member.over = other.history, other.over
    for member in pool:
        play(member, ("reset", None))


def test_a_fork_shares_the_model_and_a_reset_seed(toy) -> None:
    env = toy.text()
    twin = env.fork()
    assert twin.model is env.model
    assert env.reset()[1] == twin.reset()[1]


def test_a_state_may_be_set_many_times(toy, plain) -> None:
    env = toy.choice()
    env.reset(seed=3)
    state = env.get_state()
    trajectories = set()
    for _ in range(3):
        env.set_state(state)
        trajectories.add(plain([env.step(0), env.reset(), env.reset()]))
    assert len(trajectories) == 1


def test_the_state_of_a_wrapper_may_be_set_many_times(toy, plain) -> None:
    env = RecordEpisodeStatistics(TimeLimit(toy.text(), 3))
    env.reset(seed=0)
    env.step(toy.define)
    state = envs.get_state(env)
    statistics = set()
    for _ in range(3):
        envs.set_state(env, state)
        info = env.step(toy.half)[4]
        statistics.add(plain([info, list(env.return_queue), list(env.length_queue)]))
    assert len(statistics) == 1


def test_the_limits_of_wrappers_come_back(toy) -> None:
    env = TimeLimit(toy.text(), 2)
    env.reset(seed=0)
    start = envs.get_state(env)
    env.step(toy.define)
    assert env.step(toy.define)[3]
    envs.set_state(env, start)
    assert not env.step(toy.define)[3]


def test_a_state_of_another_stack_is_refused(toy) -> None:
    bare, limited = toy.text(), TimeLimit(toy.text(), 2)
    with pytest.raises(UsageError, match="TimeLimit"):
        envs.set_state(limited, envs.get_state(bare))
    with pytest.raises(UsageError, match="get_state"):
        envs.get_state(gymnasium.make("CartPole-v1"))
    with pytest.raises(UsageError, match="2 environments"):
        toy.text_vector(3).set_state(toy.text_vector(2).get_state())
