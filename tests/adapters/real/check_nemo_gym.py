"""NeMo Gym: our servers over their own routes, rewards as in process, steps, failures that are told."""

from unittest.mock import MagicMock

import pytest
from fastapi.testclient import TestClient
from nemo_gym.base_resources_server import BaseResourcesServerConfig
from nemo_gym.server_utils import ServerClient
from pairs import answer, pairs, rewards

from o1coder_gym.adapters.nemo_gym import GO_ON, O1CoderGymnasium, O1CoderVerifier, rows
from o1coder_gym.errors import InfrastructureError, ProblemFileError
from o1coder_gym.experiments.serving.sessions import IDLE_S, Sessions
from o1coder_gym.types import Problem


def server_of(kind):
    config = BaseResourcesServerConfig(host="127.0.0.1", port=1, entrypoint="app.py", name="o1coder")
    return kind(config=config, server_client=MagicMock(spec=ServerClient))


def client_of(kind):
    return TestClient(server_of(kind).setup_webserver())


def body(row, text):
    part = {"type": "output_text", "text": text, "annotations": []}
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    response = {"id": "r", "created_at": 0, "model": "m", "object": "response", "output": [message]}
    return {**row, "response": {**response, "parallel_tool_calls": False, "tool_choice": "none", "tools": []}}


def test_answers_are_verified_as_in_process():
    client, programs = client_of(O1CoderVerifier), pairs()
    told = dict(zip((one.task_id for one, _ in programs), rows(one for one, _ in programs), strict=True))
    found = [
        client.post("/verify", json=body(told[one.task_id], answer(code))).json() for one, code in programs
    ]
    assert [one["reward"] for one in found] == rewards(programs)
    assert {one["outcome"] for one in found} == {"pass", "wrong_answer", "compile_error"}


def test_their_own_unit_tests_are_read():
    row = next(rows([Problem("p", "?", "f")]))
    row["verifier_metadata"] = {"unit_tests": {"inputs": ["2"], "outputs": ["4"], "fn_name": "double"}}
    found = (
        client_of(O1CoderVerifier)
        .post("/verify", json=body(row, answer("def double(x): return 2 * x")))
        .json()
    )
    assert found["reward"] == 1.0


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({"unit_tests": {"tests": [], "entry_point": "f"}}, InfrastructureError),
        ({"unit_tests": 7}, ProblemFileError),
        ({}, ProblemFileError),
    ],
)
def test_what_is_masked_and_what_has_no_tests_fails(metadata, error):
    row = next(rows([Problem("p", "?", "f")])) | {"verifier_metadata": metadata}
    with pytest.raises(error):
        client_of(O1CoderVerifier).post("/verify", json=body(row, answer("def f(): ...")))


def test_an_episode_is_played_step_by_step():
    problem, code = pairs()[0]
    (row,) = rows([problem], format="pseudocode")
    with client_of(O1CoderGymnasium) as client:
        info = client.post("/reset", json=row).json()["info"]
        assert info == {"task_id": problem.task_id, "supports_explicit_close": True}
        plan = client.post("/step", json=body(row, "### Step 1 (define)\nThink.\n")).json()
        assert (plan["observation"], plan["reward"], plan["terminated"]) == (GO_ON, 0.0, False)
        end = client.post("/step", json=body(row, f"### Step 2 (code)\n```python\n{code}\n```\n")).json()
        assert (end["observation"], end["reward"], end["terminated"]) == (None, 1.0, True)
        assert end["info"]["outcome"] == "pass"


@pytest.mark.parametrize("closed", [True, False])
def test_a_session_that_is_closed_or_abandoned_is_gone(closed):
    problem, _ = pairs()[0]
    (row,) = rows([problem], format="pseudocode")
    step = body(row, "### Step 1 (define)\nThink.\n")
    server, clock = server_of(O1CoderGymnasium), [0.0]
    server.session_state = Sessions(clock=lambda: clock[0])
    with TestClient(server.setup_webserver()) as client:
        assert client.post("/step", json=step).status_code == 410  # never began
        assert client.post("/reset", json=row).status_code == 200
        assert client.post("/step", json=step).json()["observation"] == GO_ON
        if closed:
            assert client.post("/close", json={}).status_code == 200
        else:
            clock[0] = IDLE_S + 1
        gone = client.post("/step", json=step)
        assert (gone.status_code, gone.json()["detail"]["error"]) == (410, "session_gone")
        assert len(server.session_state) == 0


def test_a_step_that_decides_nothing_fails():
    (row,) = rows([Problem("bare", "?", "f")], format="pseudocode")
    with client_of(O1CoderGymnasium) as client:
        client.post("/reset", json=row)
        with pytest.raises(InfrastructureError, match="no reward"):
            client.post("/step", json=body(row, "### Step 1 (code)\n```python\ndef f(): ...\n```\n"))
