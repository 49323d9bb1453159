"""Shared prefixes: rows of a batch that begin alike are computed once, in forward and backward passes.

Rows are merged into trees where they begin alike. A token is a node: it attends to its ancestors and itself,
and its position is its depth, so that each row is what it would be alone. The backbone is shown one row a
tree; hidden states of nodes are then handed to all rows that have them. Head, loss and trainer know nothing
of it, and the gradients of a shared token add up by themselves.

Attention is computed between all nodes of a tree, so a tree of many rows costs more than it saves. What pays
is counted: n tokens or nodes in a row of the backbone's input cost a · n + n², in pairs of attention, where a
token's way through the weights costs as much arithmetic as a pairs, see `token_cost`.

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
"""Share of a batch's arithmetic that may be left for packing to pay: masks and copies are not free."""
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


_Row = list[tuple[int, int]]
"""Each token of a row without its padding, and where in the list its parent is, −1 for a root."""


@dataclass(slots=True)
class _Tree:
    """A tree that grows row by row; nodes are numbered, parents before children. Mutable."""

    ids: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    rows: int = 0
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, row: _Row) -> list[int]:
        """Merges a row; returns the node of each token."""
        nodes: list[int] = []
        for token, above in row:
            parent = nodes[above] if above >= 0 else -1
            # Equal tokens below equal parents are one node: that is the merge.
            found = self._children.setdefault((parent, token), len(self.ids))
            if found == len(self.ids):
                self.ids.append(token)
                self.parents.append(parent)
                self.depths.append(self.depths[parent] + 1 if parent >= 0 else 0)
            nodes.append(found)
        self.rows += 1
        return nodes

    def added(self, row: _Row, *, straight: bool) -> int:
        """Returns how many nodes a row would add, at most; a straight one has no branches."""
        missing = len(self.ids)  # no node has this number, so nothing is below it
        nodes: list[int] = []
        for token, above in row:
            nodes.append(self._children.get((nodes[above] if above >= 0 else -1, token), missing))
            if straight and nodes[-1] == missing:  # and so is all that comes after it
                return len(row) - len(nodes) + 1
        return nodes.count(missing)

    def sees(self, size: int) -> np.ndarray:
        """Returns which node attends to which, [N, N]; padding attends to itself: an empty softmax is NaN."""
        # [N, N], in order of numbering: row i is the set of nodes that node i attends to.
        table = np.eye(size, dtype=bool)
        # Parents come before children, so a parent's row is complete when a child takes it over.
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                table[node] |= table[parent]
        return table


def grow(
    ids: Tensor, mask: Tensor | None = None, parents: Tensor | None = None, *, cost: float = 6144
) -> Forest | None:
    """Merges rows where they begin alike; None where it would not pay.

    Args:
        ids: Tokens, [B, T].
        mask: 1 for tokens, 0 for padding, [B, T]; None: no padding.
        parents: Of the last C tokens of each row, whose place among them each was sampled after, −1 for the
            last one before them, [B, C]. None: after the one before it. Rows with branches are always trees,
            each alone where merging would not pay.
        cost: See `token_cost`; that of a usual model with a hidden size of 1024.
    """
    import torch

    count, total = ids.shape
    # [B, T], as lists: the merge below is a walk over tokens in Python.
    above = _parent_places(ids, mask, parents)
    places = [[place for place in range(total) if row[place] != _PADDING] for row in above]
    rows = [_row(tokens, row, real) for tokens, row, real in zip(ids.tolist(), above, places, strict=True)]
    trees: list[_Tree] = []
    tree_of = np.zeros(count, int)
    nodes = np.full((count, total), -1)
    for together in _grouped(rows, cost, straight=parents is None):
        trees.append(_Tree())
        for row in together:
            tree_of[row] = len(trees) - 1
            nodes[row, places[row]] = trees[-1].add(rows[row])
    # N, of the largest tree; the others are padded to it.
    size = max(len(tree.ids) for tree in trees)
    # With branches the forest is no choice: a row alone cannot say whose child a token is.
    if parents is None and not _pays((len(trees), size), (count, total), cost):
        return None
    # The state that predicts a token is its parent's, which behind a branch is not the one before it.
    reads = nodes.copy()
    # Position t of `reads` is read to predict token t + 1.
    for row, place in zip(*np.nonzero(nodes[:, 1:] >= 0), strict=True):
        if (parent := above[row][place + 1]) >= 0:
            reads[row, place] = nodes[row, parent]
    # [B, 1]; with it `places` indexes the flattened states [G · N, D].
    offsets = tree_of[:, None] * size
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


