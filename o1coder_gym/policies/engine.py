"""The protocol of a language-model engine: prompts in, continuations out, everything counted.

A `LanguageModelPolicy` turns reasoning states into `Generate` requests; an engine answers them. Token
ids go end to end: where an engine can encode, a state's prompt is its parent's ids plus the generated
ids, so that a prefix computed once is recognised again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from o1coder_gym.steps.formats import Prompt
from o1coder_gym.types import Sampling


@dataclass(frozen=True, slots=True)
class Generate:
    """Asks for `n` continuations of one prompt.

    Attributes:
        prompt: The prompt as text.
        prompt_ids: The prompt as token ids; empty for engines that cannot encode.
        n: Number of continuations, ≥ 1.
        sampling: How to draw them.
        seed: Fixes the draw on exact engines; continuation i draws from the stream (seed, i).
        boundary: Where the first action in ``prompt.opening + continuation`` ends; None while open.
        read: Makes an action of a whole answer, for engines that cannot make a model continue behind the
            opening; None puts the opening before it.
    """

    prompt: Prompt
    prompt_ids: tuple[int, ...]
    n: int
    sampling: Sampling
    seed: int
    boundary: Callable[[str], int | None]
    read: Callable[[str], str] | None = None

    def draw_args(self, sample: int) -> dict[str, float]:
        """Returns the arguments of `vllm.draws.OwnDraws` for one continuation."""
        return {
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "top_k": self.sampling.top_k,
            "seed": self.seed % 2**64,
            "sample": sample,
        }


@dataclass(frozen=True, slots=True)
class Completion:
    """One continuation, cut at its boundary.

    Attributes:
        text: The text after the prompt.
        token_ids: The tokens of `text`; empty where the engine does not expose them.
        tokens: Number of sampled tokens, those that showed the boundary included.
        logprob: Sum over `token_ids` under the model's own distribution; None if unknown.
        finish: ``"stop"`` at a boundary or end of text, ``"length"`` at the token limit.
        prompt_tokens: Prompt tokens computed for it; what a request's continuations share counts at the
            first of them.
        cached_tokens: Prompt tokens whose computation was reused, likewise.
        opened: Whether `text` is a whole action, its opening included.
        sampled_ids: All `tokens` sampled, also those that showed the boundary and the end of the text;
            empty where the engine does not expose them.
        sampled_logprobs: Of `sampled_ids`, as `logprob`.
    """

    text: str
    token_ids: tuple[int, ...]
    tokens: int
    logprob: float | None
    finish: Literal["stop", "length"]
    prompt_tokens: int = field(default=0, compare=False)
    cached_tokens: int = field(default=0, compare=False)
    opened: bool = False
    sampled_ids: tuple[int, ...] = field(default=(), compare=False, repr=False)
    sampled_logprobs: tuple[float, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Counters:
    """The work of an engine since its creation. Snapshots can be subtracted.

    Attributes:
        requests: `Generate` requests answered.
        prompt_tokens: Prompt tokens computed; with `cached_tokens` the sum of all prompt lengths.
        cached_tokens: Prompt tokens whose computation was reused, within a call or from earlier ones.
        generated_tokens: Sampled tokens.
        batches: Batches run.
        batch_sizes: ``(continuations in a batch, number of such batches)``, ascending.
        busy_s: Seconds spent generating.
        queue_s: Seconds that requests waited for the engine to be free.
    """

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    batches: int = 0
    batch_sizes: tuple[tuple[int, int], ...] = ()
    busy_s: float = 0.0
    queue_s: float = 0.0

    def __sub__(self, earlier: Counters) -> Counters:
        """Returns the work done since `earlier`."""
        sizes = Counter(dict(self.batch_sizes))
        sizes.subtract(dict(earlier.batch_sizes))
        return Counters(
            self.requests - earlier.requests,
            self.prompt_tokens - earlier.prompt_tokens,
            self.cached_tokens - earlier.cached_tokens,
            self.generated_tokens - earlier.generated_tokens,
            self.batches - earlier.batches,
            tuple(sorted((size, count) for size, count in sizes.items() if count)),
            self.busy_s - earlier.busy_s,
            self.queue_s - earlier.queue_s,
        )


class Meter:
    """Counts for one engine, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: Counter[str] = Counter()
        self._sizes: Counter[int] = Counter()
        self._busy_s = 0.0
        self._queue_s = 0.0

    def add(self, *, busy_s: float = 0.0, queue_s: float = 0.0, **counts: int) -> None:
        """Adds to the counts called `requests`, `prompt_tokens`, `cached_tokens`, `generated_tokens`."""
        with self._lock:
            self._totals.update(counts)
            self._busy_s += busy_s
            self._queue_s += queue_s

    def add_batch(self, size: int) -> None:
        """Counts one batch of `size` continuations; one of none is no batch."""
        with self._lock:
            if size:
                self._sizes[size] += 1

    def snapshot(self) -> Counters:
        """Returns the counts so far."""
        with self._lock:
            return Counters(
                **self._totals,
                batches=sum(self._sizes.values()),
                batch_sizes=tuple(sorted(self._sizes.items())),
                busy_s=self._busy_s,
                queue_s=self._queue_s,
            )


class Engine(Protocol):
    """Generates text."""

    @property
    def parallel(self) -> int:
        """How many `generate` calls may usefully be in flight at the same time."""
        ...

    @property
    def counters(self) -> Counters:
        """A snapshot of the work done so far."""
        ...

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Returns the ids of the whole prompt, prefill included; empty if the engine cannot."""
        ...

    def encode_more(self, text: str) -> tuple[int, ...]:
        """Returns the ids of text inside a turn, without special tokens; empty if it cannot."""
        ...

    def generate(self, requests: Sequence[Generate], /) -> list[tuple[Completion, ...]]:
        """Answers all requests, ``request.n`` completions each, in order.

        Raises:
            PromptTooLongError: When a prompt does not fit its context; before anything is computed.
            PolicyError: When the engine fails.
        """
        ...
