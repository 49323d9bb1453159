"""HTTP as gateways, proxies and environments have it: an address is asked, or refused in one sentence."""

import gc
import itertools
import json
import re
import socket
import threading
import time
from email.utils import formatdate

import pytest

pytest.importorskip("httpx")

from o1coder_gym.errors import PolicyError, UsageError
from o1coder_gym.policies import LanguageModelPolicy, OpenAIEngine, OpenAISettings, load_policy
from o1coder_gym.policies.server.http import Refused, Servers, own_key, retry_after
from o1coder_gym.steps.formats import PSEUDOCODE, VANILLA
from o1coder_gym.types import PolicyRequest, Problem, State

PROBLEM = Problem("t/0", "Add two numbers.", "add")
ADD = "def add(a, b):\n    return a + b"
STEP = "### Step 1 (define)\na plan\n"


def said(text):
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 30}}).encode()


GOOD = said(f"```python\n{ADD}\n```")


def response(body=GOOD, status=200, **headers):
    named = {"Content-Length": str(len(body)), "Connection": "close"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Wire:
    """Answers each request with the bytes that a function of request line and body returns."""

    def __init__(self, reply):
        self.reply, self.seen = reply, []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        while True:
            connection, _ = self.listening.accept()
            with connection:
                head, _, body = self._read(connection).partition(b"\r\n\r\n")
                if not head:
                    return
                line = head.decode().partition("\r\n")[0]
                self.seen.append(line)
                connection.sendall(self.reply(line, body.decode()))

    def _read(self, connection):
        data = b""
        while b"\r\n\r\n" not in data and (more := connection.recv(65536)):
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        (length,) = re.findall(rb"(?i)content-length: *(\d+)", head) or [0]
        while len(body) < int(length):
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body if head else b""

    def close(self):
        socket.create_connection(self.listening.getsockname()).close()
        self.thread.join()
        self.listening.close()


@pytest.fixture
def wire():
    opened = []

    def start(reply):
        def outside_too(line, body):
            return response(b"{}", 404) if "/tokenize" in line else reply(line, body)

        opened.append(Wire(outside_too))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def propose():
    opened = []

    def run(base, step_format=VANILLA, tries=2):
        settings = OpenAISettings(tries=tries, backoff_s=0.001, timeout_s=5.0, parallel=1)
        opened.append(OpenAIEngine([base], "m", settings))
        policy = LanguageModelPolicy(opened[-1], step_format)
        return policy.propose([PolicyRequest(PROBLEM, State("t/0"))])[0][0]

    yield run
    for engine in opened:
        engine.close()


@pytest.mark.parametrize(
    "body",
    [b"\xef\xbb\xbf" + GOOD, GOOD.decode().encode("utf-16")],
    ids=["byte order mark", "UTF-16"],
)
def test_json_in_any_encoding_is_read(wire, propose, body):
    assert VANILLA.parse(propose(f"{wire(lambda *_: response(body)).base}/v1").text).text == ADD


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (lambda *_: response()[:-20], "peer closed connection"),
        (lambda *_: b"", "disconnected"),
        (lambda *_: response(Content_Encoding="gzip"), "DecodingError"),
        (lambda line, _: response(b"", 307, Location=line.split()[1]), "TooManyRedirects"),
        (lambda *_: response(b"[" * 100_000), "not JSON that is an object"),
    ],
    ids=["dropped in mid-body", "dropped at once", "not gzip", "redirected for ever", "deeply nested"],
)
def test_a_broken_answer_is_a_typed_error(wire, propose, reply, words):
    with pytest.raises(PolicyError, match=rf"{words}.*\(tried 1 times\)"):
        propose(f"{wire(reply).base}/v1", tries=1)


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_loses_the_request_names_the_address(wire, propose, status):
    moved = wire(lambda *_: response())
    server = wire(lambda line, _: response(b"", status, Location=moved.base + line.split()[1]))
    with pytest.raises(
        PolicyError, match=f"redirected to {moved.base}/v1/chat/completions; name the address"
    ):
        propose(f"{server.base}/v1")


def test_a_redirect_that_keeps_the_request_is_followed(wire, propose):
    moved = wire(lambda *_: response())
    server = wire(lambda line, _: response(b"", 307, Location=moved.base + line.split()[1]))
    assert VANILLA.parse(propose(f"{server.base}/v1").text).text == ADD


def test_an_address_may_have_a_query_blanks_and_slashes(wire, propose):
    server = wire(lambda *_: response())
    propose(f" {server.base}/v1//?api-version=1 ")
    assert server.seen[0].startswith("POST /tokenize?api-version=1 ")
    assert server.seen[-1].startswith("POST /v1/chat/completions?api-version=1 ")
    spec = f"openai:{server.base}/v1%3Fapi-version=2,?model=m"
    load_policy(spec, format="vanilla").propose([PolicyRequest(PROBLEM, State("t/0"))])
    assert server.seen[-1].startswith("POST /v1/chat/completions?api-version=2 ")


@pytest.mark.parametrize("end", ["", "/v1/chat/completions", "/openai"])
def test_an_address_with_another_end_is_told(wire, propose, end):
    server = wire(lambda *_: response(b"{}", 404))
    with pytest.raises(PolicyError, match=r"HTTP 404.*usually end in /v1"):
        propose(f"{server.base}{end}")


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "http://", "http://127.0.0.1:99999/v1", "http://a..b/v1", "ftp://a/v1", "localhost", " "],
)
def test_what_is_no_address_is_refused_at_once(url):
    with pytest.raises(UsageError, match="is not the address of a server"):
        OpenAIEngine([url], "m")


