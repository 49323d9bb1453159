"""π_θ as a language model: states become prompts, continuations become proposals."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

from o1coder_gym.errors import UsageError
from o1coder_gym.policies.engine import Completion, Counters, Engine, Generate
from o1coder_gym.policies.thoughts import LEAST_FOR_ACTION, think_a_step, think_first
from o1coder_gym.steps.formats import PSEUDOCODE, Prompt, StepFormat, read_answer
from o1coder_gym.types import ActionType, PolicyRequest, Problem, Proposal, State, Step

_REMEMBERED_PROMPTS = 4096


class LanguageModelPolicy:
    """Samples reasoning steps from an engine in a step format."""

    def __init__(
        self,
        engine: Engine,
        step_format: StepFormat = PSEUDOCODE,
        *,
        think_tokens: int = 0,
        think_step: bool = False,
        remembered: int | None = _REMEMBERED_PROMPTS,
    ) -> None:
        """Puts an engine behind a format.

        Args:
            engine: May be shared between policies.
            step_format: The format of the steps.
            think_tokens: Tokens that a thought before each action may take, out of those of the action; 0
                closes the thoughts of models that think.
            think_step: Whether the first step of a chain is a thought, of `think_tokens` at most, if these
                are not 0; all later thoughts are closed.
            remembered: Prompts kept, the latest; None keeps all until `forget`.

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
        self._prompt_ids: OrderedDict[tuple[Problem, State], tuple[int, ...]] = OrderedDict()
        self._remembered = remembered
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
            found[index] = tuple(self._proposal(requests[index], asked[index], one) for one in completions)
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
        """Drops the prompts of earlier samples: the next ones do not depend on them."""
        with self._lock:
            self._prompt_ids.clear()

    def prompt_ids(self, problem: Problem, state: State) -> tuple[int, ...]:
        """Returns the prompt of a state as token ids: its parent's extended, if that was generated here."""
        with self._lock:
            if ids := self._prompt_ids.get((problem, state)):
                self._prompt_ids.move_to_end((problem, state))
                return ids
        ids = self.engine.encode(self.step_format.prompt(problem, state))
        self._remember(problem, state, ids)
        return ids

    def _generate(self, request: PolicyRequest) -> Generate:
        if request.question is not None:
            asked = Prompt((("user", request.question),), "", "")
            ids = self.engine.encode(asked)
            return Generate(asked, ids, request.n, request.sampling, request.seed, _no_boundary)
        prompt = self.step_format.prompt(request.problem, request.state)
        ids = self.prompt_ids(request.problem, request.state)
        boundary, entry_point = self.step_format.boundary, request.problem.entry_point
        read = partial(read_answer, self.step_format, prompt.opening, entry_point)
        return Generate(prompt, ids, request.n, request.sampling, request.seed, boundary, read)

    def _proposal(self, request: PolicyRequest, generate: Generate, completion: Completion) -> Proposal:
        action = completion.text if completion.opened else generate.prompt.opening + completion.text
        # A text that ends at once has no tokens, and its child's prompt still extends these.
        has_ids = completion.token_ids or (generate.prompt_ids and not completion.text)
        if has_ids and request.question is None:
            self._remember_child(request, generate, completion, action)
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

    def _remember_child(
        self, request: PolicyRequest, generate: Generate, completion: Completion, action: str
    ) -> None:
        """Prompt of the child = prompt of the parent ∘ what was generated ∘ the next opening."""
        step = self.step_format.parse(action)
        # Code ends the episode: nothing follows, so there is no child to prompt.
        if step.type is ActionType.CODE:
            return
        child = request.state.then(step)
        # Steps are parted by one blank line, of which the model may have written a part itself.
        newlines = "\n" * max(0, 2 - (len(action) - len(action.rstrip("\n"))))
        # Ids are appended, not encoded again: tokenizing the joined text could merge tokens across the
        # boundary, and then neither the kept prefix nor the sampled log-probabilities would fit it.
        joint = newlines + self.step_format.prompt(request.problem, child).opening
        ids = (*generate.prompt_ids, *completion.token_ids, *self.engine.encode_more(joint))
        self._remember(request.problem, child, ids)

    def _remember(self, problem: Problem, state: State, ids: tuple[int, ...]) -> None:
        with self._lock:
            # The first one stays: an equal step sampled with other tokens must not change the prompt of a
            # state.
            self._prompt_ids.setdefault((problem, state), ids)
            while self._remembered is not None and len(self._prompt_ids) > self._remembered:
                self._prompt_ids.popitem(last=False)


def _no_boundary(text: str) -> None:
    """Returns no boundary: a plain answer ends where the model ends it."""


def _has_define_steps(step_format: StepFormat) -> bool:
    return step_format.parse(step_format.render(Step(ActionType.DEFINE, "plan"), 1)).type is ActionType.DEFINE
