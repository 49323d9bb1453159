"""Training rows of a process reward model, and collators with float labels.

transformers' collator for token classification casts labels to int, so that a label of 0.75 became 0.
B rows, T tokens, P pairs; rows are padded on the right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from o1coder_gym.prm.losses import IGNORED
from o1coder_gym.prm.step_text import EncodedSteps, StepText
from o1coder_gym.process_data import ProcessData
from o1coder_gym.process_data.trajectories import Trajectory, trajectories
from o1coder_gym.types import Problem

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows that fit the model.

    Attributes:
        rows: JSON-able rows for a collator.
        left_out: Number of trajectories longer than the model's context, whose last steps have no label, or
            of pairs with such a side.
    """

    rows: list[dict[str, Any]]
    left_out: int


def pointwise_examples(data: ProcessData, text: StepText, *, soft: bool) -> Examples:
    """Makes a row per trajectory: ``input_ids`` and ``labels``, both [T]; each prefix is labelled once.

    Args:
        data: Where prefixes are.
        text: How the model reads them.
        soft: Whether labels are v, or hard.
    """
    problems = {problem.task_id: problem for problem in data.problems}
    rows, left_out = [], 0
    for trajectory in trajectories(data.prefixes):
        encoded = text.encode(problems[trajectory.state.problem_id], trajectory.state)
        left_out += len(encoded.ids) > text.max_length
        # of a chain that is too long the steps that fit are kept: they may be those of other chains too
        labelled = [one for one in _labels(trajectory, encoded, soft) if one[0] < text.max_length]
        if labelled:
            ids = list(encoded.ids[: labelled[-1][0] + 1])
            # [T]: a label at the mark of each step, none elsewhere.
            labels = [IGNORED] * len(ids)
            for mark, label in labelled:
                labels[mark] = label
            rows.append({"input_ids": ids, "labels": labels})
    return Examples(rows, left_out)


def pairwise_examples(data: ProcessData, text: StepText) -> Examples:
    """Makes a row per pair: ``chosen_ids`` and ``rejected_ids``, each ends with a step token."""
    problems = {problem.task_id: problem for problem in data.problems}
    rows, left_out = [], 0
    for pair in data.pairs:
        problem: Problem = problems[pair.state.problem_id]
        sides = [text.encode(problem, pair.state.then(step)) for step in (pair.chosen, pair.rejected)]
        # Both sides or none: one side alone has nothing to be better than.
        if max(len(side.ids) for side in sides) > text.max_length:
            left_out += 1
        else:
            chosen, rejected = (list(side.ids[: side.marks[-1] + 1]) for side in sides)
            rows.append({"chosen_ids": chosen, "rejected_ids": rejected})
    return Examples(rows, left_out)


@dataclass(frozen=True, slots=True)
class PointwiseCollator:
    """Pads rows of `pointwise_examples`.

    Attributes:
        pad: Token id of padding.
    """

    pad: int

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Returns ``input_ids``, ``attention_mask`` and ``labels``, [B, T] each; labels are float32."""
        import torch

        # [B, T] of float: transformers' own collator would make integers of them, and v of 0.75 a 0.
        labels = [row["labels"] for row in rows]
        return {
            **_padded([row["input_ids"] for row in rows], self.pad),
            "labels": torch.tensor(_filled(labels, IGNORED), dtype=torch.float32),
        }


@dataclass(frozen=True, slots=True)
class PairwiseCollator:
    """Pads rows of `pairwise_examples`.

    Attributes:
        pad: Token id of padding.
    """

    pad: int

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Returns ``input_ids`` and ``attention_mask``, [2P, T], chosen ones first, and ``labels``, [2P].

        A label is the position of the mark; the name is the one that trainers of transformers look for. A
        pair of equal sides is idle and has none.
        """
        import torch

        # [2P], all chosen before all rejected: `bradley_terry` halves the batch again.
        sides = [row[name] for name in ("chosen_ids", "rejected_ids") for row in rows]
        idle = [row["chosen_ids"] == row["rejected_ids"] for row in rows] * 2
        labels = [int(IGNORED) if none else len(side) - 1 for side, none in zip(sides, idle, strict=True)]
        return {**_padded(sides, self.pad), "labels": torch.tensor(labels)}


def _labels(trajectory: Trajectory, encoded: EncodedSteps, soft: bool) -> Iterator[tuple[int, float]]:
    for mark, row, first in zip(encoded.marks, trajectory.rows, trajectory.first, strict=True):
        if row is not None and first:
            # A prefix that several trajectories share is labelled in the first: else it would weigh once per
            # descendant.
            yield mark, row.soft if soft else float(row.hard)


def _padded(rows: list[list[int]], pad: int) -> dict[str, Tensor]:
    import torch

    return {
        "input_ids": torch.tensor(_filled(rows, pad)),
        "attention_mask": torch.tensor(_filled([[1] * len(row) for row in rows], 0)),
    }


def _filled(rows: Sequence[list[Any]], value: float) -> list[list[Any]]:
    longest = max(map(len, rows))
    return [row + [value] * (longest - len(row)) for row in rows]
