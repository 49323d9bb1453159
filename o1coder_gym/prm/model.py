"""A process reward model ready for scoring: a backbone, and a head that turns a hidden state into a logit.

Whatever a PRM was trained as, a score is σ of one number: of a scalar head, of the difference of two classes,
or of the difference of two tokens' logits, since softmax over two is a sigmoid of their difference.
B rows, T tokens, D hidden size, K step tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn
from transformers import AutoModel
from transformers.utils import logging

from o1coder_gym.errors import PolicyError, ScorerError
from o1coder_gym.models.lookup import UNLOADABLE
from o1coder_gym.models.memory import check_memory
from o1coder_gym.policies.hf.causal_model import use_engine_attention
from o1coder_gym.policies.hf.prefixes import Prefixes
from o1coder_gym.prm.step_text import EncodedSteps

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerBase

    HeadLoader: TypeAlias = Callable[[Path, Any, PreTrainedTokenizerBase], nn.Module]


class StepModel:
    """Computes the logits of steps."""

    def __init__(self, backbone: nn.Module, head: nn.Module, pad: int) -> None:
        """Joins backbone and head, both in evaluation mode.

        Args:
            backbone: Maps tokens to hidden states, [B, T] to [B, T, D].
            head: Maps hidden states to logits, [K, D] to [K].
            pad: Token id of padding.
        """
        self.backbone = backbone.eval()
        # float32, as it was trained: hidden states are large and nearly alike, and their differences count
        self.head = head.to(next(backbone.parameters()).device, torch.float32).eval()
        self._pad = pad
        self._prefixes: Prefixes | None = None

    def keep_prefixes(self, mib: int) -> None:
        """Keeps computed prefixes between calls, if all layers have full attention.

        Args:
            mib: Memory for the prefixes, in MiB.
        """
        try:
            shape = use_engine_attention(self.backbone)
        except PolicyError:
            return
        hidden_bytes = self.backbone.config.get_text_config().hidden_size * shape.dtype.itemsize  # pyright: ignore
        # Keys and values to continue from, and the hidden state [D] that the head may be asked about later.
        capacity = mib * 2**20 // (shape.bytes_per_token + hidden_bytes)
        self._prefixes = Prefixes(self.backbone, shape, capacity, keep_hidden=True)

    def forget(self) -> None:
        """Drops all kept prefixes."""
        if self._prefixes is not None:
            self._prefixes.tree.clear()

    @torch.inference_mode()
    def logits(self, rows: Sequence[EncodedSteps]) -> list[list[float]]:
        """Returns the logit of each step of each row.

        Args:
            rows: B encoded chains.
        """
        found = []
        for row, states in zip(rows, self.states(rows), strict=True):
            # [m, D] to [m].
            logits = iter(self.head(states).tolist())
            found.append([next(logits) if mark >= 0 else 0.0 for mark in row.marks])
        return found

    @torch.inference_mode()
    def states(self, rows: Sequence[EncodedSteps]) -> list[Tensor]:
        """Returns each row's hidden states at its step tokens, [m, D], float32; negative marks have none.

        Args:
            rows: B encoded chains.
        """
        hidden = (
            self._in_one_pass(rows) if self._prefixes is None else self._from_prefixes(self._prefixes, rows)
        )
        marks = [[mark for mark in row.marks if mark >= 0] for row in rows]
        return [one[places].float() for one, places in zip(hidden, marks, strict=True)]

    def _from_prefixes(self, prefixes: Prefixes, rows: Sequence[EncodedSteps]) -> list[Tensor]:
        """Computes only what no earlier row began with; [T, D] per row, to its last step token."""
        # What follows the last mark is not needed: attention is causal.
        prompts = [row.ids[: max(row.marks, default=-1) + 1] for row in rows]
        prefixes.compute([prefixes.tree.insert(ids) for ids in prompts])
        paths = [prefixes.segments(ids) for ids in prompts]
        # [T, E] a row, of its segments from first to last.
        hidden = [torch.cat([one.hidden for one in path if one.hidden is not None]) for path in paths]
        prefixes.tree.evict()
        return hidden

    def _in_one_pass(self, rows: Sequence[EncodedSteps]) -> Tensor:
        """Computes all rows from their first tokens; [B, T, D]."""
        device = next(self.backbone.parameters()).device
        longest = max(len(row.ids) for row in rows)
        ids = torch.tensor([[*row.ids, *[self._pad] * (longest - len(row.ids))] for row in rows])
        lengths = torch.tensor([len(row.ids) for row in rows])
        # [B, T]; rows are padded on the right, behind all marks.
        mask = torch.arange(longest) < lengths[:, None]
        return self.backbone(
            input_ids=ids.to(device), attention_mask=mask.long().to(device), use_cache=False
        ).last_hidden_state


class ScalarHead(nn.Module):
    """z = w·h + b."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """Args: w [1, D], b [1] or None."""
        super().__init__()
        self.linear = _linear(weight, bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Maps [K, D] to [K]."""
        return self.linear(hidden)[:, 0]


