"""The server over real sockets, spoken to by OpenAI's own client."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import httpx
import openai
import pytest

from o1coder_gym.agents import best_of_n, greedy, mcts
from o1coder_gym.agents.acting import acting as play
from o1coder_gym.envs.acting import ActingPolicy
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import MissingExtraError, PolicyError, UnknownNameError
from o1coder_gym.experiments.serving.app import Bounds, make_app
from o1coder_gym.experiments.serving.desk import Desk
from o1coder_gym.experiments.serving.offers import offered
from o1coder_gym.policies.scripted import ScriptedPolicy
from o1coder_gym.sandbox import default_judge
from o1coder_gym.types import Problem
from tests.crowd import crowd
from tests.served import served as served_app

RIGHT = "def double(x):\n    return 2 * x"
WRONG = "def double(x):\n    return x"
SCRIPT = {
    "problems": {
        "*": {
            "depths": [
                [{"type": "define", "text": "Multiply by two."}],
                [{"type": "code", "text": RIGHT, "weight": 3}, {"type": "code", "text": WRONG}],
            ]
        }
    }
}
ASK: list[Any] = [{"role": "user", "content": "Write a function.\nassert double(2) == 4"}]
MODELS = {
    "greedy:toy": greedy,
    "best_of_n:toy": partial(best_of_n, n=4),
    "mcts:toy": partial(mcts, simulations=8, width=4),
}


class Gated:
    """A policy that waits at its gate, and fails if told to."""

    def __init__(self) -> None:
        self.inner = ScriptedPolicy.from_rows(SCRIPT)
        self.gate = threading.Event()
        self.gate.set()
        self.batches = []
        self.fails = False

    def propose(self, requests, /):
        self.batches.append(len(requests))
        assert self.gate.wait(20)
        if self.fails:
            raise PolicyError("the engine is down")
        return self.inner.propose(requests)


class Served:
    """A server in a thread of this process."""

    def __init__(self, *, live=64, waiting=64, key=None, acting=None) -> None:
        self.policy = Gated()
        model = ReasoningModel([Problem("", "?")], default_judge(), max_steps=4)
        self.desk = Desk(model, self.policy, live=live, waiting=waiting)
        own = {"acting:toy": ActingPolicy(acting, self.desk.questions)} if acting else {}
        models = MODELS | {name: partial(play, agent="made here") for name in own}
        app = make_app(self.desk, models, Bounds(), policies=own, key=key)
        self.serving = ExitStack()
        port = self.serving.enter_context(served_app(app, timeout_graceful_shutdown=2))
        self.url = f"http://127.0.0.1:{port}/v1"
        self.client = openai.OpenAI(base_url=self.url, api_key="none", max_retries=0, timeout=30)

    def ask(self, model="mcts:toy", messages=ASK, **options):
        return self.client.chat.completions.create(model=model, messages=messages, **options)

    def post(self, body, **options):
        return httpx.post(f"{self.url}/chat/completions", content=body, timeout=30, **options)

    def wait_until(self, condition) -> None:
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.005)

    def close(self) -> None:
        self.policy.gate.set()
        self.client.close()
        self.serving.close()


@pytest.fixture(scope="module")
def served():
    server = Served()
    yield server
    server.close()


@pytest.fixture
def serve():
    """Starts servers of one's own."""
    servers = []

    def start(*arguments, **options):
        servers.append(Served(*arguments, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_models_are_listed(served):
    assert [model.id for model in served.client.models.list()] == list(MODELS)
    assert served.client.models.retrieve("mcts:toy").owned_by == "o1coder-gym"
    with pytest.raises(openai.NotFoundError, match="no model 'gpt'"):
        served.client.models.retrieve("gpt")


def test_a_completion_is_the_program_that_passes(served):
    done = served.ask(seed=1)
    (choice,) = done.choices
    assert choice.message.content == f"```python\n{RIGHT}\n```"
    assert choice.finish_reason == "stop"
    assert choice.value == 1.0
    assert "### Step 1 (define)\nMultiply by two." in choice.message.reasoning_content
    assert "→ pass, 1 of 1 public tests passed" in choice.message.reasoning_content
    assert done.usage.completion_tokens > 0
    assert done.usage.executions >= 1


def test_equal_seeds_give_equal_answers(served):
    first, again, other = (served.ask("greedy:toy", seed=seed, n=4) for seed in (3, 3, 4))
    texts = [[choice.message.reasoning_content for choice in done.choices] for done in (first, again, other)]
    assert texts[0] == texts[1]


def test_n_completions_are_n_searches(served):
    done = served.ask("best_of_n:toy", n=3, seed=5)
    assert [choice.index for choice in done.choices] == [0, 1, 2]
    one = served.ask("best_of_n:toy", seed=5)
    assert one.choices[0].message.reasoning_content == done.choices[0].message.reasoning_content


def test_the_reasoning_is_streamed_before_the_answer(served):
    stream = served.ask(stream=True, n=2, stream_options={"include_usage": True})
    reasoning, content, reasons, usage = {0: "", 1: ""}, {0: "", 1: ""}, {}, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            more = getattr(choice.delta, "reasoning_content", None)
            if more:
                assert content[choice.index] == ""
                reasoning[choice.index] += more
            content[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason or reasons.get(choice.index)
    assert content == {0: f"```python\n{RIGHT}\n```", 1: f"```python\n{RIGHT}\n```"}
    assert all("### Step 2 (code)" in text for text in reasoning.values())
    assert reasons == {0: "stop", 1: "stop"}
    assert usage is not None
    assert usage.completion_tokens > 0


def test_a_budget_too_small_for_a_program(served):
    choice = served.ask(max_tokens=1).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("", "length")


def test_stop_strings_end_the_answer(served):
    assert served.ask(stop=["\n    return"], seed=1).choices[0].message.content == "```python\ndef double(x):"
    assert served.ask(stop="absent", seed=1).choices[0].message.content.endswith("```")


def test_tests_of_the_request_decide(served):
    plain = [{"role": "user", "content": [{"type": "text", "text": "Write a function that doubles."}]}]
    brought = {"entry_point": "double", "public_tests": ["assert double(5) == 10"]}
    choice = served.ask(messages=plain, extra_body=brought).choices[0]
    assert choice.message.content == f"```python\n{RIGHT}\n```"


@pytest.mark.parametrize(
    ("changed", "parameter"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "wizard", "content": "?"}]}, "messages.0.role"),
        ({"messages": [*ASK, {"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 40_000}]}, "messages"),
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"max_tokens": 5000}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"temperature": 9}, "temperature"),
        ({"tools": [{"type": "function"}]}, None),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"entry_point": "not a name"}, "entry_point"),
        ({"public_tests": ["import os"]}, "public_tests"),
        ({"model": 7}, "model"),
    ],
    ids=str,
)
def test_what_cannot_be_served_is_a_400(served, changed, parameter):
    answer = served.post(json.dumps({"model": "mcts:toy", "messages": ASK} | changed))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert (error["param"] or "").startswith(parameter or "")
    assert "\n" not in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"model": "mcts:toy"}', b"[" * 100_000])
