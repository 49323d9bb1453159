"""The choice environment over a toy world: proposals, masks, numbers in, a number out."""

import numpy as np
import pytest

from o1coder_gym.envs import ChoiceInteraction, ReasoningEnv
from o1coder_gym.errors import PolicyError, UsageError
from o1coder_gym.types import Proposal


def test_a_choice_takes_the_proposal_it_names(toy) -> None:
    env = toy.choice()
    _, info = env.reset(seed=1)
    proposals = info["proposals"]
    assert len(proposals) == 4
    for index, text in enumerate(proposals):
        twin = env.fork()
        twin.step(index)
        (expected,) = toy.shared.advance([(env.cursor.state, text)])
        assert twin.cursor.transition == expected


def test_proposals_depend_on_episode_and_path_only(toy) -> None:
    def proposals(*actions: int) -> list[str]:
        env = toy.choice()
        _, info = env.reset(seed=5)
        for action in actions:
            info = env.step(action)[4]
        return info["proposals"]

    env = toy.choice()
    plans = [index for index, text in enumerate(env.reset(seed=5)[1]["proposals"]) if text == toy.define]
    assert plans, "the seed should offer a plan"
    assert proposals() == proposals()
    assert proposals(plans[0]) == proposals(plans[-1])
    assert env.reset(seed=6)[1]["proposals"] != proposals()


def test_tokens_count_everything_that_was_drawn(toy) -> None:
    env = toy.choice()
    _, info = env.reset(seed=0)
    assert info["tokens"] == sum(len(text.split()) for text in info["proposals"])


def test_all_looked_at_programs_share_one_batch(toy) -> None:
    judge = toy.judge()
    model = toy.model().__class__(toy.problems, judge)
    ReasoningEnv(ChoiceInteraction(model, toy.policy, k=16)).reset(seed=0)
    assert len(judge.batches) == 1


def test_masks_fit_the_proposals(toy) -> None:
    env = toy.choice()
    for seed in range(20):
        _, info = env.reset(seed=seed)
        mask = env.unwrapped.interaction.action_mask(env.cursor)
        assert info["action_mask"] == mask.tolist()
        assert (mask.dtype, mask.shape, mask.any()) == (np.bool_, (4,), True)
        allowed = [text for text, sensible in zip(info["proposals"], mask, strict=True) if sensible]
        assert len(set(allowed)) == len(allowed)
        assert allowed == ["no step at all"] or "no step at all" not in allowed


def test_after_the_end_there_is_nothing_on_offer(toy) -> None:
    env = toy.choice()
    observation, info = env.reset(seed=0)
    while not env.cursor.done:
        observation, *_, info = env.step(0)
    assert info["proposals"] == []
    assert not observation["proposals"].any()


@pytest.mark.parametrize("action", [4, -1, "0", None, 1.5])
def test_bad_actions_are_named(toy, action) -> None:
    env = toy.choice()
    env.reset(seed=0)
    with pytest.raises(UsageError, match="number of a proposal"):
        env.step(action)


def test_numpy_actions_are_numbers(toy) -> None:
    for action in (np.int64(1), np.array(1)):
        env = toy.choice()
        env.reset(seed=0)
        assert env.step(action)[4]["task_id"]


def test_a_policy_that_miscounts_is_named(toy) -> None:
    class Short:
        def propose(self, requests, /):
            return [(Proposal("x", 1),) for _ in requests]

    with pytest.raises(PolicyError, match="4 proposals"):
        ReasoningEnv(ChoiceInteraction(toy.shared, Short())).reset()


def test_bad_arguments_are_refused(toy) -> None:
    with pytest.raises(UsageError, match="k must be"):
        ChoiceInteraction(toy.shared, toy.policy, k=0)
    with pytest.raises(UsageError, match="embedding"):
        ChoiceInteraction(toy.shared, toy.policy, embedding="hash:none")
