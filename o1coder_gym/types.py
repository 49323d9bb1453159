"""The data types of the decision process: frozen values without behaviour beyond serialization.

The Markov decision process is that of O1-CODER (arXiv 2412.00154, section 2): a state is the
question and the reasoning steps so far, an action is one reasoning step written as text.
"""

from __future__ import annotations

import enum
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class CallTest:
    """Calls the entry point and compares what it returns.

    Attributes:
        args: Python literal of the list of positional arguments, e.g. ``"[1, 2]"``.
        expected: Python literal of the expected return value.
        tol: Absolute and relative tolerance for floats; None means the judge's default.
        compare: Which results count as equal, by a name of `sandbox/values/policies.py`; None means
            equal types and values, floats within `tol`.
    """

    args: str
    expected: str
    tol: float | None = None
    compare: str | None = None


@dataclass(frozen=True, slots=True)
class AssertTest:
    """One or more assert statements that name the entry point directly (MBPP's form)."""

    code: str


@dataclass(frozen=True, slots=True)
class CheckTest:
    """A function ``check(candidate)`` that raises if the candidate is wrong (HumanEval's form)."""

    code: str


@dataclass(frozen=True, slots=True)
class StdioTest:
    """Runs the whole program on `stdin` and compares its standard output with `stdout`.

    Attributes:
        stdin: What the program reads.
        stdout: What it should print.
        compare: Which outputs count as equal, by a name of `sandbox/values/policies.py`; None means
            ``lines``.
    """

    stdin: str
    stdout: str
    compare: str | None = None


@dataclass(frozen=True, slots=True)
class CheckerTest:
    """Runs the whole program on `stdin` and has another program say whether its output is right.

    Attributes:
        stdin: What the program reads.
        checker: A Python program, as confined as what it checks. Either it defines
            ``check(input, output, expected)``, which returns whether the output is right; or it is a
            script that is given the names of three files, of the input, the expected output and the
            output, and prints 1 (or ``ok``, ``accepted``, ``true``) if that is right.
        stdout: A right output, for the checker to compare with; empty if it needs none.
    """

    stdin: str
    checker: str
    stdout: str = ""


TestCase: TypeAlias = CallTest | AssertTest | CheckTest | StdioTest | CheckerTest


@dataclass(frozen=True, slots=True)
class Problem:
    """A programming question as search, training and environments may see it.

    It carries neither the hidden tests nor the reference solution (see `problems/hidden_tests.py`).

    Attributes:
        task_id: Unique in its problem set, e.g. ``"HumanEval/0"``.
        prompt: The question: text, or a function's signature and docstring.
        entry_point: Name of the function to define; None for whole programs (stdio tests).
        public_tests: Tests that the question shows or implies.
        meta: JSON-able extras, e.g. ``{"split": "test", "difficulty": "easy"}``.
        prelude: What is run before each program of this problem, as its platform does: imports, classes,
            helpers of the prompt. Programs see it; the entry point must be their own.
    """

    task_id: str
    prompt: str
    entry_point: str | None = None
    public_tests: tuple[TestCase, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict, hash=False)
    prelude: str = ""


class ActionType(enum.IntEnum):
    """The paper's three actions, and the one a free-text agent can always take by mistake."""

    MALFORMED = 0
    """Text in which no step could be read; it stays in the state and is answered by feedback."""
    DEFINE = 1
    """Define the structure of the algorithm in pseudocode."""
    REFINE = 2
    """Refine part of the pseudocode."""
    CODE = 3
    """Generate Python code from the pseudocode; ends the episode."""
    HELPER = 4
    """Write a function that the program will call; the program is all helpers and the code."""


@dataclass(frozen=True, slots=True)
class Step:
    """One reasoning step S^j.

    Attributes:
        type: Which of the actions it is.
        text: Its body without header; for `CODE` and `HELPER` the bare program without fences.
    """

    type: ActionType
    text: str


