"""The order of the data: which problems a batch of episodes is about."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.runs.seeds import derive_stream

if TYPE_CHECKING:
    from datasets import Dataset


def slots(settings: RLSettings) -> Dataset:
    """Returns TRL's data set: one prompt per problem of a batch, the number of its slot.

    TRL's data loader restarts its order after a resume. Slots are the same in any order; `batch_problems`
    says which problems stand in them.
    """
    from datasets import Dataset

    return Dataset.from_list([{"prompt": str(slot)} for slot in range(settings.problems)])


def batch_problems(task_ids: Sequence[str], size: int, batch: int, seed: int) -> list[str]:
    """Returns the problems of a batch: random orders of all problems, one after the other, cut into batches.

    Args:
        task_ids: The problems to train on.
        size: Problems of a batch.
        batch: Its number, from 0.
        seed: Fixes the orders, a new one for each pass over the problems.
    """
    chosen = []
    # A pure function of the batch number: a resumed run meets the problems that an unbroken one would.
    for place in range(batch * size, (batch + 1) * size):
        # A batch may lie across two passes over the problems, so the pass is found for each place.
        epoch, index = divmod(place, len(task_ids))
        order = random.Random(derive_stream(seed, "epoch", str(epoch))).sample(task_ids, len(task_ids))
        chosen.append(order[index])
    return chosen
