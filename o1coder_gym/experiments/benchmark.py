"""Runs a benchmark plan: problems × agents × seeds at equal budgets, one row each, resumable.

`run_benchmark` does all of it in a folder. `run_plan` is its core, for tools that are open already.
"""

from __future__ import annotations

import itertools
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import o1coder_gym
from o1coder_gym.agents import load_agent
from o1coder_gym.agents.driver.cache import CachedPolicy
from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.recordings import Recorder, Recording
from o1coder_gym.agents.driver.sweep import Replay, answer_within
from o1coder_gym.agents.driver.tasks import Task, TaskResult
from o1coder_gym.agents.driver.tree_records import tree_record
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import O1CoderError
from o1coder_gym.experiments.tools import (
    SESSIONS,
    Plan,
    Tools,
    acting_agents,
    acting_policies,
    comparison_policies,
    open_tools,
    planned_rows,
    session_row,
)
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.hidden_tests import Evaluation, HiddenVerdict
from o1coder_gym.problems.likeness.trained_on import trained_on
from o1coder_gym.problems.missing_tests import Warn, warn_of, without_hidden_tests, without_visible_tests
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.process_data.search_tree import TREES
from o1coder_gym.reporting.report_files import write_report
from o1coder_gym.reporting.results import (
    FAILURES,
    ORACLE,
    PROFILE,
    RESULTS,
    ResultRow,
    budget_words,
    counted,
)
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.executors import cut, load_executor
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.provenance import config_hash, file_hashes, input_hashes
from o1coder_gym.specs import name_of
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import Outcome, State, Submission, Usage
from o1coder_gym.types.protocols import Judge, Policy

RANDOM_PICK = "best_of_n_random"
"""The control that chooses at random. The oracle chooses among its programs, with the hidden tests."""

JUDGE_FAILED = "the judge failed on the hidden tests"
"""Error of a row whose program was not judged."""


Report = Callable[[ResultRow], None]
"""Called with each new row of the whole budget."""


class NoAnswersError(O1CoderError):
    """Raised when rows of a finished run have no answer, since an engine or a judge failed.

    Attributes:
        results: All rows of the run.
        out: Its folder; resuming it tries them again.
    """

    def __init__(self, results: Sequence[ResultRow], out: Path) -> None:
        """Args: all rows, the run folder."""
        failed = [result for result in results if result.error]
        super().__init__(f"{len(failed)} of {len(results)} rows have no answer, the first: {failed[0].error}")
        self.results = list(results)
        self.out = out


def run_benchmark(
    plan: Plan,
    out: Path,
    *,
    rows: Sequence[ProblemRow] = (),
    executor: str = "serial",
    resume: bool = False,
    on_start: Callable[[], None] | None = None,
    on_row: Report | None = None,
    on_warning: Warn = warnings.warn,
    policy: Policy | None = None,
) -> list[ResultRow]:
    """Runs a plan in a folder and writes its report: ``o1coder bench`` without printing.

    Args:
        plan: What to run.
        out: The run folder: results.jsonl, trees.jsonl, report.html, report.md, and the journal.
        rows: The problems of `plan.task_ids`, where they are read already or are your own.
        executor: Where problems are searched and judged: ``serial``, ``processes:2``, …; the rows are the
            same, up to their seconds. Elsewhere some problems are searched at a time, and those at which a
            run was interrupted are searched again.
        resume: Whether to continue the run that `out` holds; nothing paid for is paid again.
        on_start: Called when all that the plan names is loaded, before the first problem.
        on_row: Called with each new row of the whole budget as it comes.
        on_warning: Called with a line about problems that lack tests.
        policy: That of the plan, where it is open already: a `CachedPolicy` that other plans ask too.

    Returns:
        All rows, those that the folder had before too.

    Raises:
        NoAnswersError: When rows have no answer; the report is written, and the error has all rows.
        JournalError: When `out` holds a run and `resume` is false, or a run of another plan.
        UnknownNameError: When something that the plan names does not exist.
    """
    rows = rows or planned_rows(plan.problems, plan.task_ids, plan.split)
    plan = replace(
        plan,
        files=file_hashes(plan.problems, plan.tests, plan.scorer),
        inputs=input_hashes(plan.policy, plan.scorer, plan.generator, *plan.agents),
    )
    with RunFolder.open(out, plan.to_row(), resume=resume) as folder:
        report = on_row or (lambda row: None)
        tools = open_tools(plan, rows, folder, policy) if executor == "serial" else None
        visible = tools.tests or {} if tools is not None else {}
        # Elsewhere tests beside the public ones are not made yet.
        known = tools is not None or plan.tests == "public"
        lacking = without_visible_tests(rows, visible) if known else ""
        warn_of(on_warning, lacking, without_hidden_tests(rows))
        folder.append(SESSIONS, session_row(plan.policy, rows))
        finished_rows(plan, folder)  # before the start is told: who shows it may look at what is done
        if on_start is not None:
            on_start()
        if tools is not None:
            results = run_plan(plan, rows, tools, folder, report)
        else:
            results = run_shards(plan, rows, folder, executor, report)
    write_report(out, results, f"{plan.set_name}: {', '.join(plan.agents)}", report_facts(plan, rows))
    if any(result.error for result in results):
        raise NoAnswersError(results, out)
    return results


