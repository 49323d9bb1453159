"""The three kinds of requests, what is refused by its name, and what is ignored aloud."""

import json
import warnings

import pytest
from fastapi.testclient import TestClient

from o1coder_gym.agents import greedy
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.experiments.serving.app import IGNORED, make_app
from o1coder_gym.experiments.serving.desk import Desk
from o1coder_gym.policies.scripted import ScriptedPolicy
from o1coder_gym.sandbox import SandboxWarning, default_judge
from o1coder_gym.types import Problem

CODE = "def double(x):\n    return 2 * x"
SCRIPT = {
    "problems": {
        "*": {"depths": [[{"type": "define", "text": "Multiply."}], [{"type": "code", "text": CODE}]]}
    }
}
QUESTION = "Write a function.\nassert double(2) == 4"
TURNS = [{"role": "user", "content": QUESTION}]
PROGRAM = f"```python\n{CODE}\n```"


@pytest.fixture(scope="module")
def client():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SandboxWarning)
        default_judge().report()
    model = ReasoningModel([Problem("", "?")], default_judge(), max_steps=4)
    desk = Desk(model, ScriptedPolicy.from_rows(SCRIPT), live=8, waiting=8)
    with TestClient(make_app(desk, {"g": greedy}, origins=["https://chat.example"])) as client:
        yield client


def test_a_text_completion_is_the_program(client):
    body = client.post("/v1/completions", json={"model": "g", "prompt": [QUESTION], "max_tokens": 64}).json()
    (choice,) = body["choices"]
    assert body["object"] == "text_completion"
    assert (choice["text"], choice["finish_reason"], choice["index"]) == (PROGRAM, "stop", 0)
    assert body["usage"]["completion_tokens"] > 0


def test_a_text_completion_streams_text_alone(client):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    with client.stream(
        "POST", "/v1/completions", json={"model": "g", "prompt": QUESTION, **options}
    ) as response:
        lines = [line[6:] for line in response.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    *pieces, usage = map(json.loads, lines[:-1])
    assert "".join(piece["choices"][0]["text"] for piece in pieces) == PROGRAM
    assert pieces[-1]["choices"][0]["finish_reason"] == "stop"
    assert usage["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(
    "given", [QUESTION, TURNS, [{"role": "user", "content": [{"type": "input_text", "text": QUESTION}]}]]
)
def test_a_response_is_the_reasoning_and_the_program(client, given):
    asked = {
        "model": "g",
        "input": given,
        "instructions": "Be brief.",
        "max_output_tokens": 64,
        "store": False,
    }
    response = client.post("/v1/responses", json=asked)
    reasoning, message = response.json()["output"]
    assert "Multiply." in reasoning["summary"][0]["text"]
    assert (message["content"][0]["text"], response.json()["status"]) == (PROGRAM, "completed")
    assert IGNORED not in response.headers


def test_openais_client_reads_a_response(client):
    openai = pytest.importorskip("openai")
    asked = openai.OpenAI(api_key="none", base_url="http://testserver/v1", http_client=client)
    assert asked.responses.create(model="g", input=QUESTION).output_text == PROGRAM
    assert asked.completions.create(model="g", prompt=QUESTION).choices[0].text == PROGRAM


@pytest.mark.parametrize(
    ("path", "extra", "named"),
    [
        ("/v1/chat/completions", {"tools": [{"type": "function"}]}, "tools"),
        ("/v1/chat/completions", {"logprobs": True}, "logprobs"),
        ("/v1/chat/completions", {"response_format": {"type": "json_object"}}, "response_format"),
        ("/v1/chat/completions", {"entry_point": "class"}, "entry_point"),
        ("/v1/chat/completions", {"guided_json": {"type": "object"}}, "guided_json"),
        ("/v1/completions", {"logprobs": 5}, "logprobs"),
        ("/v1/completions", {"echo": True}, "echo"),
        ("/v1/completions", {"suffix": "x"}, "suffix"),
        ("/v1/completions", {"best_of": 2}, "best_of"),
        ("/v1/completions", {"prompt": ["a", "b"]}, "prompt"),
        ("/v1/completions", {"prompt": " "}, "prompt"),
        ("/v1/completions", {"prompt": [1, 2]}, "prompt"),
        ("/v1/responses", {"tools": [{"type": "web_search"}]}, "tools"),
        ("/v1/responses", {"previous_response_id": "resp_1"}, "previous_response_id"),
        ("/v1/responses", {"stream": True}, "stream"),
        ("/v1/responses", {"text": {"format": {"type": "json_object"}}}, "text"),
        ("/v1/responses", {"input": []}, "input"),
        ("/v1/responses", {"input": [{"type": "function_call_output"}]}, "input"),
        ("/v1/responses", {"input": "  "}, "input"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_name(client, path, extra, named):
    asked = {"model": "g", "messages": TURNS, "prompt": QUESTION, "input": QUESTION}
    own = {"/v1/chat/completions": "messages", "/v1/completions": "prompt", "/v1/responses": "input"}[path]
    response = client.post(path, json={"model": "g", own: asked[own], **extra})
    assert response.status_code == 400
    assert named in response.json()["error"]["message"]


def test_what_is_not_applied_is_named(client):
    extra = {"temperature": 0.2, "top_p": 1, "presence_penalty": 0.5, "user": "me", "min_p": None}
    response = client.post("/v1/chat/completions", json={"model": "g", "messages": TURNS, **extra})
    assert response.headers[IGNORED] == "presence_penalty, temperature, top_p"
    assert IGNORED not in client.post("/v1/chat/completions", json={"model": "g", "messages": TURNS}).headers
    text = client.post("/v1/completions", json={"model": "g", "prompt": QUESTION, "temperature": 0.2})
    assert text.headers[IGNORED] == "temperature"


@pytest.mark.parametrize("stated", ["1000000000", "9" * 5000])
def test_a_body_that_is_said_to_be_too_large_is_not_waited_for(client, stated):
    response = client.post("/v1/chat/completions", content=b"{", headers={"content-length": stated})
    assert response.status_code == 413


def test_names_that_a_header_cannot_hold_are_written_in_ascii(client):
    extra = {"a\r\nX-Evil: 1": 1, "snow\u2603": 1, "z" * 5000: 1}
    response = client.post("/v1/chat/completions", json={"model": "g", "messages": TURNS, **extra})
    assert response.status_code == 200
    assert response.headers[IGNORED].startswith(r"a\r\nX-Evil: 1, snow\u2603, zzz")
    assert len(response.headers[IGNORED]) == 1000


def test_a_turn_without_content_is_read_over(client):
    history = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": None}, *TURNS]
    response = client.post("/v1/chat/completions", json={"model": "g", "messages": history})
    assert response.json()["choices"][0]["message"]["content"] == PROGRAM


def test_named_web_pages_may_ask(client):
    for origin, allowed in (
        ("https://chat.example", "https://chat.example"),
        ("https://other.example", None),
    ):
        response = client.get("/v1/models", headers={"origin": origin})
        assert response.headers.get("access-control-allow-origin") == allowed
