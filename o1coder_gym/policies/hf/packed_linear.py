"""Linear layers whose weights lie as the matrix units of a CPU read them.

oneDNN brings a plain bfloat16 matrix into that order for every product, and a decode step of a few rows is
little more than reading each matrix once. So they are packed once, at load. Float32 stays plain: there a row
must not depend on its batch.
"""

from __future__ import annotations

from typing import TypeGuard

import torch

from o1coder_gym.runs.provenance import multiplies_bfloat16

ROWS = 32
"""Rows that the order is chosen for; it is right for any number."""


class PackedLinear(torch.nn.Module):
    """A linear layer in oneDNN's order, for inference in bfloat16 on a CPU."""

    def __init__(self, plain: torch.nn.Linear) -> None:
        """Takes weight ``[O, I]`` and bias ``[O]`` of a plain layer, which may be thrown away then."""
        super().__init__()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(plain.weight.detach(), ROWS)
        self.bias = None if plain.bias is None else plain.bias.detach()

    @property
    def weight(self) -> torch.Tensor:
        """A plain copy, for models that look at it."""
        return self._packed.to_dense()

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Returns ``[…, O]`` of ``[…, I]``."""
        return torch.ops.mkldnn._linear_pointwise(states, self._packed, self.bias, "none", [], "")


def pack_linear_layers(model: torch.nn.Module) -> None:
    """Packs all plain linear layers of a model that is for inference alone, where that is of use."""
    if not torch.backends.mkldnn.is_available() or not multiplies_bfloat16():
        return  # oneDNN refuses to pack for cores that only emulate it
    # Names and owners only: whoever kept the plain layers until the end would keep all weights twice.
    for module in [one for one in model.modules() if not _is_plain(one)]:
        for name in [name for name, layer in module.named_children() if _is_plain(layer)]:
            setattr(module, name, PackedLinear(getattr(module, name)))


def _is_plain(module: torch.nn.Module) -> TypeGuard[torch.nn.Linear]:
    """Whether a module is a linear layer that can be packed."""
    if type(module) is not torch.nn.Linear:
        return False
    return module.weight.dtype == torch.bfloat16 and module.weight.device.type == "cpu"
