"""One agent answers problems, hidden tests judge the answers: ``o1coder solve`` without its printing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from o1coder_gym.agents import load_agent
from o1coder_gym.agents.driver.driver import Driver, Observer
from o1coder_gym.agents.driver.recordings import Recorder, Recording
from o1coder_gym.agents.driver.tasks import Task, TaskResult
from o1coder_gym.agents.driver.tree_records import tree_record
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.experiments.tools import acting_agents, acting_policies
from o1coder_gym.policies import load_policy
from o1coder_gym.policies.hf.engine import OnText
from o1coder_gym.policies.loading import prepare
from o1coder_gym.prm import load_scorer
from o1coder_gym.problems.hidden_tests import Evaluation, HiddenVerdict
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.process_data.search_tree import TREES, SearchTree
from o1coder_gym.runs.budget import UNLIMITED, Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import PSEUDOCODE, load_format
from o1coder_gym.types import Outcome, Usage
from o1coder_gym.types.protocols import Policy
from o1coder_gym.types.queries import Agent, Answer, Query


@dataclass(frozen=True, slots=True)
class Solver:
    """Who answers, and within which limits.

    Attributes:
        agent: Agent spec, e.g. ``"mcts?c=1.4"``.
        policy: Policy spec, e.g. ``"hf:tiny"``.
        format: Name of the step format.
        scorer: Step scorer spec.
        budget: Per problem.
        max_steps: Reasoning steps per episode, at least 1.
        seed: Of all draws.
        search: A search of your own; `agent` is its name then.
    """

    agent: str
    policy: str
    format: str = PSEUDOCODE.name
    scorer: str = "heuristic"
    budget: Budget = UNLIMITED
    max_steps: int = 8
    seed: int = 0
    search: Agent | None = None

    def check(self) -> None:
        """Finds agent and format, before a run folder is claimed or a model is loaded.

        Raises:
            UsageError: When there is no such agent or format, or what acts cannot be imported.
        """
        load_format(self.format)
        if self.search is None:
            load_agent(self.agent)
            acting_agents([self.agent])


@dataclass(frozen=True, slots=True)
class Solved:
    """The answer to one problem.

    Attributes:
        result: What the agent chose, what it spent, and what went wrong.
        tree: The search.
        cut: Whether the budget cut a sample short.
        hidden: What the hidden tests say; None without a program, or without hidden tests.
    """

    result: TaskResult
    tree: SearchTree
    cut: bool = False
    hidden: HiddenVerdict | None = None

    @property
    def code(self) -> str | None:
        """The program chosen; None if there is none."""
        return self.result.result.code if self.result.result else None

    @property
    def passes(self) -> bool:
        """Whether the program passes the hidden tests, of which there is at least one."""
        return self.hidden is not None and self.hidden.outcome is Outcome.PASS


def solve(
    rows: Sequence[ProblemRow],
    solver: Solver,
    *,
    folder: RunFolder | None = None,
    on_start: Callable[[], None] = lambda: None,
    on_query: Observer | None = None,
    on_text: OnText | None = None,
) -> list[Solved]:
    """Searches an answer to each problem; the hidden tests are asked when all searches have ended.

    Args:
        rows: The problems.
        solver: Who answers.
        folder: Keeps a journal, from which a resumed run goes on, the trees, and the log of the hidden tests.
        on_start: Called when all that the solver names is loaded.
        on_query: Called with each answered query, and what its search has spent.
        on_text: Called with the text of samples while they are written, where the engine tells of it.

    Returns:
        An answer by problem, in order. Where an engine or a judge failed, its result has the error.

    Raises:
        UsageError: When there is no such agent, policy, scorer or format; an `UnknownNameError` where names
            are known.
        O1CoderError: When one of them cannot be loaded.
    """
    judge, format = default_judge(), load_format(solver.format)
    model = ReasoningModel([row.problem for row in rows], judge, format=format, max_steps=solver.max_steps)
    search = solver.search or load_agent(solver.agent)
    acting = acting_agents([solver.agent]) if solver.search is None else {}
    own = acting_policies(acting, model).get(solver.agent)
    policy, scorer = own or load_policy(solver.policy, format=solver.format), load_scorer(solver.scorer)
    # A run that goes on may need no more than its journal has; an agent that acts brings its own model.
    if own is None and (folder is None or not folder.resumed):
        prepare(policy)
    on_start()
    recorder = Recorder()

    def observe(task: Task, query: Query, answer: Answer, usage: Usage) -> None:
        recorder(task, query, answer, usage)
        if on_query is not None:
            on_query(task, query, answer, usage)

    driver = Driver(model, policy, scorer, seed=solver.seed, journal=folder, observer=observe)
    tasks = [Task(row.problem.task_id, search, solver.budget, name=solver.agent) for row in rows]
    with _watched(policy, on_text):
        finished = driver.run(tasks)
    recordings = [recorder.recordings.get(result.task.key, Recording()) for result in finished]
    trees = [
        tree_record(result, row.problem, recording, seed=solver.seed, format=solver.format)
        for row, result, recording in zip(rows, finished, recordings, strict=True)
    ]
    if folder is not None:
        folder.append(TREES, *(tree.to_row() for tree in trees))
    verdicts = _hidden(rows, finished, Evaluation(rows, judge, log=folder))
    cut = [bool(recording.cut) for recording in recordings]
    return [Solved(*one) for one in zip(finished, trees, cut, verdicts, strict=True)]


def _watched(policy: Policy, on_text: OnText | None) -> AbstractContextManager[None]:
    watched = getattr(getattr(policy, "engine", None), "watched", None)
    return nullcontext() if on_text is None or watched is None else watched(on_text)


def _hidden(
    rows: Sequence[ProblemRow], finished: Sequence[TaskResult], evaluation: Evaluation
) -> list[HiddenVerdict | None]:
    """Asks the hidden tests about all programs in one batch."""
    programs = {
        row.problem.task_id: result.result.code
        for row, result in zip(rows, finished, strict=True)
        if row.tests and result.result is not None and result.result.code is not None
    }
    verdicts = dict(zip(programs, evaluation.evaluate_batch([*programs.items()]), strict=True))
    return [verdicts.get(row.problem.task_id) for row in rows]
