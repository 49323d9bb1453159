"""verifiers 0.4: its command line over our taskset in three ways, rewards as in process, masks, traces."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import verifiers.v1 as vf
from pairs import answer, pairs, rewards
from scripted_server import scripted
from verifiers.v1.types import AssistantMessage

from o1coder_gym.adapters.traces import FORMATS, read_trees
from o1coder_gym.adapters.verifiers import ProblemTask, _data
from o1coder_gym.process_data.search_tree import SearchTree, TreeNode
from o1coder_gym.types import ActionType, CallTest, Problem, Step

BIN = Path(sys.executable).parent


def evaluated(folder, *options):
    """Runs verifiers' command line on three problems, and returns its traces."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "OPENAI_API_KEY": "none"}
    with scripted("starter") as server:
        command = [f"{BIN}/vf-eval", "o1coder-verifiers", "-m", "scripted", "-n", "3", "-r", "2", "--no-push"]
        command += ["--client.base-url", server.url, "--client.api-key-var", "OPENAI_API_KEY", *options]
        subprocess.run(command, env=environment, cwd=folder, check=True, timeout=280)
    (file,) = folder.glob("outputs/*/traces.jsonl")
    episodes = [json.loads(line) for line in file.read_text().splitlines()]
    return [trace for episode in episodes for trace in episode.get("traces", [episode])]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ((), 6),
        (("--env.taskset.format", "pseudocode"), 6),
        (("--env.id", "best-of-n", "--env.n", "2", "--env.agent.runtime.type", "subprocess"), 12),
    ],
)
def test_its_command_line_evaluates_our_problems(tmp_path, options, count):
    traces = evaluated(tmp_path, *options)
    assert len(traces) == count
    assert not any(trace["errors"] for trace in traces)
    assert sum(trace["rewards"]["solved"]["score"] for trace in traces) == count / 2
    if "best-of-n" in options:
        solved = [trace for trace in traces if trace["rewards"]["solved"]["score"]]
        assert all(trace["metrics"]["pass_at_n"] == trace["metrics"]["best"] == 1.0 for trace in solved)
    if "pseudocode" in options:
        assert all(len(trace["info"]["step_rewards"]) == 2 for trace in traces)


def trace_of(task, text):
    nodes = [vf.MessageNode(message=AssistantMessage(content=text), sampled=True)]
    told = vf.TraceTask(type="ProblemTask", data=task.data)
    return vf.Trace(task=told, agent=vf.AgentInfo(config=vf.AgentConfig()), nodes=nodes)


def test_rewards_are_those_of_the_process():
    programs = pairs()
    tasks = [ProblemTask(_data(problem, "vanilla")) for problem, _ in programs]
    traces = [trace_of(task, answer(code)) for task, (_, code) in zip(tasks, programs, strict=True)]

    async def score():
        await asyncio.gather(*(task.score(trace) for task, trace in zip(tasks, traces, strict=True)))

    asyncio.run(score())
    assert [trace.reward for trace in traces] == rewards(programs)


def test_a_masked_score_is_an_error_of_the_trace():
    task = ProblemTask(_data(Problem("bare", "?", "f"), "vanilla"))
    with pytest.raises(vf.TaskError, match="no reward: no_tests"):
        asyncio.run(task.score(trace_of(task, answer("def f(): ..."))))


def test_trees_are_traces_and_trajectories():
    from atif import Trajectory

    nodes = (
        TreeNode(None, None, visits=2, value=0.5),
        TreeNode(0, Step(ActionType.DEFINE, "plan"), visits=2, value=0.5, tokens=4),
        TreeNode(1, Step(ActionType.CODE, "def f(x): return x"), visits=1, value=1.0, end=1.0),
        TreeNode(1, Step(ActionType.CODE, "1/0"), visits=1, value=0.0, end=0.0),
    )
    problem = Problem("p", "identity", "f", (CallTest("[1]", "1"),))
    tree = SearchTree(problem, "mcts", 0, "pseudocode", nodes, ((1, 2, 1.0), (2, 3, 0.0)), chosen=2)
    (row,) = FORMATS["verifiers"](tree)
    trace = vf.WireTrace.model_validate(row)
    assert (trace.reward, trace.num_branches) == (1.0, 2)
    assert list(read_trees([trace.model_dump(mode="json")])) == [tree]
    (row,) = FORMATS["atif"](tree)
    trajectory = Trajectory.model_validate(row)
    assert len(trajectory.subagent_trajectories or ()) == 1
    assert list(read_trees([trajectory.to_json_dict()])) == [tree]
