"""The decision process: the one place where actions are parsed, judged, rewarded and episodes end.

B is the batch: the pairs (state, action) of one call.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from o1coder_gym.envs import feedback
from o1coder_gym.errors import ScorerError, UnknownNameError, UsageError
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.rewards import Evidence, Reward, RewardFunction, sparse_outcome
from o1coder_gym.steps.formats import PSEUDOCODE, StepFormat, read_action
from o1coder_gym.tcg.adversary.disturbance import disturbed
from o1coder_gym.tcg.checking.execution import OutputJudge, Program, observe
from o1coder_gym.tcg.checking.question_comparison import as_compared
from o1coder_gym.types import (
    ActionType,
    CaseResult,
    Limits,
    Outcome,
    Problem,
    State,
    Submission,
    Tests,
    Transition,
    Verdict,
)
from o1coder_gym.types.protocols import Judge, StepScorer
from o1coder_gym.types.queries import Execute, Executed

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

CACHE_ENTRIES = 1 << 16
"""Maximum number of cached verdicts, and of step scores; the oldest entry is evicted first."""


class ReasoningModel:
    """T, R and the end of episodes for a set of problems (implements `protocols.Model`).

    An action is the text of one step. A step that cannot be read stays in the chain and is answered by
    feedback; a code step commits its program, which is judged, and ends the episode. So does the step that
    reaches `max_steps` without code. Both are `terminated`: the depth is part of the state and the end is
    paid for, so there is no later value for a learner to bootstrap from. `advance` is pure: equal inputs
    give equal transitions. Verdicts are cached by (problem, code), step scores by state; a failure of the
    judge itself is never cached, has a NaN reward and `Outcome.INFRASTRUCTURE`.

    The model knows public tests and those given as `tests`, never hidden ones. It is a handle: copies and
    forks of whatever holds it share it. It pickles, without its caches, if its judge and scorer do.

    Attributes:
        format: How actions are written.
        max_steps: Longest chain, ≥ 1.
        task_ids: The problems, in the order given.
    """

    def __init__(
        self,
        problems: Iterable[Problem],
        judge: Judge,
        *,
        format: StepFormat = PSEUDOCODE,
        max_steps: int = 8,
        reward: RewardFunction = sparse_outcome,
        scorer: StepScorer | None = None,
        tests: Mapping[str, Tests] | None = None,
        limits: Limits = Limits(),
    ) -> None:
        """Builds the process over `problems`.

        Args:
            problems: The questions, with unique task ids.
            judge: Runs committed programs.
            format: Step format.
            max_steps: Step limit, ≥ 1.
            reward: One of `rewards.REWARDS` with its constants fixed, or your own.
            scorer: ρ_PRM for the process terms; without it they are 0. Malformed steps score 0 unseen.
            tests: Further tests by task id, e.g. generated ones; judged after the public tests.
            limits: Bounds on one run of a program.

        Raises:
            UsageError: When a task id occurs twice, there is no problem, or `max_steps` < 1.
        """
        self._problems = _by_id(problems)
        if max_steps < 1:
            raise UsageError(f"max_steps must be at least 1, got {max_steps}")
        self._judge = judge
        self.format = format
        self.max_steps = max_steps
        self.task_ids = tuple(self._problems)
        self._reward = reward
        self._scorer = scorer
        self._limits = limits
        extra = tests or {}
        self._tests = {
            task_id: (*problem.public_tests, *extra.get(task_id, ()))
            for task_id, problem in self._problems.items()
        }
        self._verdicts: dict[tuple[str, str], tuple[Verdict, str]] = {}
        self._process: dict[State, tuple[float, ...]] = {}
        self._away: dict[tuple[str, str], Future[tuple[Verdict, str]]] = {}
        self._lock = threading.Lock()

    @property
    def parallel(self) -> int:
        """Calls of `advance` that may usefully be in progress at the same time: what its judge merges."""
        return int(getattr(self._judge, "parallel", 1))

    def forget_scores(self) -> None:
        """Clears cached scores and the scorer's own cache, on which later scores depend by rounding."""
        self._process.clear()
        forget = getattr(self._scorer, "forget", None)
        if forget is not None:
            forget()

    def initial(self, task_id: str, /) -> State:
        """Returns s_0 of a problem.

        Raises:
            UnknownNameError: When there is no such problem.
        """
        return State(self.problem(task_id).task_id)

    def problem(self, task_id: str, /) -> Problem:
        """Returns the problem called `task_id`.

        Raises:
            UnknownNameError: When there is no such problem.
        """
        if task_id not in self._problems:
            raise UnknownNameError("task", task_id, self.task_ids[:10])
        return self._problems[task_id]

    def advance(self, pairs: Sequence[tuple[State, str]], /) -> list[Transition]:
        """Takes one action in each state: s_{t+1} = s_t ∘ a_t; committed programs are judged in one batch.

        Args:
            pairs: B unfinished states, each with the text of an action.

        Returns:
            B transitions, in order.

        Raises:
            UsageError: When a state is finished already.
            UnknownNameError: When a state is not of this model's problems.
            ScorerError: When the scorer returns something that is not a number in [0, 1].
        """
        states = [self._append(state, action) for state, action in pairs]
        verdicts = self._judged(states)
        with self._lock:  # scorers are for one thread
            process = self._scored(states)
        return [
            self._transition(state, action, judged, rewards)
            for state, (_, action), judged, rewards in zip(states, pairs, verdicts, process, strict=True)
        ]

    def execute(self, runs: Sequence[Execute], /) -> list[Executed]:
        """Runs programs on inputs in one batch, within the limits of their problems, uncached.

        Args:
            runs: Programs of this model's problems, with inputs.

        Returns:
            Results of each: what the question's tests compare of them, as in ``sorted(f(x))``. A program is
            not run on the inputs behind one on which it hangs.

        Raises:
            UsageError: When the judge cannot tell what programs return.
        """
        judge = self._judge
        if not isinstance(judge, OutputJudge):
            raise UsageError(f"a {type(judge).__name__} does not tell what programs return (outputs)")
        programs = []
        for run in runs:
            problem, (code,) = as_compared(self.problem(run.state.problem_id), [run.state.code or ""])
            programs.append(Program(disturbed(problem, code, run.surroundings), code, run.inputs))
        return [
            Executed(tuple(CaseResult(one.outcome, one.output, one.error) for one in seen))
            for seen in observe(judge, programs, rounds=1)
        ]

    def stopped(self, states: Sequence[State]) -> list[Reward]:
        """Returns the reward of the last step of a chain if the policy stops there, without code.

        An unfinished chain is rewarded as if the step limit cut it there: R is `tau_fail`. This replaces the
        reward that the step got while the episode could still continue.

        Args:
            states: B unfinished states.

        Returns:
            B rewards, in order; that of an empty chain is the reward of no evidence.
        """
        with self._lock:
            scored = self._scored(states)
        return [self._reward(Evidence(process, None, truncated=True)) for process in scored]

    def first_reward_terms(self) -> dict[str, float]:
        """Returns the reward terms of an episode in which nothing has been done yet."""
        return dict(self._reward(Evidence(())).terms)

    def with_reward(self, reward: RewardFunction) -> ReasoningModel:
        """Returns this model under another reward; problems, handles and caches are shared."""
        # Not through __init__: judge, caches and tests are to be the same objects.
        model = object.__new__(ReasoningModel)
        model.__dict__.update(self.__dict__)
        model._reward = reward
        return model

    def with_problems(self, problems: Iterable[Problem]) -> ReasoningModel:
        """Returns this model over other problems and their public tests; handles and caches are shared.

        A task id must name the same problem in all models that share the caches.

        Raises:
            UsageError: When a task id occurs twice, or there is no problem.
        """
        model = object.__new__(ReasoningModel)
        model.__dict__.update(self.__dict__)
        model._problems = _by_id(problems)
        model.task_ids = tuple(model._problems)
        model._tests = {task_id: problem.public_tests for task_id, problem in model._problems.items()}
        return model

    def __copy__(self) -> ReasoningModel:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ReasoningModel:
        return self

    def __getstate__(self) -> dict[str, Any]:
        # Caches only save time, and neither futures nor locks can be pickled.
        return {**self.__dict__, "_verdicts": {}, "_process": {}, "_away": {}, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def _append(self, state: State, action: str) -> State:
        if state.code is not None or len(state.steps) >= self.max_steps:
            raise UsageError(f"the episode of {state.problem_id!r} is over; no step can follow")
        if state.problem_id not in self._problems:
            raise UnknownNameError("task", state.problem_id, self.task_ids[:10])
        return state.then(read_action(self.format, action, self._problems[state.problem_id].entry_point))

    def _judged(self, states: Sequence[State]) -> list[tuple[Verdict, str] | None]:
        """Returns verdict and feedback of each state that committed code; new programs in one batch."""
        keys = [(state.problem_id, code) if (code := state.code) is not None else None for state in states]
        # Each distinct program once, whatever rollouts came to it: judging is what a step costs.
        wanted = [key for key in dict.fromkeys(keys) if key is not None]
        with self._lock:
            # Kept here at once: a batch larger than the cache, or another thread, evicts what is in it.
            found = {key: self._verdicts[key] for key in wanted if key in self._verdicts}
            others = {key: self._away[key] for key in wanted if key in self._away}
            new = [key for key in wanted if key not in found and key not in others]
            self._away.update((key, Future()) for key in new)
        if new:
            found |= self._judged_now(new)
        # After the own ones: two threads that wait for each other first would deadlock.
        found |= {key: future.result() for key, future in others.items()}
        return [None if key is None else found[key] for key in keys]

    def _judged_now(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[Verdict, str]]:
        """Judges programs, for this thread and for those that wait for the same."""
        try:
            verdicts = self._judge.evaluate([self._submission(*key) for key in keys])
            told = {
                key: (verdict, feedback.describe(self._problems[key[0]], verdict))
                for key, verdict in zip(keys, verdicts, strict=True)
            }
        except BaseException as error:
            for key in keys:
                self._away.pop(key).set_exception(error)
            raise
        with self._lock:
            for key, judged in told.items():
                # A failure of the judge may pass: the next call tries again.
                if judged[0].outcome is not Outcome.INFRASTRUCTURE:
                    _remember(self._verdicts, key, judged)
                self._away.pop(key).set_result(judged)
        return told

    def _submission(self, task_id: str, code: str) -> Submission:
        return submission(self._problems[task_id], code, self._tests[task_id], self._limits)

    def _scored(self, states: Sequence[State]) -> list[tuple[float, ...]]:
        """Returns r^{1:t} of each state; steps not scored before go to the scorer in one batch."""
        if self._scorer is None:
            return [(0.0,) * len(state.steps) for state in states]
        known = {state: self._process[state] for state in states if state in self._process}
        # Shortest prefixes first, so that a parent's scores are known when its child's are put behind them.
        new = list(dict.fromkeys(prefix for state in states for prefix in self._unscored_prefixes(state)))
        for state in new:
            parent = _parent(state)
            known.setdefault(parent, self._process.get(parent, ()))
        # Malformed steps are 0 by rule, and are never shown to the scorer.
        values = iter(self._ask_scorer([state for state in new if not _is_malformed(state)]))
        for state in new:
            value = 0.0 if _is_malformed(state) else next(values)
            known[state] = (*known[_parent(state)], value)
            _remember(self._process, state, known[state])
        return [known[state] if state.steps else () for state in states]

    def _unscored_prefixes(self, state: State) -> list[State]:
        """Returns the prefixes of `state`, itself included, that are not cached; shortest first."""
        prefixes = []
        while state.steps and state not in self._process:
            prefixes.append(state)
            state = _parent(state)
        return prefixes[::-1]

    def _ask_scorer(self, states: Sequence[State]) -> list[float]:
        if not states or self._scorer is None:
            return []
        scores = self._scorer.score([(self.problem(state.problem_id), state) for state in states])
        if len(scores) != len(states):
            raise ScorerError(f"asked for {len(states)} scores, got {len(scores)}")
        for state, score in zip(states, scores, strict=True):
            if not 0.0 <= score <= 1.0:
                raise ScorerError(f"a step of {state.problem_id!r} was scored {score!r}, not in [0, 1]")
        return [float(score) for score in scores]

    def _transition(
        self,
        state: State,
        action: str,
        judged: tuple[Verdict, str] | None,
        process: tuple[float, ...],
    ) -> Transition:
        verdict, told = judged or (None, "")
        # The step limit ends the process itself (`terminated`): depth is part of the state.
        at_limit = verdict is None and len(state.steps) >= self.max_steps
        if _is_malformed(state):
            told = self.format.complaint(action)
        reward = self._reward(Evidence(process, verdict, at_limit))
        failed = verdict is not None and verdict.outcome is Outcome.INFRASTRUCTURE
        return Transition(
            state=state,
            # NaN, not 0: what the judge could not decide is masked, not learned as a failed program.
            reward=math.nan if failed else reward.value,
            terminated=verdict is not None or at_limit,
            truncated=False,
            feedback=told,
            verdict=verdict,
            reward_terms=reward.terms,
        )


def _by_id(problems: Iterable[Problem]) -> dict[str, Problem]:
    found: dict[str, Problem] = {}
    for problem in problems:
        if problem.task_id in found:
            raise UsageError(f"task id {problem.task_id!r} occurs twice")
        found[problem.task_id] = problem
    if not found:
        raise UsageError("a reasoning model needs at least one problem")
    return found


def _parent(state: State) -> State:
    return State(state.problem_id, state.steps[:-1])


def _is_malformed(state: State) -> bool:
    return bool(state.steps) and state.steps[-1].type is ActionType.MALFORMED


def _remember(cache: dict[Key, Value], key: Key, value: Value) -> None:
    # The oldest entry goes: a dict keeps the order of insertion.
    if len(cache) >= CACHE_ENTRIES:
        cache.pop(next(iter(cache)), None)
    cache[key] = value
