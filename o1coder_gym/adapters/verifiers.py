"""A taskset for verifiers v1 over any problem set: whole answers, or one step a turn.

    vf-eval o1coder-verifiers --env.taskset.problems mbpp --env.taskset.split train -m MODEL
    vf-eval o1coder-verifiers --env.taskset.format pseudocode …      # step by step, with feedback between
    vf-eval o1coder-verifiers --env.id best-of-n …                   # groups, compared by verifiers' own env

``solved`` pays 1 iff the program passes the public tests; a masked score is an error of the trace, which
verifiers leaves out. Hidden tests are not here. Needs verifiers 0.4.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import verifiers.v1 as vf  # pyright: ignore[reportMissingImports]
from verifiers.v1.harnesses.null import NullHarness  # pyright: ignore[reportMissingImports]
from verifiers.v1.types import content_text  # pyright: ignore[reportMissingImports]

from o1coder_gym.adapters.ground_truth import ground_truth_of, ground_truth_row, read_ground_truth
from o1coder_gym.adapters.scoring import score_all_async
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.envs.trl import read_texts
from o1coder_gym.problems.loading import load_problems
from o1coder_gym.sandbox import shared_judge
from o1coder_gym.steps.formats import load_format, read_action
from o1coder_gym.types import Problem, State

__all__ = ["O1CoderEnv", "O1CoderHarness", "O1CoderTaskset"]


class ProblemData(vf.TaskData):
    """A problem on its way to a trace: public tests, no hidden ones."""

    question: str
    format: str
    truth: dict[str, Any]


class O1CoderConfig(vf.TasksetConfig):
    """Which problems, and how they are answered: ``vanilla`` in one program, ``pseudocode`` in steps."""

    problems: str = "starter"
    split: str | None = None
    format: Literal["vanilla", "pseudocode", "functions"] = "vanilla"


class ProblemTask(vf.Task[ProblemData, vf.State, vf.TaskConfig]):
    """Scores the program of a trace in the sandbox."""

    @vf.metric
    async def judged(self, trace: vf.Trace) -> dict[str, float]:
        """Judges once; the reward reads what was found."""
        truth = read_ground_truth(self.data.truth)
        (found,) = await score_all_async([(_program(trace, self.data), truth)])
        # Metrics run before rewards: the program is judged once, and a masked score raises here.
        trace.info["solved"] = found.demand()
        trace.info["outcome"] = found.outcome
        return {"pass_ratio": found.pass_ratio, "program": float(found.verdict is not None)}

    @vf.reward
    async def solved(self, trace: vf.Trace) -> float:
        """1 iff all public tests passed."""
        return trace.info["solved"]


class O1CoderTaskset(vf.Taskset[ProblemTask, O1CoderConfig]):
    """The problems of a set."""

    def load(self) -> list[ProblemTask]:
        """Returns a task per problem."""
        problems = load_problems(self.config.problems, split=self.config.split)
        return [ProblemTask(_data(problem, self.config.format), self.config.task) for problem in problems]


class O1CoderHarness(NullHarness):
    """A plain chat: the model needs no shell to write a program."""


class O1CoderEnvConfig(vf.EnvConfig):
    """One agent, whose chat client runs on this machine; `max_steps` bounds a chain of steps."""

    agent: vf.AgentConfig = vf.AgentConfig(runtime=vf.SubprocessConfig())
    max_steps: int = 8


class O1CoderEnv(vf.Env[O1CoderEnvConfig]):
    """An episode: one answer, or a step a turn with what came of it in between."""

    async def run(self, task: vf.Task, agents: vf.Agents) -> None:
        """Plays an episode."""
        if task.data.format == "vanilla":
            await agents.agent.run(task)
            return
        model = _model(task.data, self.config.max_steps)
        state, rewards = model.initial(task.data.id), []
        async with agents.agent.interaction(task) as interaction:
            segment = await interaction.turn()
            while not segment.terminated:
                (transition,) = await asyncio.to_thread(model.advance, [(state, segment.last_reply)])
                state = transition.state
                rewards.append(transition.reward)
                if transition.done:
                    break
                segment = await interaction.turn(transition.feedback or "Go on with the next step.")
        interaction.trace.info["step_rewards"] = rewards


def _data(problem: Problem, format: str) -> ProblemData:
    turns = load_format(format).prompt(problem, State(problem.task_id)).messages
    system = "\n\n".join(content for role, content in turns if role == "system")
    return ProblemData(
        id=problem.task_id,
        name=problem.task_id,
        system_prompt=system or None,
        prompt=[{"role": role, "content": content} for role, content in turns if role != "system"],
        question=problem.prompt,
        format=format,
        truth=ground_truth_row(ground_truth_of(problem)),
    )


def _model(data: ProblemData, max_steps: int) -> ReasoningModel:
    problem = read_ground_truth(data.truth).problem(data.id, data.question)
    return ReasoningModel([problem], shared_judge(), format=load_format(data.format), max_steps=max_steps)


def _program(trace: vf.Trace, data: ProblemData) -> str | None:
    """Returns the program that what was sampled ends in; examples in the prompt are not of it."""
    path = trace.branches[-1].nodes if trace.branches else []
    said = [
        {"role": "assistant", "content": content_text(node.message.content)} for node in path if node.sampled
    ]
    step_format = load_format(data.format)
    entry_point = data.truth["entry_point"]
    steps = [read_action(step_format, text, entry_point) for text in read_texts(said, step_format)]
    return State(data.id, tuple(steps)).code