@dataclass(frozen=True, slots=True)
class State:
    """s_t: the problem and the steps so far. Hashable; branching needs no copies.

    Attributes:
        problem_id: `Problem.task_id`.
        steps: S^{1:t}, oldest first.
    """

    problem_id: str
    steps: tuple[Step, ...] = ()

    def then(self, step: Step) -> State:
        """Returns s_{t+1} = s_t ∘ a_t."""
        return State(self.problem_id, (*self.steps, step))

    @property
    def depth(self) -> int:
        """Number of steps taken."""
        return len(self.steps)

    @property
    def code(self) -> str | None:
        """The committed program, its helpers first; None while the last step is not a code step."""
        if not self.steps or self.steps[-1].type is not ActionType.CODE:
            return None
        helpers = [step.text for step in self.steps if step.type is ActionType.HELPER]
        return "\n\n\n".join([*helpers, self.steps[-1].text])

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict; `from_row` is its inverse."""
        return {
            "problem_id": self.problem_id,
            "steps": [[int(step.type), step.text] for step in self.steps],
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> State:
        """Reads what `to_row` wrote.

        Raises:
            KeyError, ValueError, TypeError: When the row is not one that `to_row` wrote.
        """
        return cls(row["problem_id"], tuple(Step(ActionType(kind), text) for kind, text in row["steps"]))


@dataclass(frozen=True, slots=True)
class Sampling:
    """How actions are drawn from a policy.

    Attributes:
        temperature: 0 is greedy decoding.
        top_p: Nucleus mass in (0, 1].
        top_k: Only the k most likely tokens are candidates; 0 means all of them.
        max_tokens: Upper bound of generated tokens per action.
    """

    temperature: float = 0.8
    top_p: float = 0.95
    top_k: int = 50
    max_tokens: int = 384


GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0)

Finish: TypeAlias = Literal["stop", "length", "budget"]
"""Why a sample ended.

