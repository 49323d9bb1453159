"""Reads servers' answers: text, tokens, log-probabilities, numbers of tokens.

Irregular answers are read as far as possible: content in parts or missing, log-probabilities that are null
or NaN, usage without numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from o1coder_gym.errors import PolicyError
from o1coder_gym.policies.engine import Completion, Generate
from o1coder_gym.steps.answers import said_in
from o1coder_gym.steps.formats import Prompt
from o1coder_gym.steps.thinking import split_thought

_FENCE_BEHIND = re.compile(r"\s*(?:`{3,}|~{3,})")

CountTokens = Callable[[str], int]
"""Counts the tokens of a text; raises `PolicyError` where nobody can."""


@dataclass(frozen=True, slots=True)
class Said:
    """One choice of an answer.

    Attributes:
        text: The generated text, thoughts included.
        pieces: The text of each token; empty if the server returns none.
        logprobs: Of the pieces; None if one of them is unknown.
        ids: Token ids; empty if the server returns none.
        cut: Whether the limit of tokens ended it.
    """

    text: str
    pieces: tuple[str, ...]
    logprobs: tuple[float, ...] | None
    ids: tuple[int, ...]
    cut: bool

    @property
    def tokens(self) -> int:
        """Number of tokens that it names; 0 where it names none."""
        return len(self.ids) or len(self.pieces)


@dataclass(frozen=True, slots=True)
class Usage:
    """Numbers of tokens that a server reports for one answer; None if it reports none."""

    prompt: int
    cached: int
    completion: int | None


def read_choice(choice: Mapping[str, Any]) -> Said:
    """Reads one choice of either interface.

    Raises:
        KeyError, TypeError, ValueError: When it is none.
    """
    text = said_in(choice["message"] or {}) if "message" in choice else choice["text"]
    if not isinstance(text, str):
        raise TypeError("a text")
    if choice.get("finish_reason") == "error":
        raise ValueError(f"an end: it broke off: {choice.get('error') or text[-80:]}")
    pieces, values = _tokens(choice.get("logprobs"))
    cut = choice.get("finish_reason") in ("length", "max_tokens")
    return Said(text, pieces, _known(values), tuple(choice.get("token_ids") or ()), cut)


def read_usage(answer: Mapping[str, Any]) -> Usage:
    """Reads the numbers of tokens of an answer; hidden thoughts that only the total counts are counted."""
    usage = answer.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, Mapping) else None
    prompt = _count(usage.get("prompt_tokens")) or 0
    cached = min(cached or 0, prompt)
    completion, total = _count(usage.get("completion_tokens")), _count(usage.get("total_tokens")) or 0
    if prompt and total > prompt:
        # Hidden thoughts are counted in the total alone, and they are paid for.
        completion = max(completion or 0, total - prompt)
    return Usage(prompt - cached, cached, completion)


def shares(said: Sequence[Said], total: int | None, count: CountTokens) -> list[int]:
    """Returns the number of tokens of each choice; they add up to what the server says in all.

    What is known of a choice itself stands; the rest, hidden thoughts for instance, is shared evenly, the
    first ones getting one more where it does not come out even.

    Args:
        said: The choices of one answer.
        total: The server's count; None or 0 if it reports none.
        count: Counts where nothing is said.

    Raises:
        PolicyError: When nobody can count.
    """
    own = [one.tokens for one in said]
    if not total:  # an empty answer is an end token
        own = [one.tokens or (count(one.text) if one.text else 1) for one in said]
    # What the server counts beyond the choices' own tokens: hidden thoughts, end tokens.
    whole, more = divmod(max(0, (total or 0) - sum(own)), len(said))
    return [tokens + whole + (place < more) for place, tokens in enumerate(own)]


def before_continuation(text: str, prompt: Prompt, *, goes_on: bool) -> int:
    """Returns how many characters of an answer stand before what follows the prompt's opening.

    Args:
        text: The answer.
        prompt: The prompt that it answers.
        goes_on: Whether it continues with the prompt's end, but for the line ends there, which are not sent;
            else it may think first, and repeat the opening.
    """
    if goes_on:
        return int(prompt.prefill.endswith("\n") and text.startswith("\n"))
    start = len(text) - len(split_thought(text).answer)
    opening = prompt.opening.strip()
    place = text.find(opening, start) if opening else -1
    if place < 0:
        return start
    end = place + len(opening)
    return end + int(text.startswith("\n", end))


def continued(said: Said, tokens: int, request: Generate, skipped: int = 0) -> Completion:
    """Makes a completion of text that continues behind the opening, cut at the boundary.

    Args:
        said: What was said.
        tokens: What it cost.
        request: The request that it answers.
        skipped: Characters before what follows the opening.
    """
    opening, behind = request.prompt.opening, said.text[skipped:]
    end = request.boundary(opening + behind)
    text = behind if end is None else behind[: end - len(opening)]
    kept = _pieces_before(said.pieces, said.text[:skipped] + text)
    spelled = "".join(said.pieces[:kept])
    # Ids are kept only where they spell the text exactly: a prompt extended by wrong ids would be another
    # one.
    known = len(said.ids) == len(said.logprobs or ()) == tokens
    aligned = 0 < len(said.ids) == len(said.pieces) and spelled.rstrip() == text.rstrip()
    return Completion(
        text=spelled if aligned else text,
        token_ids=said.ids[:kept] if aligned else (),
        tokens=tokens,
        logprob=_sum(said, kept, said.text[:skipped] + text),
        finish="length" if said.cut and text == behind else "stop",
        sampled_ids=said.ids if known else (),
        sampled_logprobs=said.logprobs or () if known else (),
    )


def self_contained(said: Said, tokens: int, read: Callable[[str], str]) -> Completion:
    """Makes a completion of a whole answer, whose opening is its own.

    Args:
        said: What was said.
        tokens: What it cost.
        read: Makes an action of it.
    """
    action = read(said.text)
    # The last line of the action, found in the answer: up to there its tokens have log-probabilities.
    lines = [line for line in action.splitlines() if line.strip(" \t`~")]
    place = said.text.rfind(lines[-1]) if lines else -1
    end = place + len(lines[-1]) if place >= 0 else len(said.text)
    ends_there = not said.text[end:].strip()
    if fence := _FENCE_BEHIND.match(said.text, end):
        end = fence.end()
    return Completion(
        text=action,
        token_ids=(),
        tokens=tokens,
        logprob=_sum(said, _pieces_before(said.pieces, said.text[:end]), said.text[:end]),
        finish="length" if said.cut and ends_there else "stop",
        opened=True,
    )


def refuse_to_count(text: str) -> int:
    """Raises `PolicyError`: without numbers of tokens no token budget can be enforced."""
    raise PolicyError(
        "the server reports no token counts and has no tokenizer, so no token budget can be enforced; "
        "ask its operator to report usage"
    )


def _tokens(logprobs: Any) -> tuple[tuple[str, ...], list[Any]]:
    """Returns the text and the log-probability of each token of either interface; none of what is odd."""
    if not isinstance(logprobs, Mapping):
        return (), []
    entries = logprobs.get("content")
    if isinstance(entries, list) and all(isinstance(entry, Mapping) for entry in entries):
        pairs = [(entry.get("token"), entry.get("logprob")) for entry in entries]
    else:
        columns = [logprobs.get(name) or () for name in ("tokens", "token_logprobs")]
        pairs = list(zip(*columns, strict=True)) if len(columns[0]) == len(columns[1]) else []
    if not all(isinstance(piece, str) for piece, _ in pairs):
        return (), []
    return tuple(piece for piece, _ in pairs), [value for _, value in pairs]


def _known(values: Sequence[Any]) -> tuple[float, ...] | None:
    numbers = [value for value in values if isinstance(value, int | float) and math.isfinite(value)]
    return tuple(map(float, numbers)) if values and len(numbers) == len(values) else None


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
    return int(value) if is_count else None


def _sum(said: Said, kept: int, text: str) -> float | None:
    """Returns the log-probability of `text`, which `kept` pieces spell; None where some are missing."""
    # Thoughts that came separately may have no pieces, so what is spelled is the answer at least.
    wanted = len(split_thought(text).answer.strip())
    if said.logprobs is None or sum(map(len, said.pieces[:kept])) < wanted:
        return None
    return min(0.0, math.fsum(said.logprobs[:kept]))


def _pieces_before(pieces: Sequence[str], text: str) -> int:
    """Returns how many pieces `text` takes, blanks at its end aside.

    Pieces of special tokens, an end token above all, are longer than what they add to a text, or empty.
    """
    wanted = len(text.rstrip())
    kept, length = 0, 0
    while kept < len(pieces) and length < wanted:
        length += len(pieces[kept])
        kept += 1
    return kept
