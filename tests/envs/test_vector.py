"""The vector environment: N single ones, transition by transition, with one batch a step."""

import random
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from o1coder_gym.envs import ReasoningVectorEnv, TextInteraction
from o1coder_gym.envs.vector import text_vector
from o1coder_gym.errors import InfrastructureError, UnknownNameError, UsageError

N = 5


def draw(toy, kind: str, rng: random.Random) -> Any:
    if kind == "choice":
        return np.array([rng.randrange(4) for _ in range(N)])
    return tuple(rng.choice(toy.actions) for _ in range(N))


def finished(answer: tuple) -> np.ndarray:
    return answer[2] | answer[3]


@pytest.mark.parametrize("kind", ["text", "choice"])
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_equal_to_single_environments(toy, plain, kind: str, mode: AutoresetMode) -> None:
    single = getattr(toy, kind)
    one = getattr(toy, f"{kind}_vector")(N, autoreset_mode=mode)
    many = SyncVectorEnv([single] * N, autoreset_mode=mode)
    assert one.metadata["autoreset_mode"] is mode
    rng = random.Random(mode.value)
    assert plain(one.reset(seed=7)) == plain(many.reset(seed=7))
    ended = np.zeros(N, dtype=bool)
    for _ in range(40):
        if mode is AutoresetMode.DISABLED and ended.any():
            mask = {"reset_mask": ended}
            assert plain(one.reset(options=dict(mask))) == plain(many.reset(options=dict(mask)))
        actions = draw(toy, kind, rng)
        answer = one.step(actions)
        assert plain(answer) == plain(many.step(actions))
        assert answer[0] in one.observation_space
        ended = finished(answer)


def test_programs_of_a_step_are_judged_in_one_batch(toy) -> None:
    judge = toy.judge()
    model = type(toy.shared)([toy.shared.problem("toy/0")], judge)
    env = ReasoningVectorEnv(TextInteraction(model), 3)
    env.reset(seed=0)
    env.step((toy.good, toy.bad, toy.define))
    assert judge.batches == [2]


def test_statistics_wrapper_sees_returns(toy) -> None:
    env = RecordEpisodeStatistics(toy.text_vector(2))
    env.reset(seed=0)
    info = env.step((toy.good, toy.define))[4]
    assert info["episode"]["r"].tolist() == [1.0, 0.0]
    assert info["_episode"].tolist() == [True, False]


def test_masked_reset_leaves_the_others(toy) -> None:
    env = toy.text_vector(2, autoreset_mode="Disabled")
    env.reset(seed=0)
    env.step((toy.good, toy.define))
    with pytest.raises(ResetNeeded, match=r"\[0\]"):
        env.step((toy.define, toy.define))
    observation, info = env.reset(options={"reset_mask": np.array([True, False]), "task_id": "toy/2"})
    assert observation["depth"].tolist() == [0, 1]
    assert info["_task_id"].tolist() == [True, False]
    assert info["task_id"][0] == "toy/2"


def test_choice_masks_are_stacked(toy) -> None:
    env = toy.choice_vector(3)
    env.reset(seed=0)
    assert env.action_masks().shape == (3, 4)
    with pytest.raises(UsageError, match="only choices"):
        toy.text_vector().action_masks()


def test_renderings_come_one_each(toy, capsys) -> None:
    for mode, count in (("ansi", 2), ("rgb_array", 2)):
        env = toy.text_vector(2, render_mode=mode)
        env.reset(seed=0)
        assert len(env.render()) == count
    env = toy.text_vector(2, render_mode="human")
    env.reset(seed=0)
    env.step((toy.good, toy.bad))
    assert env.render() is None
    assert capsys.readouterr().out.count("Question") == 6


def test_bad_arguments_are_named(toy) -> None:
    with pytest.raises(UsageError, match="num_envs"):
        toy.text_vector(0)
    with pytest.raises(UnknownNameError, match="render mode"):
        toy.text_vector(1, render_mode="svg")
    env = toy.text_vector(2)
    with pytest.raises(ResetNeeded):
        env.step((toy.good, toy.good))
    with pytest.raises(UsageError, match="2 seeds"):
        env.reset(seed=[1, 2, 3])
    with pytest.raises(UsageError, match="reset_mask"):
        env.reset(options={"reset_mask": np.zeros(2, dtype=bool)})
    env.reset(seed=[1, None])
    with pytest.raises(UsageError, match="2 actions"):
        env.step((toy.good,))