``"stop"``: at a step boundary or at the end of the model's text. ``"length"``: at the limit of the
sampling itself or of the context; a failure of the policy like any other. ``"budget"``: at a limit below
the one that was asked for, because the budget paid for no more; an accident that says nothing about the
policy, so that such a sample is paid for and recorded but never taken, judged or learned from.
"""

Author: TypeAlias = Literal["policy", "agent"]
"""Who wrote a step: the policy, as a sample, or the search itself, as a note to the policy."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One action sampled by a policy.

    Attributes:
        text: The whole action as `ReasoningModel.advance` takes it, header included.
        tokens: Number of generated tokens, the unit of budgets; ≥ 0, more than asked for where a server
            ignores ``max_tokens``.
        logprob: Sum of the log-probabilities of the `kept_tokens`, ≤ 0, under the model's own
            distribution (temperature 1, no truncation); None where a backend cannot tell.
        token_ids: The tokens of `text` behind its opening, empty where a backend does not expose them.
        finish: Why it ended; policies say ``"stop"`` or ``"length"``, the driver knows the budget.
        prompt_tokens: Prompt tokens computed for it; what samples of one request share counts at the
            first of them. 0 where a backend cannot tell.
        cached_tokens: Prompt tokens whose computation was reused, likewise.
        sampled_ids: All tokens that were sampled, also those that only showed where the action or the text
            ends, which training must learn too; empty where a backend does not expose them.
        sampled_logprobs: Of `sampled_ids`, as `logprob`.
    """

    text: str
    tokens: int
    logprob: float | None = None
    token_ids: tuple[int, ...] = ()
    finish: Finish = "stop"
    prompt_tokens: int = field(default=0, compare=False)
    cached_tokens: int = field(default=0, compare=False)
    sampled_ids: tuple[int, ...] = field(default=(), compare=False, repr=False)
    sampled_logprobs: tuple[float, ...] = field(default=(), compare=False, repr=False)

    @property
    def kept_tokens(self) -> int:
        """Tokens that `logprob` sums over: `token_ids`, or all of them where a backend exposes no ids.

        Tokens that only showed where the action ends are generated and paid for, but are no part of it; a
        mean over them too would favour short actions.
        """
        return len(self.token_ids) or self.tokens


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """A request for `n` actions in one state.

    Attributes:
        problem: The question that `state` belongs to.
        state: The state to act in.
        n: Number of actions, ≥ 1; sampled in one call.
        sampling: Sampling parameters.
        seed: Determines the samples on exact backends, independently of the rest of the batch.
        question: Asked in place of the next step (`queries.Ask`); the answers are plain text. None asks for
            steps.
    """

    problem: Problem
    state: State
    n: int = 1
    sampling: Sampling = Sampling()
    seed: int = 0
    question: str | None = None


class Outcome(enum.StrEnum):
    """The result of running a program, by these names everywhere."""

    PASS = "pass"
    WRONG_ANSWER = "wrong_answer"
    RUNTIME_ERROR = "runtime_error"
    COMPILE_ERROR = "compile_error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    NO_TESTS = "no_tests"
    """The program loads, and there was nothing to test it with: neither solved nor failed, never a reward."""
    UNSUPPORTED = "unsupported"
    """The test asks for what cannot be judged here, whatever the program: neither solved nor failed."""
    INFRASTRUCTURE = "infrastructure"
    """Our failure, not the program's: retried, then masked, never a reward."""

    @property
    def decided(self) -> bool:
        """Whether it says if the program is right; what it does not decide is masked, never counted as 0."""
        return self not in (Outcome.NO_TESTS, Outcome.UNSUPPORTED, Outcome.INFRASTRUCTURE)

    def after(self, tests: int) -> Outcome:
        """Returns the outcome as that many tests can show it: a pass of none is `NO_TESTS`."""
        return Outcome.NO_TESTS if self is Outcome.PASS and not tests else self


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one run of a program.

    Attributes:
        cpu_s: CPU seconds for each test; this one decides.
        wall_s: Wall-clock backstop in seconds for each test, well above `cpu_s` so that load decides nothing.
        memory_bytes: Address space above the baseline of the interpreter, for each test.
        stdout_bytes: Standard output of a test beyond twice the expected one; more is an error.
        result_bytes: Encoded results of a submission beyond twice the expected ones; more is an error.
        total_cpu_s: CPU seconds for all tests of a submission together, a cap that right programs do not
            meet; at least `cpu_s` is granted, and in proportion more for more than thirty tests.
    """

    cpu_s: float = 2.0
    wall_s: float = 10.0
    memory_bytes: int = 512 << 20
    stdout_bytes: int = 4 << 20
    result_bytes: int = 1 << 20
    total_cpu_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Submission:
    """One program to be judged.

    Attributes:
        code: Python source, untrusted.
        entry_point: Function that call, assert and check tests use; None for stdio tests.
        tests: What it is run against; empty means: only that it loads and defines `entry_point`.
        limits: Bounds for this item.
        prelude: Run before the program, see `Problem.prelude`.
    """

    code: str
    entry_point: str | None
    tests: tuple[TestCase, ...]
    limits: Limits = Limits()
    prelude: str = ""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The result of one test.

    Attributes:
        outcome: How it ended; tests that were skipped after a failure share the outcome of that failure.
        got: Bounded repr of the value that the program returned or printed; None if unknown.
        error: Exception type and message, bounded; empty if there was none.
    """

    outcome: Outcome
    got: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's answer to one submission.

    Attributes:
        outcome: `PASS` iff there are tests and all passed; `NO_TESTS` if there are none and the program
            loads; else the first failure by severity of the whole run.
        tests: One result per test, in order.
        cpu_s: CPU seconds used; varies from run to run, so it never enters an observation.
        error: One line on what went wrong, empty on a pass.
    """

    outcome: Outcome
    tests: tuple[CaseResult, ...] = ()
    cpu_s: float = 0.0
    error: str = ""

    def __post_init__(self) -> None:
        """Reads a pass of no tests, as judges of one's own and earlier run folders have it, as `NO_TESTS`."""
        # The dataclass is frozen; this runs once, before anyone holds the object.
        object.__setattr__(self, "outcome", self.outcome.after(len(self.tests)))

    @property
    def passed(self) -> int:
        """Number of tests passed."""
        return sum(test.outcome is Outcome.PASS for test in self.tests)

    @property
    def total(self) -> int:
        """Number of tests."""
        return len(self.tests)

    @property
    def pass_ratio(self) -> float:
        """Share of tests passed in [0, 1]; 0.0 of none, which only `Outcome.decided` tells from a failure."""
        return self.passed / self.total if self.tests else 0.0

    @property
    def compiles(self) -> bool:
        """The `compile` bit of the terminal reward."""
        return self.outcome is not Outcome.COMPILE_ERROR


