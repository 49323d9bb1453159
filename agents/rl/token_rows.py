"""Rows of tokens for training: every sampled token of an episode, and its predecessor when it was sampled.

A step ends with tokens that only mark its end: the header of another step, or the end of the text. The next
prompt may continue otherwise (a header with the right number, or an equal step that was tokenised otherwise).
Then these tokens are a branch on which no later token depends.

B rows, P tokens of prompts, T tokens of completions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class TokenRow:
    """An episode as one row of tokens: prompt, then completion.

    Attributes:
        prompt_ids: What was shown before the first step.
        completion_ids: All that follows: every token that was sampled, and what the format put in. [T]
        step_of: For each of them the step that it was sampled in, from 0; −1 for text that was put in, which
            must not be learned. [T]
        parents: Place in the completion of the token that it follows; −1 for the prompt's last. [T]
        logprobs: What the sampler gave it, ≤ 0; 0 for text that was put in. [T]
    """

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    step_of: tuple[int, ...]
    parents: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(slots=True)
class RowBuilder:
    """Makes a `TokenRow`, step by step. Mutable.

    Attributes:
        prompt_ids: What was shown before the first step.
    """

    prompt_ids: tuple[int, ...]
    _ids: list[int] = field(default_factory=list)
    _step_of: list[int] = field(default_factory=list)
    _parents: list[int] = field(default_factory=list)
    _logprobs: list[float] = field(default_factory=list)
    _tip: int = -1

    def add_step(
        self, step: int, sampled: Sequence[int], logprobs: Sequence[float], shown: Sequence[int]
    ) -> None:
        """Adds a step.

        Args:
            step: Its number, from 0.
            sampled: All tokens that were sampled for it.
            logprobs: Of them.
            shown: What the next step was sampled after, behind what this one was sampled after; of the last
                step what was sampled.
        """
        # Trunk: what sample and next prompt share. Branch: the sampled rest, learned but seen by no later
        # token.
        agree = _common(sampled, shown)
        self._follow(sampled[:agree], step, logprobs[:agree])
        self._branch(sampled[agree:], step, logprobs[agree:])
        put_in = shown[agree:]
        self._follow(put_in, -1, [0.0] * len(put_in))

    def built(self) -> TokenRow:
        """Returns the row."""
        ids, steps, parents = map(tuple, (self._ids, self._step_of, self._parents))
        return TokenRow(self.prompt_ids, ids, steps, parents, tuple(self._logprobs))

    def _follow(self, ids: Sequence[int], step: int, logprobs: Sequence[float]) -> None:
        """Adds tokens that later ones follow."""
        self._branch(ids, step, logprobs)
        if ids:
            self._tip = len(self._ids) - 1

    def _branch(self, ids: Sequence[int], step: int, logprobs: Sequence[float]) -> None:
        """Adds tokens behind those that later ones follow."""
        places = range(len(self._ids), len(self._ids) + len(ids))
        # A chain behind the tip: the first token follows it, each later one the one before.
        self._parents += [self._tip, *places][: len(ids)]
        self._ids += ids
        self._step_of += [step] * len(ids)
        self._logprobs += logprobs


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


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Returns how many tokens two sequences begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