def report_facts(plan: Plan, rows: Sequence[ProblemRow] = ()) -> dict[str, str]:
    """Returns what a report says of a plan; with its problems also those the policy was trained on."""
    config = {
        "problems": f"{plan.set_name}, {counted(len(plan.task_ids), 'problem')}",
        "policy": plan.policy,
        "format": plan.format,
        "budget per problem": budget_words(plan.budget),
        "seeds": ", ".join(map(str, plan.seeds)),
    }
    for name, spec in (("trained on", plan.policy), ("scorer trained on", plan.scorer)):
        if spec and (known := trained_on(spec, [row.problem for row in rows])):
            config[name] = f"{len(known)} of these problems: {', '.join(known)}"
    if policies := comparison_policies(rows):
        named = ", ".join(f"{counted(tests, 'test')} by {name}" for name, tests in policies.items())
        config["compared"] = f"{named}; see docs/verdicts.md"
    if plan.scorer:
        config["scorer"] = plan.scorer
    if plan.tests == "generated":
        voters = f"{plan.voters} direct answers vote, outside the budget"
        config["tests"] = f"public and generated by {plan.generator}, {voters}"
    elif plan.tests != "public":
        config["tests"] = f"public and {plan.tests}"
    return config


def run_plan(
    plan: Plan, rows: Sequence[ProblemRow], tools: Tools, folder: RunFolder, report: Report
) -> list[ResultRow]:
    """Runs the part of a plan that the folder lacks.

    Agents run one after another, each on all problems at once, with a model of its own and a judge that is
    warm: so their seconds compare, whatever their order.

    Args:
        plan: What to run.
        rows: The problems of `plan.task_ids`, with their hidden tests.
        tools: What the plan names.
        folder: Opened with `plan` as its config.
        report: Called with each new row as it comes.

    Returns:
        All rows; those without an answer have an `error`.

    Raises:
        UnknownNameError: When there is no such agent or format.
        UsageError: When an agent that acts cannot be imported.
        JournalError: When the folder cannot be written; what it has is safe.
    """
    agents = {spec: load_agent(spec) for spec in plan.agents}
    acting = acting_agents(plan.agents)
    shared = isinstance(tools.policy, CachedPolicy)
    policy = CachedPolicy(tools.policy) if plan.share_samples and not shared else tools.policy
    evaluation = Evaluation(rows, tools.judge, log=folder)
    results = finished_rows(plan, folder)
    done = {(result.agent, result.seed, result.task_id) for result in results}
    warm_up(tools.judge)
    for seed, (spec, agent) in itertools.product(plan.seeds, agents.items()):
        waiting = [task_id for task_id in plan.task_ids if (spec, seed, task_id) not in done]
        if not waiting:
            continue
        # A model keeps verdicts, which the next agent must not find: the first would pay for all.
        model = _fresh_model(plan, rows, tools)
        own = acting_policies(acting, model).get(spec)
        tasks = [Task(task_id, agent, plan.budget, name=spec, seed=seed, policy=own) for task_id in waiting]
        answers = _Answers(plan, model, evaluation, tools)
        recorder = Recorder()
        driver = Driver(
            model,
            policy,
            tools.scorer,
            seed=seed,
            journal=folder,
            observer=recorder,
            timeout_s=plan.timeout_s,
            sizes=tools.sizes,
        )
        judging_s = 0.0
        for finished in driver.stream(tasks):
            started = time.perf_counter()
            # Popped, so that memory holds the recordings of tasks in progress alone.
            recording = recorder.recordings.pop(finished.task.key, Recording())
            problem = model.problem(finished.task.task_id)
            tree = tree_record(finished, problem, recording, seed=seed, format=plan.format)
            folder.append(TREES, tree.to_row())
            # Hidden tests are asked after the search has ended; nothing of them can reach it.
            found = answers.judged(finished, seed, recording)
            # Within a smaller budget alone, too: a task is tried again as a whole.
            failed = any(row.error for row in found)
            folder.append(FAILURES if failed else RESULTS, *(row.to_row() for row in found))
            judging_s += time.perf_counter() - started
            results += found
            report(found[0])
        seconds = {part: round(spent, 3) for part, spent in asdict(driver.profile).items()}
        folder.append(
            PROFILE, {"agent": spec, "seed": seed, "seconds": seconds | {"hidden_tests": round(judging_s, 3)}}
        )
    return results


