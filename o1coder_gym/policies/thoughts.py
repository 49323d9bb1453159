"""Sampled thoughts: within a token budget before each action, or as the first step of a chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from o1coder_gym.errors import PromptTooLongError
from o1coder_gym.policies.engine import Completion, Generate
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.steps.formats import Prompt, StepFormat
from o1coder_gym.steps.thinking import TAGS, behind_thought
from o1coder_gym.types import ActionType, Proposal, Step

LEAST_FOR_ACTION = 16
"""Tokens of a sample that no thought takes."""


@dataclass(frozen=True, slots=True)
class _Thought:
    """A thought and the request for the action behind it.

    Attributes:
        text: Tags included, as it is recorded.
        completion: The sampled thought.
        action: The request for the action; one sample.
        behind: Tokens of the action's prompt behind the thought.
    """

    text: str
    completion: Completion
    action: Generate
    behind: int


def think_first(engine: Any, requests: Sequence[Generate], tokens: int) -> list[tuple[Proposal, ...]]:
    """Samples a thought and behind it an action, for all samples of all requests in two engine calls.

    The thought stands before the action in a proposal's text, where readers leave it out. Both are paid for;
    token ids and log-probability are those of the action. Behind a thought that fills the context the action
    is empty.

    Args:
        engine: An engine with ``encode_thought(prompt)``: the ids up to an open thought, and the closing tag.
        requests: What a policy would ask without thinking, each with more than `LEAST_FOR_ACTION` tokens.
        tokens: Tokens of a thought at most; at least `LEAST_FOR_ACTION` of a sample are left for the action.

    Raises:
        UsageError: When the model's template knows no thoughts.
        PromptTooLongError: When a prompt alone does not fit the context.
        PolicyError: When the engine fails.
    """
    opened = [engine.encode_thought(request.prompt) for request in requests]
    asked = [
        _thinking(request, ids, closing, min(tokens, request.sampling.max_tokens - LEAST_FOR_ACTION))
        for request, (ids, closing) in zip(requests, opened, strict=True)
    ]
    thoughts = [
        _thoughts(engine, request, ids, closing, completions)
        for request, (ids, closing), completions in zip(requests, opened, engine.generate(asked), strict=True)
    ]
    # One call for the actions behind all thoughts: a call per thought would lose the batch.
    acted = iter(_acted(engine, [one.action for group in thoughts for one in group]))
    return [tuple(_proposal(one, next(acted)) for one in group) for group in thoughts]


def think_a_step(
    engine: Any, requests: Sequence[Generate], tokens: int, step_format: StepFormat
) -> list[tuple[Proposal, ...]]:
    """Samples thoughts that are themselves actions: the first define step of a chain.

    What follows is shown the thought as it is shown any step, so that search branches on it and scorers
    score it.

    Args:
        engine: See `think_first`.
        requests: What a policy would ask without thinking.
        tokens: Tokens of a thought at most; 0: as many as of another action.
        step_format: Has define steps.

    Raises:
        UsageError: When the model's template knows no thoughts.
        PolicyError: When the engine fails.
    """
    opened = [engine.encode_thought(request.prompt) for request in requests]
    asked = [
        _thinking(request, ids, closing, min(tokens or most, most))
        for request, (ids, closing) in zip(requests, opened, strict=True)
        for most in (request.sampling.max_tokens,)
    ]
    return [
        tuple(_as_step(one, closing, step_format) for one in completions)
        for (_, closing), completions in zip(opened, engine.generate(asked), strict=True)
    ]


def _as_step(thought: Completion, closing: str, step_format: StepFormat) -> Proposal:
    """Writes a thought as a step; without token ids, for the model wrote no header."""
    body = thought.text.partition(closing)[0].strip()
    return Proposal(
        step_format.render(Step(ActionType.DEFINE, body), 1),
        thought.tokens,
        thought.logprob,
        finish=thought.finish,
        prompt_tokens=thought.prompt_tokens,
        cached_tokens=thought.cached_tokens,
    )


def _thinking(request: Generate, ids: tuple[int, ...], closing: str, tokens: int) -> Generate:
    """Asks for thoughts of so many tokens at most, each up to its closing tag."""

    def boundary(text: str) -> int | None:
        place = text.find(closing)
        return place if place >= 0 else None

    # No opening: the thought stands where the step's header would, which follows behind the closing tag.
    prompt = Prompt(request.prompt.messages, "", "", (closing,))
    return replace(
        request,
        prompt=prompt,
        prompt_ids=ids,
        sampling=replace(request.sampling, max_tokens=tokens),
        boundary=boundary,
        read=None,
    )


def _thoughts(
    engine: Any,
    request: Generate,
    ids: tuple[int, ...],
    closing: str,
    completions: Sequence[Completion],
) -> list[_Thought]:
    """Closes each thought and asks for the action behind it, each with a stream of its own."""
    behind = engine.encode_more(behind_thought(closing).removeprefix("\n") + request.prompt.prefill)
    opening = next(begin for begin, end in TAGS if end == closing)
    actions = (
        replace(
            request,
            prompt_ids=(*ids, *one.token_ids, *behind),
            n=1,
            sampling=replace(request.sampling, max_tokens=request.sampling.max_tokens - one.tokens),
            # Thought and action of a sample need different random numbers; one seed would draw both from one
            # stream.
            seed=derive_stream(request.seed, "act", str(sample)),
        )
        for sample, one in enumerate(completions)
    )
    return [
        _Thought(f"{opening}\n{one.text.strip()}\n{closing}\n\n", one, action, len(behind))
        for one, action in zip(completions, actions, strict=True)
    ]


def _acted(engine: Any, actions: Sequence[Generate]) -> list[Completion]:
    """Answers actions; empty where a thought has filled the context, for it was sampled and is paid for."""
    try:
        return [completion for (completion,) in engine.generate(actions)]
    except PromptTooLongError:  # raised before anything is computed
        if len(actions) == 1:
            return [Completion("", (), 0, 0.0, "length")]
        return [completion for one in actions for completion in _acted(engine, [one])]


def _proposal(thought: _Thought, action: Completion) -> Proposal:
    return Proposal(
        thought.text + thought.action.prompt.opening + action.text,
        thought.completion.tokens + action.tokens,
        action.logprob,
        action.token_ids,
        action.finish,
        # As one prompt: the engine reads that of the thought a second time, which a search does not pay for.
        thought.completion.prompt_tokens + thought.behind,
        thought.completion.cached_tokens,
    )
