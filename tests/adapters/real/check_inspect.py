"""Inspect 0.3.285: `inspect eval` by name, a model and an agent of ours as solvers; scores as in process."""

import asyncio
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from auditor import audited, failed
from inspect_ai.model import ModelName, ModelOutput
from inspect_ai.scorer import Target
from inspect_ai.solver import TaskState
from pairs import answer, pairs
from scripted_server import scripted

from o1coder_gym.adapters.evaluation import load_exam
from o1coder_gym.adapters.inspect_ai import hidden_tests, o1coder
from o1coder_gym.adapters.scoring import score_all
from o1coder_gym.errors import UnknownNameError, UsageError

BIN = Path(sys.executable).parent
SCRIPT = {
    "problems": {
        "*": {"depths": [[{"type": "define", "text": "Think."}], [{"type": "code", "text": "def f(): ..."}]]}
    }
}


def evaluated(folder, *options):
    """Runs Inspect's command line, and returns its log."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "SCRIPTED_API_KEY": "none"}
    command = [f"{BIN}/inspect", "eval", "o1coder_gym/o1coder", "--display", "none", "--log-format", "json"]
    command += ["--log-dir", str(folder), *options]
    subprocess.run(command, env=environment, check=True, timeout=280)
    (log,) = folder.glob("*.json")
    return json.loads(log.read_text())


def test_a_model_is_scored_by_hidden_tests(tmp_path):
    with scripted("starter") as server:
        model = ("--model", "openai-api/scripted/x", "--model-base-url", server.url)
        log = evaluated(tmp_path, *model, "-M", "responses_api=false", "--limit", "4", "--epochs", "2")
    assert log["status"] == "success"
    (scores,) = log["results"]["scores"]
    assert scores["metrics"]["accuracy"]["value"] == pytest.approx(0.5)


def test_an_agent_of_ours_is_a_solver(tmp_path):
    script = tmp_path / "script.json"
    script.write_text(json.dumps(SCRIPT))
    options = ("--solver", "o1coder_gym/agent", "-S", "agent=greedy", "-S", f"policy=scripted:{script}")
    log = evaluated(tmp_path / "logs", *options, "--model", "none", "--limit", "3")
    assert log["status"] == "success"
    (scores,) = log["results"]["scores"]
    assert (scores["scored_samples"], scores["metrics"]["accuracy"]["value"]) == (3, 0.0)


def state_of(task_id, text, problems="starter"):
    return TaskState(
        ModelName("none/none"),
        task_id,
        1,
        "",
        [],
        output=ModelOutput.from_content(model="none", content=text),
        metadata={"problems": problems, "split": None},
    )


def scored(states):
    score = hidden_tests()

    async def all_of_them():
        return await asyncio.gather(*(score(state, Target("")) for state in states))

    return asyncio.run(all_of_them())


def test_answers_are_scored_as_in_process():
    programs, truths = pairs(), load_exam("starter").truths
    found = scored([state_of(problem.task_id, answer(code)) for problem, code in programs])
    expected = score_all([(code, truths[problem.task_id]) for problem, code in programs])
    assert [one.value for one in found] == ["C" if one.reward else "I" for one in expected]
    assert {one.value for one in found} == {"C", "I"}


def test_a_masked_verdict_is_unscored_and_an_unknown_set_is_told(tmp_path):
    problems = tmp_path / "untested.jsonl"
    row = {"task_id": "p", "prompt": "?", "entry_point": "f", "public_tests": [], "tests": [], "meta": {}}
    problems.write_text(json.dumps(row) + "\n")
    (found,) = scored([state_of("p", answer("def f(): ..."), str(problems))])
    assert math.isnan(found.value)
    with pytest.raises(UnknownNameError, match="nope"):
        o1coder("nope")
    with pytest.raises(UnknownNameError, match="sample 'q'"):
        scored([state_of("q", answer("def f(): ..."), str(problems))])
    foreign = state_of("p", "", str(problems))
    foreign.metadata = {}
    with pytest.raises(UsageError, match=r"metadata\.problems"):
        scored([foreign])


def test_falsepass_finds_nothing(tmp_path):
    assert not failed(audited("inspect", tmp_path / "audit"))
