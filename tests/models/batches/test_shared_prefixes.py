"""Rows that begin alike are computed as one tree: likelihoods and gradients are those of the rows alone."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from o1coder_gym.errors import O1CoderError
from o1coder_gym.models.batches.shared_prefixes import grow, planned_shape, share_prefixes, token_cost

VOCABULARY = 97
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
}


def tiny(architecture: str, **settings: Any) -> Any:
    """Returns an untrained causal language model."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(architecture, **{**SIZES, **settings})
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def batch(lengths: Sequence[int], shared: int, pad: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns ids and mask of rows that share a prefix, padded on one side."""
    generator = torch.Generator().manual_seed(1)
    prefix = torch.randint(1, VOCABULARY, (shared,), generator=generator)
    width = max(lengths)
    ids, mask = torch.zeros(len(lengths), width, dtype=torch.long), torch.zeros(len(lengths), width)
    for row, length in enumerate(lengths):
        tokens = torch.cat([prefix, torch.randint(1, VOCABULARY, (length - shared,), generator=generator)])
        part = slice(0, length) if pad == "right" else slice(width - length, width)
        ids[row, part], mask[row, part] = tokens, 1
    return ids, mask.long()


def likelihoods(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Returns log-probabilities of all tokens but the first of each row, 0 for padding, [B, T − 1]."""
    states = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    logits = model.get_output_embeddings()(states[:, :-1])
    found = logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return found * mask[:, 1:] * mask[:, :-1]


def gradients(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    """Returns the gradients of a sum in which each token has a weight of its own."""
    model.zero_grad()
    found = likelihoods(model, ids, mask)
    (found * torch.linspace(-1, 1, found.numel()).view_as(found)).sum().backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize(
    ("architecture", "pad", "attention"),
    [
        ("qwen2", "left", "sdpa"),
        ("qwen2", "right", "eager"),
        ("llama", "right", "sdpa"),
        ("gemma", "left", "eager"),
        ("qwen3_moe", "right", "sdpa"),
        ("opt", "left", "sdpa"),
        ("opt", "right", "sdpa"),
    ],
)
def test_packed_rows_have_their_own_likelihoods_and_gradients(
    architecture: str, pad: str, attention: str
) -> None:
    plain = tiny(architecture, attn_implementation=attention)
    packed = copy.deepcopy(plain)
    assert share_prefixes(packed)
    seen: list[tuple[int, ...]] = []
    packed.base_model.get_input_embeddings().register_forward_pre_hook(
        lambda _, args: seen.append(tuple(args[0].shape))
    )
    ids, mask = batch([30, 26, 30, 22], 18, pad)
    alone = torch.zeros(4, 29)
    with torch.no_grad():
        for row in range(4):  # without padding: each model's own positions
            place = mask[row].bool()
            alone[row][place[1:] & place[:-1]] = likelihoods(
                plain, ids[row, place][None], mask[row, place][None]
            )[0]
    found = likelihoods(packed, ids, mask)
    assert torch.allclose(found, alone, atol=1e-4)
    rows = [ids[row, mask[row].bool()].tolist() for row in range(4)]
    assert seen == [(1, len({tuple(row[:end]) for row in rows for end in range(1, len(row) + 1)}))]
    if pad == "right":
        mine, theirs = gradients(packed, ids, mask), gradients(plain, ids, mask)
        assert mine.keys() == theirs.keys()
        for name, gradient in theirs.items():
            assert torch.allclose(mine[name], gradient, atol=1e-4 * float(gradient.abs().max()) + 1e-5), name


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "opt"])
def test_rows_that_are_not_packed_begin_at_the_first_position_too(architecture: str) -> None:
    plain = tiny(architecture, n_embd=32, n_layer=2, n_head=4)
    hooked = copy.deepcopy(plain)
    assert share_prefixes(hooked)
    ids, mask = batch([20, 18], 0, "left")  # nothing in common: two rows, one of them padded
    with torch.no_grad():
        alone = likelihoods(plain, ids[1:, 2:], mask[1:, 2:])
        found = likelihoods(hooked, ids, mask)
    assert torch.allclose(found[1:, 2:], alone, atol=1e-4)


