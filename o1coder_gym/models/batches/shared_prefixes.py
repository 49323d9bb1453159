"""Shared prefixes: rows of a batch that begin alike are computed once, in forward and backward passes.

Rows are merged into trees where they begin alike. A token is a node: it attends to its ancestors and itself,
and its position is its depth, so that each row is what it would be alone. The backbone is shown one row a
tree; hidden states of nodes are then handed to all rows that have them. Head, loss and trainer know nothing
of it, and the gradients of a shared token add up by themselves.

B rows of T tokens, padded anywhere; G trees of at most N nodes; D hidden size; C tokens of a completion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from o1coder_gym.errors import O1CoderError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_WORTH = 0.9
"""Share of a batch's tokens that may be left for packing to pay: masks and copies are not free."""
_PADDING = -2
"""In the place of a parent's place."""
_TOLERANCE = 1e-2
"""How far hidden states may be apart, packed and plain, in units of their spread; rounding is below 1e-5, or
3e-3 in bfloat16, and a layer that ignores the mask is off by more than 0.1."""


@dataclass(frozen=True, slots=True)
class Forest:
    """Rows of tokens, merged into trees where they begin alike.

    Attributes:
        ids: Token of each node, 0 for padding, [G, N].
        positions: Its depth, 0 for a root, [G, N].
        sees: Whether the node (third dimension) is the other one (second) or an ancestor of it, [G, N, N].
        places: For each token of each row the node whose state predicts the next one, counted over all trees,
            [B, T]; 0 for padding.
    """

    ids: Tensor
    positions: Tensor
    sees: Tensor
    places: Tensor

    @property
    def depth(self) -> int:
        """Tokens of the longest path."""
        return int(self.positions.max()) + 1

    def attention(self, dtype: torch.dtype) -> Tensor:
        """Returns a mask for attention, [G, 1, N, N]: of bool as it is, else 0 or the least number."""
        import torch

        if dtype == torch.bool:
            return self.sees[:, None]
        blank = torch.zeros(self.sees.shape, dtype=dtype, device=self.sees.device)
        return blank.masked_fill(~self.sees, torch.finfo(dtype).min)[:, None]


@dataclass(slots=True)
class _Tree:
    """A tree that grows row by row; nodes are numbered, parents before children. Mutable."""

    first: Sequence[int]
    ids: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    def node(self, parent: int, token: int) -> int:
        """Returns the node of a token below a parent, −1 for none, made if it is new."""
        found = self._children.setdefault((parent, token), len(self.ids))
        if found == len(self.ids):
            self.ids.append(token)
            self.parents.append(parent)
            self.depths.append(self.depths[parent] + 1 if parent >= 0 else 0)
        return found

    def sees(self, size: int) -> np.ndarray:
        """Returns which node attends to which, [N, N]; padding attends to itself: an empty softmax is NaN."""
        # [N, N], in order of numbering: row i is the set of nodes that node i attends to.
        table = np.eye(size, dtype=bool)
        # Parents come before children, so a parent's row is complete when a child takes it over.
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                table[node] |= table[parent]
        return table


def grow(ids: Tensor, mask: Tensor | None = None, parents: Tensor | None = None) -> Forest | None:
    """Merges rows where they begin alike; None where it would not pay.

    Args:
        ids: Tokens, [B, T].
        mask: 1 for tokens, 0 for padding, [B, T]; None: no padding.
        parents: Of the last C tokens of each row, whose place among them each was sampled after, −1 for the
            last one before them, [B, C]. None: after the one before it. Rows with branches are always merged.
    """
    import torch

    count, total = ids.shape
    # [B, T], as lists: the merge below is a walk over tokens in Python.
    above = _parent_places(ids, mask, parents)
    trees: list[_Tree] = []
    tree_of: list[int] = []
    nodes = np.full((count, total), -1)
    for row, tokens in enumerate(ids.tolist()):
        real = [token for token, parent in zip(tokens, above[row], strict=True) if parent != _PADDING]
        # Greedy: a row joins the first tree that is like it. Rows of one prompt differ from those of others
        # early, so this finds the groups.
        tree_of.append(_join(trees, real))
        tree = trees[tree_of[-1]]
        for place, (token, parent) in enumerate(zip(tokens, above[row], strict=True)):
            # Equal tokens below equal parents are one node: that is the merge.
            if parent != _PADDING:
                nodes[row, place] = tree.node(int(nodes[row, parent]) if parent >= 0 else -1, token)
    # N, of the largest tree; the others are padded to it.
    size = max(len(tree.ids) for tree in trees)
    # G · N against B · T tokens in the backbone. With branches the forest is no choice: a row alone cannot
    # say whose child a token is.
    if parents is None and not _pays(len(trees) * size, count * total):
        return None
    # The state that predicts a token is its parent's, which behind a branch is not the one before it.
    reads = nodes.copy()
    # Position t of `reads` is read to predict token t + 1.
    for row, place in zip(*np.nonzero(nodes[:, 1:] >= 0), strict=True):
        if (parent := above[row][place + 1]) >= 0:
            reads[row, place] = nodes[row, parent]
    # [B, 1]; with it `places` indexes the flattened states [G · N, D].
    offsets = np.array(tree_of)[:, None] * size
    packed = [
        [numbers + [0] * (size - len(numbers)) for numbers in (tree.ids, tree.depths)] for tree in trees
    ]
    whole = torch.tensor(packed, device=ids.device)  # [G, 2, N]
    sees = torch.from_numpy(np.stack([tree.sees(size) for tree in trees])).to(ids.device)
    places = torch.from_numpy(np.where(reads >= 0, reads + offsets, 0)).to(ids.device)
    return Forest(whole[:, 0], whole[:, 1], sees, places)


