import json
import time
from types import SimpleNamespace

import pytest

from tests.command_line import call


def test_doctor_says_what_the_sandbox_enforces(o1coder):
    done = o1coder("doctor", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["machine"]["cores"] >= 1
    assert report["machine"]["bandwidth_gbs"] > 0
    assert report["engines"]["scripted"] == report["engines"]["fake"] == "built in"
    assert report["engines"].keys() == {"hf", "vllm", "openai", "scripted", "fake"}
    assert set(report["sandbox"]["guarantees"]) >= {"network", "processes", "memory"}
    assert report["sandbox"]["full"] == (
        all(report["sandbox"]["guarantees"].values()) and not report["sandbox"]["missing_layers"]
    )
    assert "gymnasium" not in report["extras"]
    assert report["extras"]["plots"].keys() == {"matplotlib", "pillow"}


def test_doctor_speaks_to_people(o1coder):
    done = o1coder("doctor")
    assert "sandbox:" in done.stdout
    assert "network: " in done.stdout
    assert "memory is read at" in done.stdout
    assert "engine fake: built in" in done.stdout


@pytest.mark.parametrize("server", ["fake:", "openai:http://127.0.0.1:9#none"])
def test_what_is_no_server_is_one_line(server, monkeypatch):
    clock = SimpleNamespace(time=time.time, sleep=lambda seconds: None)  # between tries
    monkeypatch.setattr("o1coder_gym.policies.server.http.time", clock)
    done = call("doctor", server)
    assert done.exit_code in (1, 2)
    assert len(done.stderr.strip().splitlines()) == 1