def test_what_is_no_request_is_a_400(served, body):
    answer = served.post(body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_too_large_a_body_is_a_413(served):
    def endless():
        while True:
            yield b" " * 65536

    assert served.post(b" " * 300_000).status_code == 413
    with pytest.raises(openai.APIStatusError) as caught:
        served.ask(messages=[{"role": "user", "content": "x" * 300_000}])
    assert caught.value.status_code == 413


def test_other_addresses_and_models_are_404(served):
    with pytest.raises(openai.NotFoundError, match="known: greedy:toy"):
        served.ask("gpt-4o")
    assert httpx.get(f"{served.url}/nothing").json()["error"]["type"] == "invalid_request_error"
    assert httpx.get(f"{served.url}/chat/completions").status_code == 405


def test_thirty_two_at_once_share_one_driver(serve):
    server = serve()
    server.policy.gate.clear()
    with ThreadPoolExecutor(32) as pool:
        futures = [pool.submit(server.ask, seed=i) for i in range(32)]
        server.wait_until(lambda: server.desk.busy == 32)
        server.policy.gate.set()
        done = [future.result(30) for future in futures]
    assert [one.choices[0].message.content for one in done] == [f"```python\n{RIGHT}\n```"] * 32
    assert len({one.id for one in done}) == 32
    assert max(server.policy.batches) > 16  # their requests left together
    server.wait_until(lambda: server.desk.busy == 0)


def test_a_thousand_at_once_are_served_or_told_to_come_again(serve):
    server = serve(live=16, waiting=48)
    body = json.dumps({"model": "greedy:toy", "messages": ASK}).encode()
    found = crowd(int(server.url.split(":")[2].split("/")[0]), "/v1/chat/completions", body)
    assert set(found) <= {b"200", b"429"}  # how many come too soon depends on the machine
    assert found[b"200"] >= 64
    server.wait_until(lambda: server.desk.busy == 0)
    assert server.ask().choices


def test_more_than_may_wait_is_a_429(serve):
    server = serve(live=1, waiting=1)
    server.policy.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(server.ask) for _ in range(2)]
        server.wait_until(lambda: server.desk.busy == 2)
        with pytest.raises(openai.RateLimitError, match="at most 2 may"):
            server.ask()
        server.policy.gate.set()
        assert all(future.result(30).choices for future in futures)
    assert server.ask().choices