class TwoClassHead(nn.Module):
    """z = c_1 − c_0 of a two-layer classifier (Qwen2.5-Math-PRM)."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        """Args: weight and bias of the first layer, [D, D] and [D], then of the second, [2, D] and [2]."""
        super().__init__()
        first, second = _linear(*tensors[:2]), _linear(*tensors[2:])
        self.classes = nn.Sequential(first, nn.ReLU(), second)

    def forward(self, hidden: Tensor) -> Tensor:
        """Maps [K, D] to [K]."""
        classes = self.classes(hidden)
        # [K]: σ(c₁ − c₀) is the softmax's probability of class 1, so one loss and one calibration fit all
        # heads.
        return classes[:, 1] - classes[:, 0]


def load_backbone(folder: Path, dtype: str = "auto", device: str = "auto") -> nn.Module:
    """Loads the backbone of a model, without its head and without code from its repository.

    Raises:
        ScorerError: When it cannot be loaded.
    """
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    precision = "bfloat16" if chosen.startswith("cuda") else "float32"
    kind = precision if dtype == "auto" else dtype
    check_memory(folder, kind, chosen)
    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # the head's weights are read apart; that they are unused here is meant
    try:
        return AutoModel.from_pretrained(
            folder,
            dtype=getattr(torch, kind),
            device_map=chosen,
            trust_remote_code=False,
        )
    except UNLOADABLE as error:
        told = (str(error).splitlines() or [type(error).__name__])[0]
        raise ScorerError(f"cannot load {folder} on {chosen}: {told}") from error
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()


def scalar_head(folder: Path, backbone: Any, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
    """Loads the head that `o1coder prm train` saved."""
    weight, bias = _tensors(folder, "score.weight", "score.bias")
    return ScalarHead(weight, bias)


def value_head(folder: Path, backbone: Any, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
    """Loads the value head of Skywork-o1-Open-PRM."""
    weight, bias = _tensors(folder, "v_head.summary.weight", "v_head.summary.bias")
    return ScalarHead(weight, bias)


def two_class_head(folder: Path, backbone: Any, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
    """Loads the classifier of Qwen2.5-Math-PRM."""
    return TwoClassHead(_tensors(folder, "score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias"))


def plus_minus_head(folder: Path, backbone: Any, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
    """Makes a head of the language model's rows for + and − (Math-Shepherd, RLHFlow): w = w_+ − w_−."""
    # softmax over two logits is σ of their difference, so one row w_+ − w_− of the output matrix is the head.
    plus, minus = (tokenizer.encode(sign)[-1] for sign in "+-")
    # A tied output matrix is in no file of its own.
    if backbone.config.tie_word_embeddings:
        rows = backbone.get_input_embeddings().weight.detach()
    else:
        (rows,) = _tensors(folder, "lm_head.weight")
    return ScalarHead((rows[plus] - rows[minus])[None], None)


HEADS: Mapping[str, HeadLoader] = MappingProxyType(
    {
        "scalar": scalar_head,
        "value": value_head,
        "two_class": two_class_head,
        "plus_minus": plus_minus_head,
    }
)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer


def _tensors(folder: Path, *names: str) -> list[Tensor]:
    """Reads tensors by the end of their names, whatever shard they are in."""
    from safetensors import safe_open

    found: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 (no mapping: it has no other way to be walked)
                for name in names:
                    if key == name or key.endswith(f".{name}"):
                        found[name] = file.get_tensor(key)
    if missing := [name for name in names if name not in found]:
        raise ScorerError(f"{folder} has no tensor {missing[0]}; it is not a PRM of this kind")
    return [found[name] for name in names]