def run_shards(
    plan: Plan, rows: Sequence[ProblemRow], folder: RunFolder, executor: str, report: Report
) -> list[ResultRow]:
    """Runs by an executor, some problems at a time, the part of a plan that the folder lacks; see `run_plan`.

    What a shard leaves in a folder of its own is appended to that of the run.
    """
    load_policy(plan.policy, format=plan.format)
    for spec in plan.agents:
        load_agent(spec)
    run, workers = load_executor(executor)
    results = finished_rows(plan, folder)
    known = {_place(result) for result in results}
    done = {(result.agent, result.seed, result.task_id) for result in results}
    every = [(spec, seed) for spec in plan.agents for seed in plan.seeds]
    waiting = [row for row in rows if any((*one, row.problem.task_id) not in done for one in every)]
    shards = [(_part(plan, some), some) for some in cut(waiting, workers)]
    for files in run(_run_shard, shards):
        # Each row stays in the file of its task: one with an answer is tried again with one that has none.
        new = {
            name: [one for row in files.pop(name, ()) if _place(one := _of_run(plan, row)) not in known]
            for name in (FAILURES, RESULTS)
        }
        # A task that was done keeps its tree: its row is of that search, and samples may differ by batch.
        files[TREES] = [
            row for row in files.get(TREES, ()) if (row["agent"], row["seed"], row["task_id"]) not in done
        ]
        for name, some in files.items():
            folder.append(name, *some)
        # Last: a problem whose tasks have all their rows is not searched again.
        for name, some in new.items():
            folder.append(name, *(one.to_row() for one in some))
        found = [one for some in new.values() for one in some]
        for one in found:
            if one.agent in plan.agents and one.budget == plan.budget:
                report(one)
        results += found
    return results


def finished_rows(plan: Plan, folder: RunFolder) -> list[ResultRow]:
    """Returns the rows of the tasks that are done; drops those of the others from the folder.

    A task is one agent with one seed on one problem, and done when the row of each budget is there, for the
    random control also those of the oracle: a file that was cut may hold some of them. Such a task is done
    again, and its rows are written again.
    """
    found = [ResultRow.from_row(row) for row in folder.rows(RESULTS)]
    places = {_place(row) for row in found}
    asked = [
        {(name, seed, task_id, budget) for name, budget in _rows_of(plan, spec)}
        for spec, seed, task_id in itertools.product(plan.agents, plan.seeds, plan.task_ids)
    ]
    half = {place for task in asked if not task <= places for place in task & places}
    if not half:
        return found
    folder.keep(RESULTS, lambda row: _place(ResultRow.from_row(row)) not in half)
    return [one for one in found if _place(one) not in half]


def _rows_of(plan: Plan, spec: str) -> list[tuple[str, Budget]]:
    """Returns agent and budget of each row that a task of an agent has, if it does not fail."""
    names = [spec, _oracle_of(spec)] if name_of(spec) == RANDOM_PICK else [spec]
    return list(itertools.product(names, (plan.budget, *plan.sweep)))


def _oracle_of(spec: str) -> str:
    """Names the oracle that chooses among the programs of a random control."""
    return spec.replace(RANDOM_PICK, ORACLE, 1)


def _place(row: ResultRow) -> tuple[str, int, str, Budget]:
    return row.agent, row.seed, row.task_id, row.budget


def _part(plan: Plan, rows: Sequence[ProblemRow]) -> Plan:
    return replace(plan, task_ids=tuple(row.problem.task_id for row in rows))


def _of_run(plan: Plan, row: Mapping[str, Any]) -> ResultRow:
    """Reads a shard's row as one of the whole run."""
    return replace(ResultRow.from_row(row), run=config_hash(plan.to_row())[:12])


def _run_shard(shard: tuple[Plan, Sequence[ProblemRow]]) -> dict[str, list[dict[str, Any]]]:
    """Runs a plan in a folder of this process; returns the rows of its files by name."""
    plan, rows = shard
    with (
        tempfile.TemporaryDirectory() as temporary,
        RunFolder.open(Path(temporary), plan.to_row()) as folder,
    ):
        run_plan(plan, rows, open_tools(plan, rows, folder), folder, lambda row: None)
        return {file.stem: list(folder.rows(file.stem)) for file in folder.path.glob("*.jsonl")}


def warm_up(judge: Judge) -> None:
    """Starts the judge's processes by a first batch, so that no agent pays for them.

    A judge that cannot is left to the tasks, whose error it is.
    """
    with suppress(Exception):
        judge.evaluate([Submission("", None, ())] * getattr(judge, "workers", 1))