def test_a_failure_of_the_engine_is_a_500_and_ends_nothing_else(serve):
    server = serve()
    server.policy.fails = True
    with pytest.raises(openai.InternalServerError, match="the engine is down"):
        server.ask()
    with pytest.raises(openai.APIError, match="the engine is down"):
        list(server.ask(stream=True))
    server.policy.fails = False
    assert server.ask().choices[0].finish_reason == "stop"


def test_who_hangs_up_is_not_searched_for(serve):
    server = serve()
    server.policy.gate.clear()
    with server.ask(stream=True) as stream:
        next(iter(stream))
        assert server.desk.busy == 1
    server.policy.gate.set()
    server.wait_until(lambda: server.desk.busy == 0)
    server.policy.gate.clear()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/chat/completions", json={"model": "mcts:toy", "messages": ASK}, timeout=0.3)
    server.wait_until(lambda: server.desk.busy == 0)


def test_shutdown_ends_what_runs(serve):
    server = serve()
    server.policy.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(server.ask)
        server.wait_until(lambda: server.policy.batches)
        server.desk.close(0.1)
        with pytest.raises(openai.InternalServerError, match="cancelled"):
            future.result(20)
    with pytest.raises(openai.InternalServerError) as caught:
        server.ask()
    assert caught.value.status_code == 503


def test_a_key_is_asked_for(serve):
    server = serve(key="secret")
    with pytest.raises(openai.AuthenticationError):
        server.ask()
    with openai.OpenAI(base_url=server.url, api_key="secret", max_retries=0) as client:
        assert client.chat.completions.create(model="greedy:toy", messages=ASK).choices


def test_an_acting_agent_is_served_beside_the_others(serve):
    class Doubling:
        tokens = 0

        def act(self, observation, info):
            self.tokens += 7
            if observation["depth"] == 0:
                return "### Step 1 (define)\nTwice " + observation["question"][:20]
            return f"### Step 2 (code)\n```python\n{RIGHT}\n```\n"

    server = serve(acting=Doubling)
    for name in ("acting:toy", "greedy:toy", "acting:toy"):
        answer = server.ask(name)
        assert "return 2 * x" in answer.choices[0].message.content
        assert (answer.usage.completion_tokens == 14) == (name == "acting:toy")
    assert len(server.policy.batches) == 2  # those of the one that acts go elsewhere


def test_names_of_models():
    names = offered(["mcts:width=2", "greedy"], "hf:Qwen/Qwen2.5-Coder-0.5B?dtype=float32")
    assert list(names)[:2] == ["mcts:width=2:Qwen2.5-Coder-0.5B", "greedy:Qwen2.5-Coder-0.5B"]
    assert "greedy:hf:Qwen/Qwen2.5-Coder-0.5B?dtype=float32" in names
    assert "mcts:small" in offered(["mcts"], "openai:http://localhost:8000/v1#small")
    assert list(offered(["greedy"], "hf:runs/rl/model")) == ["greedy:rl/model", "greedy:hf:runs/rl/model"]
    with pytest.raises(UnknownNameError, match="oracle"):
        offered(["oracle"], "hf:x")


def test_the_command_serves_and_ends_cleanly(tmp_path):
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    command = [sys.executable, "-m", "o1coder_gym.cli.main", "serve", "--port", "0"]
    command += ["--policy", f"scripted:{tmp_path / 'script.json'}", "--agent", "greedy"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines = []
        while not (found := re.search(r"running on (http://\S+)", lines[-1] if lines else "")):
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        with openai.OpenAI(base_url=f"{found[1]}/v1", api_key="none", max_retries=0) as client:
            name = client.models.list().data[0].id
            assert name == "greedy:script.json"
            done = client.chat.completions.create(model=name, messages=ASK)
            assert "def double" in str(done.choices[0].message.content)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert "Traceback" not in errors
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(found[1].rpartition(":")[2])), timeout=1)


def test_without_the_extra_it_is_said(monkeypatch):
    from o1coder_gym.cli.tools import serve as command

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtraError, match=r"o1coder-gym\[serve\]"):
        command.serve(command.ServeSettings())