def _parent_places(ids: Tensor, mask: Tensor | None, parents: Tensor | None) -> list[list[int]]:
    """Returns where in its row each token's parent is, −1 for the first, `_PADDING` for padding, [B, T]."""
    import torch

    count, total = ids.shape
    # [B, T]; by default each token follows the one before it.
    above = torch.arange(-1, total - 1, device=ids.device).repeat(count, 1)
    if parents is not None:
        # [B, C] of places among the completion become places in the row; −1 becomes the last token of the
        # prompt.
        above[:, total - parents.shape[1] :] = parents + total - parents.shape[1]
    if mask is not None:
        # Padding may stand on the left: the first real token of each row is its root.
        first = mask.bool().int().argmax(1)
        above[torch.arange(count), first] = -1
        above[~mask.bool()] = _PADDING
    return above.tolist()


def _join(trees: list[_Tree], row: Sequence[int]) -> int:
    """Returns the tree of a row: one with whose first row it shares half of its tokens, or a new one.

    Attention is computed between all nodes of a tree, so rows with little in common are better off apart.
    """
    for index, tree in enumerate(trees):
        shorter = min(len(row), len(tree.first))
        alike = np.equal(row[:shorter], tree.first[:shorter])
        shared = shorter if alike.all() else int(alike.argmin())
        if _are_alike(shared, len(row)):
            return index
    trees.append(_Tree(row))
    return len(trees) - 1


def _are_alike(shared: int, length: int) -> bool:
    """Whether a row of this length belongs into a tree with whose first row it shares so many tokens."""
    # Half of it or more: masks grow with N², so unlike rows in one tree cost more than they share.
    return shared * 2 >= length


def _pays(packed: int, plain: int) -> bool:
    """Whether so many tokens of trees are worth their masks and copies, in place of those of the rows."""
    return packed <= _WORTH * plain


def planned_shape(groups: Sequence[int], shared: int, own: int) -> tuple[int, int]:
    """Returns G and N of the forest that `grow` would make of a pass; B and T where it would not pay.

    Args:
        groups: Rows of each group, ≥ 1.
        shared: Tokens that the rows of a group begin with, and those of another one do not.
        own: Tokens that follow in each row, of which no two rows have the first in common.
    """
    rows, length = sum(groups), shared + own
    trees, nodes = len(groups), shared + max(groups) * own
    joined = _are_alike(shared, length) and _pays(trees * nodes, rows * length)
    return (trees, nodes) if joined else (rows, length)


