"""Rows of tokens for training: every sampled token of an episode, and its predecessor when it was sampled.

A step ends with tokens that only mark its end: the header of another step, or the end of the text. The next
prompt may continue otherwise (a header with the right number, or a step that was encoded from its text).
Then these tokens are a branch on which no later token depends.

B rows, P tokens of prompts, T tokens of completions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class TokenRow:
    """An episode as one row of tokens: prompt, then completion.

    Attributes:
        prompt_ids: The prompt before the first step; less, if a later prompt was encoded anew from there.
        completion_ids: All that follows: every token that was sampled, and what the format put in. [T]
        step_of: For each of them the step that it was sampled in, from 0; −1 for text that was put in, which
            must not be learned. [T]
        parents: Place in the completion of the token that it follows; −1 for the prompt's last. [T]
        logprobs: The sampler's log-probability, ≤ 0; 0 for text that was inserted. [T]
    """

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    step_of: tuple[int, ...]
    parents: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was sampled in one step, and after what.

    Attributes:
        shown: The whole prompt of the step.
        ids: All tokens that were sampled. [n]
        logprobs: Of them, ≤ 0. [n]
    """

    shown: tuple[int, ...]
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]


def row_of(samples: Sequence[Sample]) -> TokenRow:
    """Joins the steps of an episode, each behind the very tokens that it was sampled after.

    Usually a prompt is the one before, what was sampled after that, and a header. Where it is not (a header
    was sampled that the format puts in otherwise, a text was ended, a step was encoded from its text), the
    row branches at the last token on which the two agree.

    Args:
        samples: One per step, ≥ 1.
    """
    # Only what every prompt begins with is the prompt of the row; a token in it can have no branch.
    row = _Row(_shared(sample.shown for sample in samples))
    for step, sample in enumerate(samples):
        row.show(sample.shown[len(row.prompt_ids) :])
        # What was sampled follows the last token of its own prompt, whichever branch that is on.
        row.add(sample.ids, step, sample.logprobs)
    ids, steps, parents = map(tuple, (row.ids, row.step_of, row.parents))
    return TokenRow(row.prompt_ids, ids, steps, parents, tuple(row.logprobs))


@dataclass(slots=True)
class _Row:
    """A row that grows; `path` has the places of the tokens that the next one follows. Mutable."""

    prompt_ids: tuple[int, ...]
    ids: list[int] = field(default_factory=list)
    step_of: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    path: list[int] = field(default_factory=list)

    def show(self, shown: Sequence[int]) -> None:
        """Goes back to where the path and a prompt part, and adds what the prompt has beyond."""
        # Not the last token of the row but of the path: tokens of an abandoned branch stay in the row, and
        # nothing more follows them.
        agree = _common([self.ids[place] for place in self.path], shown)
        del self.path[agree:]
        self.add(shown[agree:], -1, [0.0] * (len(shown) - agree))

    def add(self, ids: Sequence[int], step: int, logprobs: Sequence[float]) -> None:
        """Adds tokens, the first behind the path, each later one behind the one before it."""
        for token, logprob in zip(ids, logprobs, strict=True):
            self.parents.append(self.path[-1] if self.path else -1)
            self.path.append(len(self.ids))
            self.ids.append(token)
            self.step_of.append(step)
            self.logprobs.append(logprob)


def parent_table(rows: Sequence[TokenRow], width: int) -> Tensor:
    """Returns the parents of all rows, [B, T]; padding follows the token before it.

    Args:
        rows: B rows.
        width: T, tokens of the longest completion.
    """
    import torch

    # [B, T]; the plain chain −1, 0, 1, …, of which padding keeps its part.
    table = torch.arange(-1, width - 1).repeat(len(rows), 1)
    for place, row in enumerate(rows):
        table[place, : len(row.parents)] = torch.tensor(row.parents)
    return table


def _shared(prompts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """Returns what all prompts begin with: the first one, unless a later one was encoded again."""
    return reduce(lambda one, other: one[: _common(one, other)], prompts)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Returns how many tokens two sequences begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