def _row(tokens: Sequence[int], above: Sequence[int], real: Sequence[int]) -> _Row:
    """Returns a row without its padding."""
    where = {place: index for index, place in enumerate(real)}
    return [(tokens[place], where.get(above[place], -1)) for place in real]


def _paid(nodes: int, cost: float) -> float:
    """Returns the arithmetic of so many nodes that attend to one another, in pairs of attention."""
    return cost * nodes + nodes**2


def _pays(packed: tuple[int, int], plain: tuple[int, int], cost: float) -> bool:
    """Whether G trees of N nodes are worth their masks and copies, in place of B rows of T tokens."""
    (trees, nodes), (rows, length) = packed, plain
    return trees * _paid(nodes, cost) <= _WORTH * rows * _paid(length, cost)


def _grouped(rows: Sequence[_Row], cost: float, *, straight: bool) -> list[list[int]]:
    """Returns which rows make up a tree each.

    A row joins a tree where that costs less than to be alone, and less than the tree's rows cost on average:
    from there on each further row would make all of them dearer, and another tree is begun beside it. Trees
    that were begun so share their rows evenly in the end, for all are padded to the largest.
    """
    trees: list[_Tree] = []
    families: list[list[int]] = []
    """Rows that begin alike."""
    family_of: list[int] = []
    """Of each tree."""
    for number, row in enumerate(rows):
        alone = _paid(len(row), cost)
        alike: list[tuple[int, int]] = []
        fitting: list[tuple[float, int]] = []
        for index, tree in enumerate(trees):
            nodes, added = len(tree.ids), tree.added(row, straight=straight)
            # A family is one whatever the size of its trees: this compares two rows like this one.
            if _paid(len(row) + added, cost) < 2 * alone:
                alike.append((added, index))
            price = _paid(nodes + added, cost) - _paid(nodes, cost)
            if price < min(alone, _paid(nodes, cost) / tree.rows):
                fitting.append((price, index))
        if fitting:
            index = min(fitting)[1]
        else:
            index = len(trees)
            trees.append(_Tree())
            family_of.append(family_of[min(alike)[1]] if alike else len(families))
            if not alike:
                families.append([])
        trees[index].add(row)
        families[family_of[index]].append(number)
    parts = (np.array_split(members, family_of.count(family)) for family, members in enumerate(families))
    return [part.tolist() for family in parts for part in family]


def planned_shape(groups: Sequence[int], shared: int, own: int, cost: float) -> tuple[int, int]:
    """Returns G and N of the forest that `grow` would make of a pass; B and T where it would not pay.

    Args:
        groups: Rows of each group, ≥ 1.
        shared: Tokens that the rows of a group begin with, and those of another one do not.
        own: Tokens that follow in each row, of which no two rows have the first in common.
        cost: See `token_cost`.
    """
    group_of = [group for group, rows in enumerate(groups) for _ in range(rows)]
    plain = len(group_of), shared + own
    # A token is the number of its group, then that of its row: what is shared is told by where it stands.
    rows = [
        [(group, place - 1) for place in range(shared)]
        + [(len(groups) + row, shared + place - 1) for place in range(own)]
        for row, group in enumerate(group_of)
    ]
    trees = _grouped(rows, cost, straight=True)
    nodes = max(shared * len({group_of[row] for row in tree}) + own * len(tree) for tree in trees)
    packed = len(trees), nodes
    return packed if _pays(packed, plain, cost) else plain


def token_cost(backbone: Any) -> float:
    """Returns how many pairs of attention cost the arithmetic of a token's way through the weights.

    A weight costs 2 operations a token, a pair 4 for each of the numbers that heads compare and mix. Of
    experts a token has its share.
    """
    from torch import nn

    config = backbone.config.get_text_config()
    weights = 0.0
    for module in backbone.modules():
        for weight in module.parameters(recurse=False):
            if weight.dim() == 2 and not isinstance(module, nn.Embedding):
                weights += weight.numel()
            elif weight.dim() == 3:  # [experts, …]
                weights += getattr(config, "num_experts_per_tok", 0) * weight[0].numel()
    heads = config.num_attention_heads
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
    return weights / (2 * width * config.num_hidden_layers)


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
        self._cost = token_cost(backbone)
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
            self._forest = grow(inputs["input_ids"], inputs.get("attention_mask"), parents, cost=self._cost)
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
