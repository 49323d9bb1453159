"""Inspect: any problem set as a task, its scorer over the sandboxed judge, and search agents as solvers.

    inspect eval o1coder_gym/o1coder -T problems=humaneval --model openai/gpt-5
    inspect eval o1coder_gym/o1coder -T problems=mbpp --solver o1coder_gym/agent -S agent=mcts --model none

Programs are scored by hidden tests; a masked score is Inspect's ``unscored``. Needs inspect-ai 0.3.285.
"""

# pyright: reportCallIssue=false, reportGeneralTypeIssues=false
# (where inspect-ai is not installed this file itself is taken for it)

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from functools import lru_cache

from inspect_ai import Task, task  # pyright: ignore[reportMissingImports]
from inspect_ai.dataset import MemoryDataset, Sample  # pyright: ignore[reportMissingImports]
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, ModelOutput  # pyright: ignore[reportMissingImports]
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer, stderr  # pyright: ignore[reportMissingImports]
from inspect_ai.solver import Generate, Solver, TaskState, generate, solver  # pyright: ignore[reportMissingImports]

from o1coder_gym.adapters.evaluation import Exam, load_exam
from o1coder_gym.adapters.scoring import score_all_async
from o1coder_gym.agents import Driver, Feed, TaskResult, load_agent
from o1coder_gym.agents import Task as Search
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import InfrastructureError, UnknownNameError, UsageError
from o1coder_gym.policies import load_policy
from o1coder_gym.prm import load_scorer
from o1coder_gym.problems.answers.solutions import program_in
from o1coder_gym.runs.budget import Budget
from o1coder_gym.sandbox import shared_judge
from o1coder_gym.steps.formats import VANILLA, load_format
from o1coder_gym.types import ActionType, Problem, State, Step


@task
def o1coder(problems: str = "starter", split: str | None = None) -> Task:
    """A problem set: the question is shown, the hidden tests decide.

    Args:
        problems: Name or path of a problem set.
        split: Split of the set.
    """
    exam = load_exam(problems, split)
    samples = [_sample(problem, problems, split) for problem in exam.problems.values()]
    return Task(dataset=MemoryDataset(samples, name=problems), solver=generate(), scorer=hidden_tests())


@scorer(metrics=[accuracy(), stderr()])
def hidden_tests() -> Scorer:
    """Scores the program of an answer: correct iff all hidden tests pass."""

    async def score(state: TaskState, target: Target) -> Score:
        truth = _exam(state).truths[str(state.sample_id)]
        program = program_in(state.output.completion, truth.entry_point)
        (found,) = await score_all_async([(program, truth)])
        told = {"answer": program, "explanation": found.error or None, "metadata": {"outcome": found.outcome}}
        if found.masked:
            return Score.unscored(reason="scoring_failed", **told)
        return Score(value="C" if found.reward else "I", **told)

    return score


@solver
def agent(
    agent: str = "mcts",
    policy: str = "hf:qwen2.5-coder-0.5b",
    format: str = "pseudocode",
    scorer: str = "heuristic",
    tokens: int = 2048,
) -> Solver:
    """A search agent of this project: it proposes by its own policy and sees public tests alone.

    Args:
        agent: Agent spec, e.g. ``mcts?width=4``.
        policy: Policy spec.
        format: Step format.
        scorer: Step scorer.
        tokens: Generated tokens per problem.
    """
    strategy = load_agent(agent)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        problem = _exam(state).problems[str(state.sample_id)]
        searches = _searches(state.metadata["problems"], state.metadata["split"], policy, format, scorer)
        # The budget too: evaluations of one process share the driver, which takes a key once at a time.
        name = f"{agent} @ {tokens} epoch {state.epoch}"
        order = Search(problem.task_id, strategy, Budget(tokens=tokens), name, seed=state.epoch)
        found = await asyncio.wrap_future(searches.begin(order))
        if found.error is not None and found.result is None:
            raise found.error
        code = (found.result.code if found.result else None) or ""
        text = VANILLA.render(Step(ActionType.CODE, code), 1) if code else ""
        state.output = ModelOutput.from_content(model=agent, content=text)
        return state

    return solve


class _Searches:
    """One driver for all samples, so that their searches are batched together."""

    def __init__(self, driver: Driver) -> None:
        self._feed = Feed()
        self._found: dict[str, Future[TaskResult]] = {}
        threading.Thread(target=self._work, args=(driver,), daemon=True).start()

    def begin(self, search: Search) -> Future[TaskResult]:
        future = self._found[search.key] = Future()
        self._feed.put(search)
        return future

    def _work(self, driver: Driver) -> None:
        try:
            for result in driver.stream(self._feed):
                self._found.pop(result.task.key).set_result(result)
        finally:  # a driver that fails ends all that wait for it
            self._feed.close()
            for future in [*self._found.values()]:
                future.set_exception(InfrastructureError("the search failed; its traceback says why"))


@lru_cache(maxsize=8)
def _searches(problems: str, split: str | None, policy: str, format: str, scorer: str) -> _Searches:
    exam = load_exam(problems, split)
    model = ReasoningModel(exam.problems.values(), shared_judge(), format=load_format(format))
    return _Searches(Driver(model, load_policy(policy, format=format), load_scorer(scorer)))


def _exam(state: TaskState) -> Exam:
    """Returns the problem set of a sample.

    Raises:
        UsageError: When it is no sample of `o1coder`.
    """
    if not {"problems", "split"} <= state.metadata.keys():
        raise UsageError("field 'metadata.problems': missing: this is no sample of o1coder_gym/o1coder")
    exam = load_exam(state.metadata["problems"], state.metadata["split"])
    if str(state.sample_id) not in exam.problems:
        raise UnknownNameError("sample", str(state.sample_id))
    return exam


def _sample(problem: Problem, problems: str, split: str | None) -> Sample:
    turns = VANILLA.prompt(problem, State(problem.task_id)).messages
    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser}
    messages = [kinds[role](content=content) for role, content in turns]
    return Sample(input=messages, id=problem.task_id, metadata={"problems": problems, "split": split})