OTHERS: dict[str, dict[str, Any]] = {
    "mamba": {"state_size": 8},
    "bloom": {},
    "qwen3_next": {
        "head_dim": 8,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
}


@pytest.mark.parametrize("architecture", OTHERS)
def test_models_that_take_no_such_mask_compute_row_by_row(architecture: str) -> None:
    plain = tiny(architecture, **OTHERS[architecture])
    packed = copy.deepcopy(plain)
    assert not share_prefixes(packed)
    ids, mask = batch([20, 20], 14, "right")
    with torch.no_grad():
        assert torch.allclose(likelihoods(packed, ids, mask), likelihoods(plain, ids, mask), atol=1e-4)


def test_rows_longer_than_a_sliding_window_are_computed_alone() -> None:
    plain = tiny("mistral", sliding_window=16)
    packed = copy.deepcopy(plain)
    assert share_prefixes(packed)
    for lengths in ([15, 15], [40, 40]):
        ids, mask = batch(lengths, 12, "right")
        with torch.no_grad():
            assert torch.allclose(likelihoods(packed, ids, mask), likelihoods(plain, ids, mask), atol=1e-4)
    parents = torch.tensor([[-1, -1], [-1, 0]])
    with pytest.raises(O1CoderError, match="window"):
        packed.base_model(input_ids=ids, attention_mask=mask, parents=parents)


def test_a_tree_has_each_shared_token_once() -> None:
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 9], [5, 6, 7, 8], [1, 2, 3, 4]])
    forest = grow(ids)
    assert forest is not None
    assert forest.ids.tolist() == [[5, 6, 7, 8, 9], [1, 2, 3, 4, 0]]
    assert forest.positions.tolist() == [[0, 1, 2, 3, 3], [0, 1, 2, 3, 0]]
    assert forest.places.tolist() == [[0, 1, 2, 3], [0, 1, 2, 4], [0, 1, 2, 3], [5, 6, 7, 8]]
    assert [[other for other in range(5) if forest.sees[0, node, other]] for node in range(5)] == [
        [0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 4],
    ]  # fmt: skip
    assert forest.sees[1, 4].tolist() == [False] * 4 + [True]


def test_rows_with_little_in_common_stay_as_they_are() -> None:
    assert grow(torch.tensor([[5, *range(10, 25)], [5, *range(30, 45)]])) is None
    assert grow(torch.tensor([[5, 6, 7, 8]])) is None


def paid(trees: int, nodes: int, cost: float) -> float:
    """Returns the arithmetic of trees in pairs of attention: each node's weights, and all pairs of nodes."""
    return trees * (cost * nodes + nodes**2)


def siblings(rows: int, prompt: int, completion: int) -> torch.Tensor:
    """Returns rows with one prompt that differ from the first token after it."""
    own = 1000 + torch.arange(rows * completion).view(rows, completion)
    return torch.cat([torch.arange(prompt).expand(rows, -1), own], dim=1)