def _fresh_model(plan: Plan, rows: Sequence[ProblemRow], tools: Tools) -> ReasoningModel:
    return ReasoningModel(
        [row.problem for row in rows],
        tools.judge,
        format=load_format(plan.format),
        max_steps=plan.max_steps,
        tests=tools.tests,
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer of an agent or a control within a budget."""

    agent: str
    budget: Budget
    state: State | None
    value: float
    usage: Usage
    timed: bool
    error: str = ""
    cut: bool = False
    capped: bool = False


class _Answers:
    """Turns finished tasks into rows: at the whole budget, at the smaller ones, and of the oracle."""

    def __init__(self, plan: Plan, model: ReasoningModel, evaluation: Evaluation, tools: Tools) -> None:
        self._plan = plan
        self._model = model
        self._evaluation = evaluation
        self._sizes = tools.sizes
        self._row = partial(
            ResultRow,
            problems=plan.set_name,
            policy=plan.policy,
            format=plan.format,
            parameters=tools.parameters,
            run=config_hash(plan.to_row())[:12],
            version=o1coder_gym.__version__,
        )

    def judged(self, finished: TaskResult, seed: int, recording: Recording) -> list[ResultRow]:
        """Judges all answers of a task on the hidden tests; the whole budget's answer is the first row."""
        answers = [self._whole(finished, cut=bool(recording.cut))]
        programs = [recording.programs()]
        if finished.error:
            answers += [replace(answers[0], budget=budget, timed=False) for budget in self._plan.sweep]
        else:
            for budget in self._plan.sweep:
                replay = answer_within(
                    finished.task,
                    self._model.problem(finished.task.task_id),
                    self._model.initial(finished.task.task_id),
                    recording,
                    budget,
                    sizes=self._sizes,
                    run_programs=self._model.execute,
                )
                answers.append(self._replayed(finished, budget, replay))
                programs.append(replay.programs)
        # The oracle chooses among the same programs, so the control's samples give its row for free.
        if name_of(finished.task.name) == RANDOM_PICK and not finished.error:
            answers += [
                self._oracle(finished.task.task_id, answer, found)
                for answer, found in zip(answers, programs, strict=True)
            ]
        return [self._judge(finished.task.task_id, seed, answer) for answer in answers]

    def _whole(self, finished: TaskResult, *, cut: bool) -> _Answer:
        found = finished.result
        return _Answer(
            finished.task.name,
            self._plan.budget,
            found.state if found else None,
            found.value if found else 0.0,
            finished.usage,
            timed=not self._plan.share_samples,
            error=str(finished.error) if finished.error else "",
            cut=cut,
            capped=not finished.exhausted and bool(self._plan.budget.units),
        )

    def _replayed(self, finished: TaskResult, budget: Budget, replay: Replay) -> _Answer:
        found = replay.result
        return _Answer(
            finished.task.name,
            budget,
            found.state,
            found.value,
            replay.usage,
            timed=False,
            error=str(replay.error) if replay.error else "",
            cut=replay.cut,
            capped=not replay.exhausted and bool(budget.units),
        )

    def _oracle(self, task_id: str, blind: _Answer, programs: Sequence[State]) -> _Answer:
        """Chooses among the programs of a random control with the hidden tests."""
        verdicts = self._evaluation.evaluate_batch([(task_id, program.code or "") for program in programs])
        # One that the judge could not decide may be the solution: without another one it is the choice.
        ranks = [
            (one.outcome is Outcome.PASS, one.outcome is Outcome.INFRASTRUCTURE, one.passed, -place)
            for place, one in enumerate(verdicts)
        ]
        best = max(range(len(programs)), key=lambda place: ranks[place], default=None)
        return _Answer(
            agent=_oracle_of(blind.agent),
            budget=blind.budget,
            state=None if best is None else programs[best],
            value=0.0 if best is None else verdicts[best].passed / max(verdicts[best].total, 1),
            usage=blind.usage,
            timed=blind.timed,
            cut=blind.cut,
            capped=blind.capped,
        )

    def _judge(self, task_id: str, seed: int, answer: _Answer) -> ResultRow:
        code = answer.state.code if answer.state else None
        hidden: HiddenVerdict | None = None
        if code is not None:
            hidden = self._evaluation.evaluate(task_id, code)
        failed = hidden is not None and hidden.outcome is Outcome.INFRASTRUCTURE
        return self._row(
            task_id=task_id,
            agent=answer.agent,
            seed=seed,
            outcome=hidden.outcome if hidden else None,
            passed=hidden.passed if hidden else 0,
            total=hidden.total if hidden else self._evaluation.total(task_id),
            value=answer.value,
            code=code,
            steps=answer.state.depth if answer.state else 0,
            usage=answer.usage,
            # An answer that was not judged is none: a resumed run judges it again.
            error=answer.error or (JUDGE_FAILED if failed else ""),
            budget=answer.budget,
            timed=answer.timed,
            cut=answer.cut,
            capped=answer.capped and not answer.error,
        )