class SharedPrefixes:
    """Hooks of a backbone that pack its input rows into trees and unpack its hidden states.

    They act on calls without a cache, positions or a 4-dimensional mask of the caller. A call may pass
    ``parents``, see `grow`.
    """

    def __init__(self, backbone: Any) -> None:
        """Args: transformers' model below a head; the hooks are not attached yet."""
        import torch

        self._backbone = backbone
        self._forest: Forest | None = None
        config = backbone.config.get_text_config()
        # SDPA takes a mask of bool with queries of any dtype, which autocast may have changed
        self._dtype = (
            torch.bool if config._attn_implementation == "sdpa" else next(backbone.parameters()).dtype
        )
        slides = getattr(config, "use_sliding_window", True)
        # Some configurations name a window that `use_sliding_window` turns off.
        self._window = (getattr(config, "sliding_window", None) if slides else None) or np.inf

    def attach(self) -> list[Any]:
        """Attaches the hooks; returns their handles."""
        return [
            self._backbone.register_forward_pre_hook(self._pack, with_kwargs=True),
            self._backbone.register_forward_hook(self._unpack),
        ]

    def _pack(
        self, backbone: Any, args: tuple[Any, ...], given: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """Replaces rows by trees."""
        parents = given.pop("parents", None)
        inputs = {**dict(zip(("input_ids",), args, strict=False)), **given}
        self._forest = None
        if len(args) <= 1 and _are_rows(inputs):
            self._forest = grow(inputs["input_ids"], inputs.get("attention_mask"), parents)
        # Beyond the window a layer would see less than the tree's mask allows.
        if self._forest is not None and self._forest.depth > self._window:
            self._forest = None
        if self._forest is None:
            if parents is not None:
                raise O1CoderError(
                    "rows with branches are whole rows of tokens, and fit the model's sliding window"
                )
            return args, given | _positions(inputs)
        forest = self._forest
        # [G, N] instead of [B, T]; without a cache, for the nodes of a tree are not a sequence that could be
        # continued.
        inputs |= {"input_ids": forest.ids, "position_ids": forest.positions, "use_cache": False}
        return (), inputs | {"attention_mask": forest.attention(self._dtype)}

    def _unpack(self, backbone: Any, args: tuple[Any, ...], output: Any) -> Any:
        """Gathers the states of each row from its nodes."""
        if self._forest is not None:
            states = output.last_hidden_state.flatten(0, 1)  # [G · N, D]
            output.last_hidden_state = states[self._forest.places]  # [B, T, D]
            self._forest = None
        return output


def _are_rows(inputs: dict[str, Any]) -> bool:
    """Whether inputs are full rows of token ids, without cache, positions or embeddings."""
    ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
    others = ("past_key_values", "position_ids", "inputs_embeds", "use_cache", "output_router_logits")
    if ids is None or any(inputs.get(name) not in (None, False) for name in others):
        return False
    return ids.dim() == 2 and (mask is None or mask.dim() == 2)


def _positions(inputs: dict[str, Any]) -> dict[str, Tensor]:
    """Returns the positions of rows with padding before them, as in a tree: the first token is at 0.

    transformers counts the padding, and models with learned positions are then read at others than they were
    sampled at. Nothing for other inputs, which keep what transformers makes of them.
    """
    mask = inputs.get("attention_mask")
    if mask is None or not _are_rows(inputs) or bool(mask[:, 0].all()):
        return {}
    return {"position_ids": (mask.long().cumsum(1) - 1).clamp(min=0)}


def share_prefixes(model: Any) -> bool:
    """Makes a model compute shared prefixes once, if all its layers attend by a given mask.

    It is tried with two short rows: models with recurrent layers or an attention of their own keep computing
    row by row.

    Args:
        model: Of transformers, with a head, not wrapped by PEFT yet.

    Returns:
        Whether it does; only then the model accepts ``parents=``.
    """
    backbone = model.base_model
    hooks = SharedPrefixes(backbone)
    training = backbone.training
    backbone.eval()
    try:
        if agrees := _agrees(backbone, hooks):
            hooks.attach()
    finally:
        backbone.train(training)
    return agrees


def _agrees(backbone: Any, hooks: SharedPrefixes) -> bool:
    """Whether packed and plain rows have the same hidden states."""
    import torch

    device = next(backbone.parameters()).device
    alphabet = min(backbone.config.get_text_config().vocab_size, 64)
    shared, ends = 12, 4
    prefix = torch.arange(shared) * 7 % alphabet
    # Two rows of 16 tokens, 12 of them shared: enough for the merge to pay, and to see a layer that ignores
    # the mask.
    rows = [torch.cat([prefix, (torch.arange(ends) * step + step) % alphabet]) for step in (1, 3)]
    inputs = {"input_ids": torch.stack(rows).to(device)}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    with torch.no_grad():
        plain = backbone(**inputs, use_cache=False).last_hidden_state.float()
        handles = hooks.attach()
        try:
            packed = backbone(**inputs, use_cache=False).last_hidden_state.float()
        except Exception:  # whatever a model's own code raises at a mask of four dimensions
            return False
        finally:
            for handle in handles:
                handle.remove()
    return bool((packed - plain).abs().max() <= _TOLERANCE * plain.std())