@pytest.mark.parametrize(
    ("rows", "prompt", "completion", "cost", "trees"),
    [
        # Trees of n rows have p + n·c nodes; per row they cost least at n = √(p (cost + p)) / c.
        (8, 40, 40, 8000, 1),  # n = 14.2
        (32, 40, 40, 800, 7),  # n = 4.6, of which at most 5 join a tree
        (6, 40, 40, 800, 2),  # 3 and 3, not 5 and 1, which would be padded to 5
        (8, 40, 4, 800, 1),  # n = 45.8: little is said after a long prompt
        (4, 4, 400, 800, 0),  # a short prompt: no row would join another
    ],
)
def test_a_tree_takes_rows_while_they_cost_less_than_its_own(
    rows: int, prompt: int, completion: int, cost: float, trees: int
) -> None:
    length = prompt + completion
    forest = grow(siblings(rows, prompt, completion), cost=cost)
    plain = paid(rows, length, cost)
    if not trees:
        assert forest is None
        assert paid(1, prompt + rows * completion, cost) > plain
        return
    assert forest is not None
    found, size = forest.ids.shape
    assert (found, size) == (trees, prompt + -(-rows // trees) * completion)
    mine = paid(found, size, cost)
    assert mine < plain
    for other in range(1, rows + 1):  # no other number of trees would save a tenth more
        assert mine < 1.1 * paid(other, prompt + -(-rows // other) * completion, cost)


def test_rows_with_branches_are_split_alike() -> None:
    ids = siblings(6, 40, 40)
    parents = torch.arange(-1, 39).repeat(6, 1)
    parents[:, 20] = 9  # a second branch
    forest = grow(ids, parents=parents, cost=800)
    assert forest is not None
    assert forest.ids.shape == (2, 160)
    assert forest.positions.max() == 69  # of the longer branch: 40 + 10 + 20 tokens
    alone = grow(siblings(4, 4, 400), parents=torch.arange(-1, 399).repeat(4, 1), cost=800)
    assert alone is not None
    assert alone.ids.shape == (4, 404)


@pytest.mark.parametrize("architecture", ["qwen2", "opt"])
def test_rows_of_several_trees_have_their_own_likelihoods_and_gradients(architecture: str) -> None:
    plain = tiny(architecture, ffn_dim=48)
    packed = copy.deepcopy(plain)
    assert share_prefixes(packed)
    seen: list[tuple[int, ...]] = []
    packed.base_model.get_input_embeddings().register_forward_pre_hook(
        lambda _, args: seen.append(tuple(args[0].shape))
    )
    ids, mask = batch([60, 56, 60, 52, 60, 58, 60, 60], 30, "right")
    assert torch.allclose(likelihoods(packed, ids, mask), likelihoods(plain, ids, mask), atol=1e-4)
    ((trees, _),) = seen
    assert 1 < trees < len(ids)
    mine, theirs = gradients(packed, ids, mask), gradients(plain, ids, mask)
    for name, gradient in theirs.items():
        assert torch.allclose(mine[name], gradient, atol=1e-4 * float(gradient.abs().max()) + 1e-5), name


def test_the_cost_of_a_token_is_that_of_its_weights() -> None:
    # A layer of Qwen: queries and outputs 32 · 32 each, keys and values 32 · 16 each, three times 32 · 48.
    weights = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48
    assert token_cost(tiny("qwen2").base_model) == 2 * weights / (4 * 32)
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    weights = 2 * 32 * 32 + 2 * 32 * 16 + 32 * 4 + 2 * 3 * 32 * 16  # the router's, and two of four experts
    assert token_cost(tiny("qwen3_moe", **experts).base_model) == 2 * weights / (4 * 32)


@pytest.mark.parametrize("cost", [1.0, 60.0, 6144.0])
@pytest.mark.parametrize(
    ("groups", "shared", "own"),
    [
        ([4], 6, 2),
        ([4, 4], 4, 4),
        ([4, 4], 4, 9),
        ([6, 1], 4, 4),
        ([5, 3], 30, 2),
        ([1, 1], 6, 2),
        ([16], 40, 20),
    ],
)
def test_a_planned_forest_is_as_large_as_the_one_that_grows(
    groups: list[int], shared: int, own: int, cost: float
) -> None:
    # No two groups, and no two rows behind their prompt, have a token in common.
    rows = [
        [1000 * group + token for token in range(shared)]
        + [100 * row + 10_000 * (group + 1) + token for token in range(own)]
        for group, count in enumerate(groups)
        for row in range(count)
    ]
    forest = grow(torch.tensor(rows), cost=cost)
    found = (sum(groups), shared + own) if forest is None else tuple(forest.ids.shape)
    assert planned_shape(groups, shared, own, cost) == found
