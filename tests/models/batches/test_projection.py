"""TRL's projection, folded by rows: the same likelihoods and gradients, and only of tokens with a loss."""

import inspect
from typing import Any
from unittest.mock import patch

import pytest

pytest.importorskip("trl")

import torch
from trl.kernels import chunked_logprob
from trl.trainer import utils

from o1coder_gym.models.batches.projection import project_completions_only


@pytest.fixture
def plain_trl():
    """TRL as it comes; what a test changes in it is undone."""
    tiles = {
        name: inspect.unwrap(getattr(chunked_logprob, name)) for name in ("_forward_tile", "_backward_tile")
    }
    triton = patch.object(utils, "_use_triton", chunked_logprob._use_triton)
    with triton, patch.multiple(chunked_logprob, **tiles):
        yield


OUTPUTS = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")


def projected(tokens: int, softcap: float | None) -> list[Any]:
    """Returns all outputs for some tokens, and the gradients of a sum that weighs each of them."""
    torch.manual_seed(0)
    hidden, weight, bias = (torch.randn(shape, requires_grad=True) for shape in ((tokens, 8), (70, 8), (70,)))
    targets = torch.arange(tokens) % 70
    found = chunked_logprob.ChunkedLogProbFunction.apply(
        hidden, weight, bias, targets, 0.7, 32, softcap, 1.5, OUTPUTS
    )
    log_probs, entropy, *others = found
    ((log_probs - 0.3 * entropy) * torch.linspace(-1, 1, tokens)).sum().backward()
    return [log_probs, entropy, *others, hidden.grad, weight.grad, bias.grad]


@pytest.mark.parametrize("tokens", [1, 16, 35])
@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.usefixtures("plain_trl")
def test_tiles_folded_by_rows_are_the_same(tokens: int, softcap: float | None) -> None:
    plain = projected(tokens, softcap)
    before = chunked_logprob._forward_tile
    project_completions_only()
    once = chunked_logprob._forward_tile
    project_completions_only()  # each training asks for it
    assert before is not once is chunked_logprob._forward_tile
    for mine, theirs in zip(projected(tokens, softcap), plain, strict=True):
        assert torch.allclose(mine.float(), theirs.float(), atol=1e-5)
    assert utils._use_triton(torch.device("cpu"))