@pytest.mark.parametrize("key", ["secret\nkey", "schlüssel", "secret\x7f"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as refused:
        own_key()
    assert key not in str(refused.value)


def test_a_key_from_a_file_loses_its_line_end(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", " abc\r\n")
    assert own_key() == {"Authorization": "Bearer abc"}
    monkeypatch.setenv("OPENAI_API_KEY", "\n")
    assert own_key() == {}


def test_a_proxy_that_cannot_be_used_is_told(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "foo://127.0.0.1:1")
    with pytest.raises(UsageError, match=r"proxy or certificates cannot be used: .*foo"):
        OpenAIEngine(["http://127.0.0.1:1/v1"], "m")


def test_a_template_that_refuses_is_no_failure_to_try_again(wire, propose):
    """llama.cpp answers so with status 500, LM Studio with 200."""

    def reply(status, words):
        refusal = response(json.dumps({"error": words}).encode(), status)
        return lambda _, body: refusal if '"system"' in body else response(said(STEP))

    for status, words in (
        (500, {"code": 500, "message": "Jinja Exception: System role not supported"}),
        (200, "Error rendering prompt with jinja template: Only user and assistant roles are supported!"),
    ):
        server = wire(reply(status, words))
        assert PSEUDOCODE.parse(propose(f"{server.base}/v1", PSEUDOCODE, tries=1).text).text == "a plan"


@pytest.mark.parametrize(
    "page",
    [
        b'{"error":"Unexpected endpoint or method. (POST /tokenize)"}',
        b'{"status":"ok"}',
        b"<html>Chat</html>",
    ],
    ids=["LM Studio", "a status", "a page"],
)
def test_a_server_without_tokenizer_may_say_so_with_status_200(propose, page):
    server = Wire(lambda line, _: response(page if "/tokenize" in line else GOOD))
    try:
        assert VANILLA.parse(propose(f"{server.base}/v1", tries=1).text).text == ADD
        assert sum("/tokenize" in line for line in server.seen) == 1
    finally:
        server.close()


def test_a_server_that_tokenises_texts_alone_gets_messages(propose):
    """SGLang has no ``messages`` there."""

    def reply(line, body):
        if "/tokenize" not in line:
            return response()
        lacks = response(b'{"detail":[{"loc":["body","prompt"],"msg":"Field required"}]}', 422)
        return response(b'{"tokens":[1]}') if "prompt" in json.loads(body) else lacks

    server = Wire(reply)
    try:
        assert VANILLA.parse(propose(f"{server.base}/v1", tries=1).text).text == ADD
        forced = OpenAIEngine([f"{server.base}/v1"], "m", OpenAISettings(api="tokens", tries=1))
        with pytest.raises(Refused, match="Field required"):
            forced.encode(VANILLA.prompt(PROBLEM, State("t/0")))
        forced.close()
    finally:
        server.close()


def test_a_server_that_says_at_once_for_ever_is_not_asked_in_a_burst(wire):
    server = wire(lambda *_: response(b"slow down", 429, Retry_After="0"))
    servers = Servers([f"{server.base}/v1"], headers={}, connections=1, timeout_s=5.0, tries=3, backoff_s=0.2)
    begun = time.monotonic()
    with pytest.raises(PolicyError, match=r"slow down \(tried 3 times\)"):
        servers.post("chat/completions", {})
    assert time.monotonic() - begun >= 0.2  # twice the mean, with jitter at least half of it
    servers.close()


def answering(*names):
    """Answers with one name of a model after the other."""
    left = itertools.cycle(names)
    return lambda *_: response(json.dumps(json.loads(GOOD) | {"model": next(left)}).encode())


def asked(base, times):
    engine = OpenAIEngine([f"{base}/v1"], "owner/Coder-0.5B", OpenAISettings(api="chat", parallel=1, tries=1))
    policy = LanguageModelPolicy(engine, VANILLA)
    try:
        for _ in range(times):
            policy.propose([PolicyRequest(PROBLEM, State("t/0"))])
        return engine.abilities().model
    finally:
        engine.close()


def test_another_model_that_answers_is_told_once(wire):
    names = ["Other-7B", "Other-7B", "owner/Coder-0.5B", "Other-7B"]
    with pytest.warns(
        UserWarning, match="'owner/Coder-0.5B' was asked for, .* answers as 'Other-7B'"
    ) as told:
        asked(wire(answering(*names)).base, 3)
    assert len(told) == 1
    endless = [f"name {number}" for number in range(100)]
    with pytest.warns(UserWarning, match="answers as 'name ") as told:
        asked(wire(answering(*endless)).base, 30)
    assert len(told) == 8


@pytest.mark.parametrize("name", ["coder-0.5b-2026-11-01", "/models/Coder-0.5B.gguf", "owner/Coder-0.5B/"])
def test_another_name_of_the_model_is_not_told(wire, name):
    assert asked(wire(answering(name)).base, 2) == name


@pytest.mark.parametrize("name", [None, 7, "", "\x1b[31mred", ["m"]])
def test_what_is_no_name_is_left_out(wire, name):
    assert not asked(wire(answering(name)).base, 2)


def test_connections_end_with_the_pool():
    servers = Servers(
        ["http://localhost:1"], headers={}, connections=1, timeout_s=5.0, tries=1, backoff_s=0.0
    )
    client = servers._client
    assert not client.is_closed
    del servers
    gc.collect()
    assert client.is_closed


def test_a_date_to_wait_for_is_of_the_servers_clock():
    an_hour_ahead = time.time() + 3600
    headers = {"date": formatdate(an_hour_ahead), "retry-after": formatdate(an_hour_ahead + 2)}
    assert retry_after(headers) == 2.0
    assert retry_after(headers | {"date": "never"}) == pytest.approx(3602, abs=5)
