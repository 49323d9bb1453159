"""Inspect 0.3.285: `inspect eval` by name, with a model and with an agent of ours as the solver."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from scripted_server import scripted

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
