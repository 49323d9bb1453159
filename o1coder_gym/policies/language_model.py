"""π_θ as a language model: states become prompts, continuations become proposals."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any

from o1coder_gym.errors import UsageError
from o1coder_gym.policies.engine import Completion, Counters, Engine, Generate
from o1coder_gym.policies.thoughts import LEAST_FOR_ACTION, think_a_step, think_first
from o1coder_gym.steps.formats import PSEUDOCODE, Prompt, StepFormat, read_answer
from o1coder_gym.types import ActionType, PolicyRequest, Problem, Proposal, State, Step

_KEPT_PROMPTS = 4096


class LanguageModelPolicy:
    """Samples reasoning steps from an engine in a step format."""

    def __init__(
        self,
        engine: Engine,
        step_format: StepFormat = PSEUDOCODE,
        *,
        think_tokens: int = 0,
        think_step: bool = False,
    ) -> None:
        """Puts an engine behind a format.

        Args:
            engine: May be shared between policies.
            step_format: The format of the steps.
            think_tokens: Tokens that a thought before each action may take, out of those of the action; 0
                closes the thoughts of models that think.
            think_step: Whether the first step of a chain is a thought, of `think_tokens` at most, if these
                are not 0; all later thoughts are closed.

        Raises:
            UsageError: When the engine cannot let its model think, or the format has no steps to think in.
        """
        if (think_tokens or think_step) and not hasattr(engine, "encode_thought"):
            raise UsageError(f"think_tokens: a {type(engine).__name__} cannot open a thought")
        if think_step and not _has_define_steps(step_format):
            raise UsageError(f"think_step: the format {step_format.name} has no step that a thought could be")
        self.engine = engine
        self.step_format = step_format
        self.think_tokens = think_tokens
        self.think_step = think_step
        self._prompt_ids: OrderedDict[tuple[Problem, State, tuple[Any, ...]], tuple[int, ...]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def counters(self) -> Counters:
        """The engine's work so far, for all policies that share it."""
        return self.engine.counters

    @property
    def parallel(self) -> int:
        """How many `propose` calls may usefully be in flight at the same time."""
        return self.engine.parallel

    @property
    def batch_tokens(self) -> int | None:
        """Σ n · max_tokens that one `propose` call may usefully ask for; None if the engine does not say."""
        return getattr(self.engine, "batch_tokens", None)

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        """Samples `request.n` actions for each request, in one engine call.

        Raises:
            PromptTooLongError: When a prompt does not fit the engine's context.
            PolicyError: When the engine fails.
        """
        asked = [self._generate(request) for request in requests]
        thinks = list(map(self._thinks, requests))
        # Thoughts take two engine calls and the others one, so the batch is parted and put together in order
        # again.
        thinking = [index for index, thinks_now in enumerate(thinks) if thinks_now]
        acting = [index for index, thinks_now in enumerate(thinks) if not thinks_now]
        found: dict[int, tuple[Proposal, ...]] = {}
        if thinking:
            found.update(zip(thinking, self._thought([asked[index] for index in thinking]), strict=True))
        answers = self.engine.generate([asked[index] for index in acting]) if acting or not asked else []
        for index, completions in zip(acting, answers, strict=True):
            found[index] = tuple(_proposal(asked[index], one) for one in completions)
        return [found[index] for index in range(len(asked))]

    def _thinks(self, request: PolicyRequest) -> bool:
        if request.question is not None:
            return False
        if self.think_step:
            return not request.state.steps
        return self.think_tokens > 0 and request.sampling.max_tokens > LEAST_FOR_ACTION

    def _thought(self, asked: Sequence[Generate]) -> list[tuple[Proposal, ...]]:
        if self.think_step:
            return think_a_step(self.engine, asked, self.think_tokens, self.step_format)
        return think_first(self.engine, asked, self.think_tokens)

    def forget(self) -> None:
        """Drops the prompts that are kept; the next samples are the same, and take longer."""
        with self._lock:
            self._prompt_ids.clear()

    def prompt_ids(
        self, problem: Problem, state: State, history: Sequence[Proposal | None] = ()
    ) -> tuple[int, ...]:
        """Returns the prompt of a state as token ids.

        Args:
            problem: The question.
            state: Where the next step is asked for.
            history: As `PolicyRequest.history`; the tokens of a step that has none are encoded from its text.

        Raises:
            UsageError: When it is longer than the state.
        """
        if len(history) > state.depth:
            raise UsageError(f"a history of {len(history)} proposals for a state of {state.depth} steps")
        key = (problem, state, tuple(one and one.token_ids for one in history))
        with self._lock:
            if ids := self._prompt_ids.get(key):
                self._prompt_ids.move_to_end(key)
                return ids
        ids = self._extended(problem, state, history)
        if not ids:
            ids = self.engine.encode(self.step_format.prompt(problem, state))
        with self._lock:
            self._prompt_ids[key] = ids
            while len(self._prompt_ids) > _KEPT_PROMPTS:
                self._prompt_ids.popitem(last=False)
        return ids

    def _extended(
        self, problem: Problem, state: State, history: Sequence[Proposal | None]
    ) -> tuple[int, ...]:
        """Prompt of the parent ∘ what was sampled there ∘ the next opening; () where ids are unknown."""
        last = history[-1] if history else None
        # Behind a thought the ids are those of the action, but the step is shown without the thought.
        if last is None or (self.think_tokens and not self.think_step):
            return ()
        parent = State(state.problem_id, state.steps[:-1])
        # A text that ended at once has no tokens, and its child's prompt still extends its parent's.
        if not last.token_ids and last.text != self.step_format.prompt(problem, parent).opening:
            return ()
        shown = self.prompt_ids(problem, parent, history[:-1])
        if not shown:
            return ()
        # Steps are parted by one blank line, of which the model may have written a part itself.
        newlines = "\n" * max(0, 2 - (len(last.text) - len(last.text.rstrip("\n"))))
        # Ids are appended, not encoded again: tokenizing the joined text could merge tokens across the
        # boundary, and then neither the kept prefix nor the sampled log-probabilities would fit it.
        joint = newlines + self.step_format.prompt(problem, state).opening
        return (*shown, *last.token_ids, *self.engine.encode_more(joint))

    def _generate(self, request: PolicyRequest) -> Generate:
        if request.question is not None:
            asked = Prompt((("user", request.question),), "", "")
            ids = self.engine.encode(asked)
            return Generate(asked, ids, request.n, request.sampling, request.seed, _no_boundary)
        prompt = self.step_format.prompt(request.problem, request.state)
        ids = self.prompt_ids(request.problem, request.state, request.history)
        boundary, entry_point = self.step_format.boundary, request.problem.entry_point
        read = partial(read_answer, self.step_format, prompt.opening, entry_point)
        return Generate(prompt, ids, request.n, request.sampling, request.seed, boundary, read)


def _proposal(generate: Generate, completion: Completion) -> Proposal:
    action = completion.text if completion.opened else generate.prompt.opening + completion.text
    return Proposal(
        action,
        completion.tokens,
        completion.logprob,
        completion.token_ids,
        completion.finish,
        completion.prompt_tokens,
        completion.cached_tokens,
        completion.sampled_ids,
        completion.sampled_logprobs,
    )


def _no_boundary(text: str) -> None:
    """Returns no boundary: a plain answer ends where the model ends it."""


def _has_define_steps(step_format: StepFormat) -> bool:
    return step_format.parse(step_format.render(Step(ActionType.DEFINE, "plan"), 1)).type is ActionType.DEFINE
