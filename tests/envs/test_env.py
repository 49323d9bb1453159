"""The free-text environments over a toy world: episodes, observations, info, errors, alpha."""

import json
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import DelayObservation, FrameStackObservation, TimeLimit

from o1coder_gym.envs import ReasoningEnv, Settings, TextEnv, TextInteraction
from o1coder_gym.errors import MissingExtraError, UnknownNameError, UsageError

KEYS = {
    "task_id",
    "is_success",
    "outcome",
    "passed",
    "total",
    "pass_ratio",
    "tests",
    "feedback",
    "prm",
    "reward_terms",
    "tokens",
    "messages",
}


def test_an_episode_step_by_step(toy) -> None:
    env = toy.text()
    observation, info = env.reset(seed=1, options={"task_id": "toy/2"})
    assert observation == {
        "question": "Question 2?\nThe program must define `solve`.\n"
        "Examples:\nassert solve(1) == 2\nassert solve(2) == 3",
        "steps": "",
        "feedback": "",
        "depth": 0,
    }
    assert (info["task_id"], info["is_success"], info["outcome"]) == ("toy/2", False, "")
    observation, reward, terminated, truncated, info = env.step(toy.define)
    assert observation["steps"] == toy.define.strip()
    assert (observation["depth"], reward, terminated, truncated) == (1, 0.0, False, False)
    assert info["prm"] == 0.5
    observation, reward, terminated, truncated, info = env.step(toy.half)
    assert (reward, terminated, truncated) == (0.5, True, False)
    assert (info["passed"], info["total"], info["pass_ratio"], info["outcome"]) == (1, 2, 0.5, "wrong_answer")
    assert info["tests"] == ["pass", "wrong_answer"]
    assert observation["feedback"] == info["feedback"] != ""


def test_info_has_exactly_the_documented_keys(toy, plain) -> None:
    env = toy.text()
    _, first = env.reset(seed=0)
    _, _, _, _, last = env.step(toy.good)
    assert set(first) == set(last) == KEYS
    assert set(first["reward_terms"]) == set(last["reward_terms"])
    assert json.loads(plain(last))["is_success"] is True


def test_messages_are_what_a_chat_model_is_shown(toy) -> None:
    env = toy.text()
    _, info = env.reset(seed=1, options={"task_id": "toy/2"})
    assert {frozenset(message) for message in info["messages"]} == {frozenset({"role", "content"})}
    assert info["messages"][-1]["role"] == "user"
    asked = info["messages"]
    _, _, _, _, info = env.step(toy.define)
    assert info["messages"] == [*asked, {"role": "assistant", "content": info["messages"][-1]["content"]}]
    assert info["messages"][-1]["content"].startswith("### Step 1 (define)\n")
    assert "### Step 2" not in info["messages"][-1]["content"]


def test_a_seed_of_the_constructor_is_that_of_the_first_reset() -> None:
    def tasks(env, **first):
        return [env.reset(**first)[1]["task_id"], *(env.reset()[1]["task_id"] for _ in range(5))]

    kept = gymnasium.make("O1Coder/Starter-v0", seed=7)
    assert tasks(kept) == tasks(gymnasium.make("O1Coder/Starter-v0"), seed=7)
    assert tasks(kept, seed=8) == tasks(gymnasium.make("O1Coder/Starter-v0", seed=7), seed=8)


def test_the_step_limit_is_an_end_of_the_process(toy) -> None:
    env = toy.text()
    env.reset(seed=0)
    ends = [env.step("no step at all")[2:] for _ in range(3)]
    assert [end[:2] for end in ends] == [(False, False), (False, False), (True, False)]
    assert [end[2]["outcome"] for end in ends] == ["", "", "no_program"]


def test_a_limit_from_outside_truncates(toy) -> None:
    env = TimeLimit(toy.text(), 2)
    env.reset(seed=0)
    assert env.step(toy.define)[2:4] == (False, False)
    assert env.step(toy.define)[2:4] == (False, True)


@pytest.mark.parametrize("observation_format", ["dict", "text"])
def test_wrappers_that_stack_and_delay_start_with_empty_texts(toy, plain, observation_format: str) -> None:
    interaction = TextInteraction(toy.shared, observation_format=observation_format)
    for wrapped in (
        FrameStackObservation(ReasoningEnv(interaction), 3),
        FrameStackObservation(ReasoningEnv(interaction), 2, padding_type="zero"),
        DelayObservation(ReasoningEnv(interaction), 1),
    ):
        first, _ = wrapped.reset(seed=0)
        second = wrapped.step(toy.define)[0]
        assert first in wrapped.observation_space
        assert second in wrapped.observation_space
        assert plain(first) != plain(second)