def test_make_vec_uses_it() -> None:
    env = gymnasium.make_vec("O1Coder/Starter-v0", num_envs=3, reward="phi", autoreset_mode="SameStep")
    assert isinstance(env, ReasoningVectorEnv)
    assert (env.num_envs, env.metadata["autoreset_mode"]) == (3, AutoresetMode.SAME_STEP)
    env.close()
    env.close()


def test_async_without_shared_memory_equals_sync(toy, plain) -> None:
    asynchronous = AsyncVectorEnv([toy.text] * 2, shared_memory=False)
    try:
        synchronous = SyncVectorEnv([toy.text] * 2)
        assert plain(asynchronous.reset(seed=1)) == plain(synchronous.reset(seed=1))
        actions = (toy.good, "π 😀")
        assert plain(asynchronous.step(actions)) == plain(synchronous.step(actions))
    finally:
        asynchronous.close()


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("limit", [1, 2, 30])
def test_an_outer_step_limit_is_that_of_single_environments(
    toy, plain, mode: AutoresetMode, limit: int
) -> None:
    one = toy.text_vector(N, autoreset_mode=mode, max_episode_steps=limit)
    many = SyncVectorEnv([lambda: TimeLimit(toy.text(), limit)] * N, autoreset_mode=mode)
    rng = random.Random(limit)
    assert plain(one.reset(seed=3)) == plain(many.reset(seed=3))
    for _ in range(12):
        actions = draw(toy, "text", rng)
        answer = one.step(actions)
        assert plain(answer) == plain(many.step(actions))
        if mode is AutoresetMode.DISABLED and finished(answer).any():
            mask = {"reset_mask": finished(answer)}
            assert plain(one.reset(options=dict(mask))) == plain(many.reset(options=dict(mask)))


def test_make_vec_takes_an_outer_step_limit() -> None:
    env = gymnasium.make_vec("O1Coder/Starter-v0", num_envs=2, max_episode_steps=2)
    env.reset(seed=0)
    plan = "### Step 1 (define)\nplan\n"
    assert not finished(env.step((plan, plan))).any()
    _, _, terminated, truncated, _ = env.step((plan, plan))
    assert (terminated.any(), truncated.all()) == (False, True)


def test_each_environment_may_be_given_its_task(toy) -> None:
    env = toy.text_vector(3)
    _, info = env.reset(seed=0, options={"task_id": ["toy/2", None, "toy/0"]})
    assert (info["task_id"][0], info["task_id"][2]) == ("toy/2", "toy/0")
    mask = np.array([False, True, False])
    _, info = env.reset(options={"task_id": ("toy/0", "toy/1", "toy/2"), "reset_mask": mask})
    assert info["task_id"][1] == "toy/1"
    with pytest.raises(UsageError, match="one task_id or 3, got 2"):
        env.reset(options={"task_id": ["toy/2", "toy/0"]})
    with pytest.raises(UnknownNameError, match="task"):
        env.reset(options={"task_id": ["toy/2", "toy/0", 7]})


@pytest.mark.parametrize("name", ["taskid", "task", "reset_masks", 5])
def test_unknown_options_of_reset_are_refused(toy, name: object) -> None:
    for env in (toy.text(), toy.text_vector(2), toy.choice(), toy.choice_vector(2)):
        with pytest.raises(UnknownNameError, match="option of reset"):
            env.reset(options={name: "toy/0"})


class Failing:
    """A judge or policy that fails at the calls of these numbers."""

    def __init__(self, *calls: int) -> None:
        self.calls, self.number = calls, 0

    def check(self) -> None:
        self.number += 1
        if self.number in self.calls:
            raise InfrastructureError("down")


@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
@pytest.mark.parametrize("failing", [1, 2])
def test_a_step_whose_restart_fails_may_be_taken_again(
    mode: str, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def played(*calls: int) -> list[Any]:
        env = text_vector(2, problems="starter", max_steps=2, autoreset_mode=mode)
        env.reset(seed=3)
        flaw, begin = Failing(*calls), type(env.interaction).begin

        def begin_or_fail(self: Any, starts: Any) -> Any:
            if len(starts):
                flaw.check()
            return begin(self, starts)

        monkeypatch.setattr(type(env.interaction), "begin", begin_or_fail)
        seen = []
        for turn in range(6):
            actions = (f"### Step 1 (define)\n{turn}", f"### Step 1 (define)\n{turn} too")
            try:
                seen.append(env.step(actions))
            except InfrastructureError:
                seen.append(env.step(actions))
        monkeypatch.setattr(type(env.interaction), "begin", begin)
        return seen

    assert repr(played(failing)) == repr(played())
