"""Inspect: any problem set as a task, its scorer over the sandboxed judge, and search agents as solvers.

    inspect eval o1coder_gym/o1coder -T problems=humaneval --model openai/gpt-5
    inspect eval o1coder_gym/o1coder -T problems=mbpp --solver o1coder_gym/agent -S agent=mcts --model none

Programs are scored by hidden tests; a masked score is Inspect's ``unscored``. Needs inspect-ai 0.3.285.
"""

# pyright: reportCallIssue=false, reportGeneralTypeIssues=false
# (where inspect-ai is not installed this file itself is taken for it)

from __future__ import annotations

import asyncio
from concurrent.futures import Future

from inspect_ai import Task, task  # pyright: ignore[reportMissingImports]
from inspect_ai.dataset import MemoryDataset, Sample  # pyright: ignore[reportMissingImports]
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, ModelOutput  # pyright: ignore[reportMissingImports]
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer, stderr  # pyright: ignore[reportMissingImports]
from inspect_ai.solver import Generate, Solver, TaskState, generate, solver  # pyright: ignore[reportMissingImports]

from o1coder_gym.adapters.evaluation import Exam, load_exam
from o1coder_gym.adapters.scoring import score_all_async
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.experiments.serving.desk import End, Event, Order, answered
from o1coder_gym.experiments.serving.offers import Service, open_service
from o1coder_gym.problems.answers.solutions import program_in
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.kept import kept
from o1coder_gym.steps.formats import VANILLA
from o1coder_gym.types import ActionType, Problem, State, Step, Transition


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
    service, served = _service(agent, policy, format, scorer), f"{agent}:{policy}"

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        problem = _exam(state).problems[str(state.sample_id)]
        ended: Future[End] = Future()

        def tell(event: Event) -> None:
            if not isinstance(event, Transition):
                ended.set_result(event)

        # The budget too: evaluations of one process share the desk, which takes a name once at a time.
        name = f"{agent} @ {tokens} epoch {state.epoch}"
        strategy, own = service.agents[served], service.policies.get(served)
        order = Order(name, problem, strategy, Budget(tokens=tokens), state.epoch, own)
        service.desk.submit([order], [tell])
        try:
            found = answered(await asyncio.wrap_future(ended))
        finally:
            service.desk.cancel([order])
        code = (found.result.code if found.result else None) or ""
        text = VANILLA.render(Step(ActionType.CODE, code), 1) if code else ""
        state.output = ModelOutput.from_content(model=agent, content=text)
        return state

    return solve


@kept(8, lambda agent, policy, format, scorer: [agent, policy, scorer])
def _service(agent: str, policy: str, format: str, scorer: str) -> Service:
    """Opens one desk for all samples, so that their searches are batched together."""
    return open_service([agent], policy, format=format, max_steps=8, scorer=scorer, live=64, waiting=1 << 20)


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
