"""One object that wires this project's problems into a TRL trainer, in the manner of TRL's own specs.

    spec = O1CoderSpec("mbpp", split="train")
    GRPOTrainer(
        model,
        reward_funcs=spec.reward_funcs,
        train_dataset=spec.train_dataset,
        environment_factory=spec.environment_factory,
    )

With the environment the model takes its steps as tool calls and is told after each what came of it; its chat
template must know tools. Without ``environment_factory`` the completion is read as a whole chain of steps.

Reward functions for other trainers: ``trl grpo --reward_funcs o1coder_gym.envs.trl.outcome …``.

Each takes the columns that `rows` writes (or `O1CoderSpec.train_dataset` has) and returns one number per
completion, None where the judge itself failed, or where what is rewarded needs tests and there are none.
Completions are whole chains of steps, as text or as messages.

All of them play the chain in a `ReasoningModel`, so what they pay is what an environment pays: a step that
cannot be read scores 0, a chain is over at the step limit, and one that stops without code is worth what the
limit would have made of it (`ReasoningModel.stopped`).
"""

from o1coder_gym.envs.trl.chains import Completion, read_chain, read_texts
from o1coder_gym.envs.trl.columns import MAX_STEPS, rows
from o1coder_gym.envs.trl.episodes import Episode, play
from o1coder_gym.envs.trl.rewards import (
    Combined,
    Phi,
    Rewards,
    compiles,
    outcome,
    outcome_and_form,
    pass_ratio,
    phi,
    well_formed,
)
from o1coder_gym.envs.trl.spec import O1CoderSpec
from o1coder_gym.envs.trl.tools import ReasoningTools, RewardingTools

__all__ = [
    "MAX_STEPS",
    "Combined",
    "Completion",
    "Episode",
    "O1CoderSpec",
    "Phi",
    "ReasoningTools",
    "RewardingTools",
    "Rewards",
    "compiles",
    "outcome",
    "outcome_and_form",
    "pass_ratio",
    "phi",
    "play",
    "read_chain",
    "read_texts",
    "rows",
    "well_formed",
]
