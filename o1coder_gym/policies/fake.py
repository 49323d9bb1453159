"""An engine without a model: seeded text at a set speed.

For measuring what everything around the engine costs. A batch of B rows takes
``call_s + longest · (step_s + row_s · B)`` seconds, the batch curve of a real engine: nearly flat while
weights are read once for all rows, then a line.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from o1coder_gym.policies.engine import Completion, Counters, Generate, Meter
from o1coder_gym.specs.parameters import AtLeastOne, NonNegative, check_fields
from o1coder_gym.steps.formats import Prompt

_STEP_NUMBER = re.compile(r"### Step (\d+)")
_WORDS = ("loop", "over", "the", "list", "keep", "best", "value", "sum", "count", "sort", "split", "merge")


@dataclass(frozen=True, slots=True)
class FakeSettings:
    """Speed and text of the engine.

    Attributes:
        call_s: Seconds per batch, whatever is in it.
        step_s: Seconds per decode step.
        row_s: Seconds that each row adds to a decode step.
        tokens: Mean tokens per action, drawn uniformly between half of it and one and a half times it.
        depth: Number of the step that is code.
        parallel: Batches that run at the same time, as on a server; more wait.
    """

    call_s: NonNegative = 0.0
    step_s: NonNegative = 0.0
    row_s: NonNegative = 0.0
    tokens: AtLeastOne = 40
    depth: AtLeastOne = 3
    parallel: AtLeastOne = 1

    def __post_init__(self) -> None:
        """Raises `UsageError` when a value is out of range."""
        check_fields(self)


class FakeEngine:
    """Writes actions of random words with tokens of its own; equal requests get equal answers."""

    def __init__(self, settings: FakeSettings) -> None:
        """Args: how slow it is, and what it says."""
        self.settings = settings
        self.parallel = settings.parallel
        self._slots = threading.BoundedSemaphore(settings.parallel)
        self._meter = Meter()

    @property
    def counters(self) -> Counters:
        """A snapshot of the work done so far; every prompt token counts as computed."""
        return self._meter.snapshot()

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Returns one id per word."""
        text = "".join(content for _, content in prompt.messages) + prompt.prefill
        return self.encode_more(text)

    def encode_more(self, text: str) -> tuple[int, ...]:
        """Returns one id per word, the word's length."""
        return tuple(map(len, text.split()))

    def generate(self, requests: Sequence[Generate], /) -> list[tuple[Completion, ...]]:
        """Answers all requests as one batch, after the time that the settings name."""
        asked = time.monotonic()
        answers = [tuple(self._write(one, sample) for sample in range(one.n)) for one in requests]
        rows = [completion.tokens for group in answers for completion in group]
        with self._slots:
            begun = time.monotonic()
            self._wait(len(rows), max(rows, default=0))
            self._meter.add_batch(len(rows))
            self._meter.add(
                requests=len(requests),
                prompt_tokens=sum(len(request.prompt_ids) for request in requests),
                generated_tokens=sum(rows),
                busy_s=time.monotonic() - begun,
                queue_s=begun - asked,
            )
        return answers

    def _wait(self, rows: int, longest: int) -> None:
        seconds = self.settings.call_s + longest * (self.settings.step_s + self.settings.row_s * rows)
        if seconds:
            time.sleep(seconds)

    def _write(self, request: Generate, sample: int) -> Completion:
        generator = random.Random(f"{request.seed}/{sample}")
        mean = self.settings.tokens
        length = max(1, generator.randint(mean - mean // 2, mean + mean // 2))
        logprob = -generator.random() * length
        if length > request.sampling.max_tokens:
            length = request.sampling.max_tokens
            text, finish = " ".join(generator.choices(_WORDS, k=length)), "length"
        else:
            text, finish = self._action(request.prompt.opening, generator, length), "stop"
        prompt_tokens = len(request.prompt_ids) if sample == 0 else 0
        return Completion(text, (1,) * length, length, logprob, finish, prompt_tokens)

    def _action(self, opening: str, generator: random.Random, length: int) -> str:
        """Returns the text after `opening`: code in a program's fence or at `depth`, else words."""
        words = " ".join(generator.choices(_WORDS, k=length))
        program = f"# {words}\ndef answer(*values):\n    return {generator.randrange(1000)}\n```\n"
        number = _STEP_NUMBER.search(opening)
        if number is None:
            return program
        if opening.endswith("(") and int(number[1]) >= self.settings.depth:
            return f"code)\n```python\n{program}"
        return f"refine)\n{words}\n\n" if opening.endswith("(") else f"{words}\n\n"