def test_text_observations_are_one_string(toy) -> None:
    env = ReasoningEnv(TextInteraction(toy.shared, observation_format="text"))
    first, _ = env.reset(seed=0, options={"task_id": "toy/0"})
    second = env.step("no step at all")[0]
    assert first.startswith("Question 0?")
    assert second.startswith(first)
    assert second.endswith('A step must start with a header such as "### Step 1 (define)".')
    assert second in env.observation_space


def test_a_seed_chooses_tasks_reproducibly_and_all_of_them(toy) -> None:
    env = toy.text()

    def tasks(seed: int) -> list[str]:
        return [env.reset(seed=seed)[1]["task_id"], *(env.reset()[1]["task_id"] for _ in range(20))]

    assert tasks(5) == tasks(5)
    assert tasks(5) != tasks(6)
    assert set(tasks(5)) == {"toy/0", "toy/1", "toy/2"}


def test_use_without_reset_is_an_error(toy) -> None:
    env = toy.text(render_mode="ansi")
    for use in (lambda: env.step(toy.good), env.render):
        with pytest.raises(ResetNeeded):
            use()
    env.reset(seed=0)
    env.step(toy.good)
    with pytest.raises(ResetNeeded, match="over"):
        env.step(toy.good)


def test_bad_actions_and_options_are_named(toy) -> None:
    env = toy.text()
    env.reset(seed=0)
    with pytest.raises(UsageError, match="got a int"):
        env.step(3)
    with pytest.raises(UnknownNameError, match="toy/9"):
        env.reset(options={"task_id": "toy/9"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reward": "phy"}, "phi_dense"),
        ({"format": "prose"}, "vanilla"),
        ({"alpha": 2}, "alpha"),
        ({"max_steps": 0}, "max_steps"),
        ({"observation_format": "json"}, "dict, text"),
        ({"render_mode": "svg"}, "ansi"),
        ({"problems": ""}, "problems="),
    ],
)
def test_bad_arguments_are_refused_by_the_constructor(arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TextEnv(**{"problems": "starter", **arguments})


def test_alpha_may_change_between_steps(toy) -> None:
    env = TextEnv(problems="starter", reward="phi", alpha=1.0)
    env.set_alpha(0.25)
    source = env.interaction.source
    assert isinstance(source, Settings)
    assert source.alpha == 0.25
    with pytest.raises(UsageError, match="with_reward"):
        toy.text().set_alpha(0.5)


def test_renderings_show_the_chain(toy, capsys) -> None:
    ansi = toy.text(render_mode="ansi")
    ansi.reset(seed=0, options={"task_id": "toy/1"})
    ansi.step(toy.define)
    ansi.step(toy.half)
    text = ansi.render()
    assert all(part in text for part in ("toy/1", "Question 1?", "(define)", "half", "reward 0.5"))
    picture = toy.text(render_mode="rgb_array")
    picture.reset(seed=0)
    blank = picture.render()
    picture.step(toy.define)
    drawn = picture.render()
    assert (drawn.dtype, drawn.shape, blank.shape) == (np.uint8, (720, 960, 3), drawn.shape)
    assert not np.array_equal(blank, drawn)
    assert (drawn > 200).all(axis=2).mean() < 0.2  # not mostly white
    picture.step(toy.good)
    assert picture.render().shape == drawn.shape
    assert not np.array_equal(picture.render()[-1, 0], drawn[-1, 0])  # the bar says that it is over
    human = toy.text(render_mode="human")
    human.reset(seed=0, options={"task_id": "toy/1"})
    human.step(toy.good)
    assert "Question 1?" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "told"),
    [(None, "pillow is not installed"), (sys, r"pillow cannot be imported \(cannot import name 'Image'")],
)
def test_a_picture_without_pillow_says_why(toy, monkeypatch, found, told) -> None:
    env = toy.text(render_mode="rgb_array")
    env.reset(seed=0)
    monkeypatch.setitem(sys.modules, "PIL", found)
    with pytest.raises(MissingExtraError, match=rf"{told}.*o1coder-gym\[plots\]"):
        env.render()


def test_the_judge_is_asked_once_per_program(toy) -> None:
    judge = toy.judge()
    env = toy.text(toy.shared.__class__([toy.shared.problem("toy/0")], judge))
    for _ in range(3):
        env.reset(seed=0)
        env.step(toy.good)
    assert judge.batches == [1]


@pytest.mark.parametrize("kind", ["text", "choice"])
def test_the_checker_has_nothing_to_say(toy, kind: str) -> None:
    env = getattr(toy, kind)()
    env.spec = EnvSpec("Toy-v0", entry_point=lambda **kwargs: getattr(toy, kind)(**kwargs))
    check_env(env)
