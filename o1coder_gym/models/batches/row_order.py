"""The order of rows in a training: equal beginnings side by side, equally many passes for each rank.

A training cuts its order into forward passes, and the ranks take these in turn, so that an optimizer step
learns from the same rows however many ranks there are. Where the last round of an epoch lacks rows it is
filled with *idle* ones, from which nothing is learned.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from o1coder_gym.runs import ranks

NOT_LEARNED = -100
"""Label of tokens without a loss, as trainers have it."""


class NeighbourOrder:
    """An order of training rows that puts those with equal beginnings into one forward pass.

    Rows are sorted by their tokens and cut into runs; the runs are shuffled, anew in each epoch, as is where
    the first cut is.
    """

    def __init__(self, rows: Sequence[Sequence[int]], run: int, seed: int) -> None:
        """Sorts the rows.

        Args:
            rows: Tokens of each row.
            run: Rows of a forward pass, ≥ 1.
            seed: Of the orders, one per epoch.
        """
        self._sorted = sorted(range(len(rows)), key=lambda row: list(rows[row]))
        self._run = run
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self._sorted)

    def __iter__(self) -> Iterator[int]:
        """Yields the rows of an epoch; all but the last pass are whole runs."""
        generator = random.Random(f"{self._seed} {self._epoch}")
        turn = generator.randrange(len(self._sorted)) if self._sorted else 0
        # Rotated first, so that the cuts between runs fall elsewhere in each epoch.
        order = self._sorted[turn:] + self._sorted[:turn]
        # Runs, not rows, are shuffled: neighbours stay in one forward pass, and the order still differs by
        # epoch.
        runs = [order[start : start + self._run] for start in range(0, len(order), self._run)]
        # The short run stays last: in the middle it would shift the cuts of all runs behind it.
        last = [runs.pop()] if len(order) % self._run else []
        generator.shuffle(runs)
        for run in runs + last:
            yield from run

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order; trainers call it before each epoch."""
        self._epoch = epoch


class FilledOrder:
    """An order of rows in each epoch, followed by the idle rows.

    It asks for the epoch itself: accelerate 1.15 hands the epoch down to any order but its own only as far as
    two wrappers, and one that is cut for several ranks has three where a resumed training skips what was
    learned. Those ranks would go through the rest of the first epoch again.
    """

    def __init__(self, order: Any, idle: int, epoch: Callable[[], int]) -> None:
        """Args: a sampler of the rows; how many idle ones follow; returns the epoch that begins."""
        self._order = order
        self._idle = idle
        self._epoch = epoch

    def __len__(self) -> int:
        """Returns the number of rows, idle ones too."""
        return len(self._order) + self._idle

    def __iter__(self) -> Iterator[int]:
        """Yields the rows of an epoch."""
        self._order.set_epoch(self._epoch())
        yield from self._order
        yield from range(len(self._order), len(self))


def filled(rows: Sequence[dict[str, Any]], at_once: int) -> list[dict[str, Any]]:
    """Returns rows of tokens, and as many idle ones as give all ranks equally many forward passes.

    Args:
        rows: Of tokens; with labels, a mask, or as pairs of sides.
        at_once: Rows of a forward pass.
    """
    missing = -len(rows) % (at_once * ranks.count()) if ranks.count() > 1 else 0
    return [*rows, *(_idle(rows[0]) for _ in range(missing))]


def _idle(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a row of two tokens without a label; for pairs two equal sides, of which neither is better."""
    # Two tokens are the least that a causal model can predict anything in.
    made = {name: list(value[:2]) for name, value in row.items()}
    for name, nothing in (("completion_mask", 0), ("labels", NOT_LEARNED)):
        if name in made:
            made[name] = [nothing] * len(made[name])
    if "chosen_ids" in made:
        made["rejected_ids"] = made["chosen_ids"]
    return made


_BEGINNINGS = ("prompt_ids", "input_ids", "chosen_ids")
"""Columns that a row of any trainer begins with, in order."""


def order_rows(trainer: Any, rows: int, *, neighbours: bool) -> None:
    """Makes a transformers trainer take its rows in an order that any number of ranks can share.

    Args:
        trainer: Its training rows are those of `filled`.
        rows: How many of them are not idle.
        neighbours: Whether rows that begin alike stand in one forward pass, see `NeighbourOrder`.
    """
    idle = len(trainer.train_dataset) - rows
    if not neighbours and not idle:
        return  # transformers' own order, of which ranks take the forward passes in turn

    def order(_: Any = None) -> Any:
        if neighbours:
            found = (trainer.train_dataset[place] for place in range(rows))
            tokens = [[token for name in _BEGINNINGS if name in row for token in row[name]] for row in found]
            chosen: Any = NeighbourOrder(tokens, trainer.args.per_device_train_batch_size, trainer.args.seed)
        else:
            from accelerate.data_loader import SeedableRandomSampler

            chosen = SeedableRandomSampler(range(rows))  # as accelerate makes it of transformers' own
        return FilledOrder(chosen, idle, lambda: int(trainer.state.epoch or 0))

    trainer._get_train_sampler = order