@dataclass(frozen=True, slots=True)
class Transition:
    """T(s, a): the result of one action. Equal inputs give equal transitions, `verdict.cpu_s` aside.

    Attributes:
        state: s_{t+1}.
        reward: Paid for this action under the model's reward mode; NaN if the judge failed for
            reasons of its own (`Outcome.INFRASTRUCTURE`), so that it can only be masked. Without tests
            (`Outcome.NO_TESTS`) nothing is paid for the program.
        terminated: The process ended: code was committed, or the step limit was reached without it.
        truncated: Something outside the process stopped it, e.g. a budget; excludes `terminated`.
        feedback: Message to the agent: malformed action, failed public tests; never hidden ones.
        verdict: Of the committed code on the model's tests; None before code is committed.
        reward_terms: All components of the reward, in [0, 1] each; NaN where they are not known.
        author: Who wrote the step. Set by the driver: ``"agent"`` for a text that was not sampled in the
            state before. A model leaves the default.
        finish: Why the sample that the step is ended, likewise.
    """

    state: State
    reward: float
    terminated: bool
    truncated: bool
    feedback: str = ""
    verdict: Verdict | None = None
    reward_terms: Mapping[str, float] = field(default_factory=dict, hash=False)
    author: Author = "policy"
    finish: Finish = "stop"

    @property
    def done(self) -> bool:
        """Whether the episode is over."""
        return self.terminated or self.truncated


class Scored(float):
    """A score that says what it cost: a float with the number of tokens that the scorer read for it.

    Attributes:
        tokens: Of the whole chain up to the state, ≥ 0, whatever of it was kept: equal scores cost the same.
    """

    tokens: int

    def __new__(cls, value: float, tokens: int = 0) -> Scored:
        """Args: the score, in [0, 1], and its tokens."""
        scored = super().__new__(cls, value)
        scored.tokens = tokens
        return scored


_COUNTED_SINCE = frozenset({"scores", "retries", "scorer_tokens", "flops"})
"""Costs that the rows of the first versions do not have."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Resources spent on a search; instances add field by field.

    Attributes:
        tokens: Generated (completion) tokens, the unit of equal budgets.
        prompt_tokens: Prompt tokens computed, not counting `cached_tokens`.
        cached_tokens: Prompt tokens whose computation was reused.
        calls: Actions sampled (a request for n actions counts n).
        executions: Programs judged; an answer from a cache counts too, or equal budgets would not be equal.
        seconds: Wall-clock seconds.
        scores: States scored by the step scorer.
        retries: Requests sent again, alone, because the batch that they were in had failed.
        scorer_tokens: Tokens that the step scorer read.
        flops: FLOPs of policy and scorer, see `runs.budget.Budget`; 0 where the policy's size is not known.
    """

    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    calls: int = 0
    executions: int = 0
    seconds: float = 0.0
    scores: int = 0
    retries: int = 0
    scorer_tokens: int = 0
    flops: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Adds field by field."""
        return Usage(*map(operator.add, self._costs(), other._costs()))

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict: what earlier versions did not count only where it is not 0."""
        row = asdict(self)
        return {name: cost for name, cost in row.items() if cost or name not in _COUNTED_SINCE}

    def _costs(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True)
class Parting:
    """An input on which the candidate programs of a search disagree.

    Attributes:
        input: Literal of an argument list, or a standard input.
        outputs: The distinct outputs, each with the terminal states whose programs produce it.
        right: The output taken as correct; None if undecided.
        confidence: Share of the votes for `right`, in [0, 1].
    """

    input: str
    outputs: tuple[tuple[str, tuple[State, ...]], ...]
    right: str | None
    confidence: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The final result of a search.

    Attributes:
        state: The chosen terminal state; None if the agent committed no code.
        value: The agent's own estimate of its value, in [0, 1], from public or generated tests only.
        tree: The finished search tree; None for agents that keep none.
        partings: Distinguishing inputs found by an adversary, in order.
    """

    state: State | None
    value: float = 0.0
    tree: Any = field(default=None, compare=False)
    partings: tuple[Parting, ...] = field(default=(), compare=False)

    @property
    def code(self) -> str | None:
        """The chosen program."""
        return self.state.code if self.state else None


@dataclass(frozen=True, slots=True)
class GeneratedTests:
    """Test cases generated for one problem.

    Attributes:
        tests: The parsed test cases, duplicates removed.
        raw: The generator's text output.
        report: Counts by stage, e.g. asked, written, parsed, repaired, duplicate.
        weights: Probability that each test is correct, in [0, 1]; empty if all count alike.
    """

    tests: tuple[TestCase, ...]
    raw: str = ""
    report: Mapping[str, int] = field(default_factory=dict, hash=False)
    weights: tuple[float, ...] = ()


Tests: TypeAlias = Sequence[TestCase]
