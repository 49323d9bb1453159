"""The client against a real HTTP server on loopback that speaks as vLLM and as plain OpenAI servers do."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from o1coder_gym.errors import MissingExtraError, PolicyError, UsageError
from o1coder_gym.formats import PSEUDOCODE, VANILLA
from o1coder_gym.policies import LanguageModelPolicy, OpenAIEngine, OpenAISettings, load_policy
from o1coder_gym.types import PolicyRequest, Problem, Sampling, State

PROBLEM = Problem("t/0", "Add two numbers.", "add")
ROOT = State("t/0")
QUICK = OpenAISettings(tries=3, backoff_s=0.001, timeout_s=5.0)


def spelled(ids):
    return "".join(map(chr, ids))


class Server:
    """Tokens are characters. `replies` are what the model says; `failures` come first, one each."""

    def __init__(self, replies=("plan\n\n",), *, tokens=True, choices=None):
        self.replies, self.tokens, self.choices = list(replies), tokens, choices
        self.failures, self.seen = [], []
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, answer = server.answer(self.path, body, self.headers)
                data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    def answer(self, path, body, headers):
        if path == "/tokenize":
            if not self.tokens:
                return 404, {"error": "no such path"}
            turns = "".join(turn["content"] for turn in body.get("messages", ()))
            return 200, {"tokens": [ord(letter) for letter in turns or body["prompt"]]}
        with self._lock:
            self.seen.append((path, body, headers.get("authorization")))
            if self.failures:
                return self.failures.pop(0)
        choices = [self.choice(path, body, i) for i in range(min(body["n"], self.choices or body["n"]))]
        spent = sum(len(self.replies[i % len(self.replies)]) for i in range(len(choices)))
        details = {"cached_tokens": 3}
        usage = {"prompt_tokens": 10, "completion_tokens": spent, "prompt_tokens_details": details}
        return 200, {"choices": choices, "usage": usage}

    def choice(self, path, body, index):
        said = self.replies[index % len(self.replies)]
        ends = [said.find(stop) for stop in body["stop"] if stop in said]
        text = said[: min(ends)] if ends else said
        if path.endswith("chat/completions"):
            entries = [{"token": letter, "logprob": -0.5} for letter in text]
            scored = {"logprobs": {"content": entries}} if body["logprobs"] else {}
            return {"message": {"content": text}, "finish_reason": "stop", **scored}
        scored = {"tokens": list(said), "token_logprobs": [-0.5] * len(said)}
        kept = {"logprobs": scored} if body["logprobs"] is not None else {}
        return {"text": text, "token_ids": [ord(letter) for letter in said], "finish_reason": "stop", **kept}


@pytest.fixture
def serve():
    opened = []

    def start(*args, settings=QUICK, urls=None, **options):
        server = Server(*args, **options)
        engine = OpenAIEngine(urls(server) if urls else [server.url], "tiny", settings)
        opened.extend((engine, server))
        return server, engine

    yield start
    for one in opened:
        one.close()


def propose(engine, step_format=PSEUDOCODE, state=ROOT, n=1, **sampling):
    policy = LanguageModelPolicy(engine, step_format)
    return policy.propose([PolicyRequest(PROBLEM, state, n, Sampling(**sampling), 7)])[0]


def test_prompts_go_as_ids_and_children_extend_them(serve):
    server, engine = serve(["plan\n\n### Step 2 ("])
    policy = LanguageModelPolicy(engine)
    proposal = policy.propose([PolicyRequest(PROBLEM, ROOT, 1)])[0][0]
    child = ROOT.then(PSEUDOCODE.parse(proposal.text))
    policy.propose([PolicyRequest(PROBLEM, child, 1)])
    first, second = (body["prompt"] for _, body, _ in server.seen)
    assert spelled(first).endswith("### Step 1 (define)\n")
    assert spelled(second) == spelled(first) + "plan\n\n### Step 2 ("


def test_ids_and_logprobs_are_trimmed_to_the_step(serve):
    _, engine = serve(["plan\n\n### Step 2 ("])
    proposal = propose(engine)[0]
    # The server stops before "\n### Step": "plan\n" stays. It sampled 18 tokens in all.
    assert proposal.text == "### Step 1 (define)\nplan\n"
    assert spelled(proposal.token_ids) == "plan\n"
    assert (proposal.tokens, proposal.logprob) == (18, -2.5)


def test_a_program_ends_at_its_fence(serve):
    _, engine = serve(["x = 1\n```\nThis program sets x."])
    proposal = propose(engine, VANILLA)[0]
    assert VANILLA.parse(proposal.text).text == "x = 1"


def test_sampling_travels(serve):
    server, engine = serve()
    propose(engine, n=3, temperature=0.3, top_p=0.7, top_k=9, max_tokens=55)
    path, body, _ = server.seen[0]
    assert path == "/v1/completions"
    wanted = {
        "model": "tiny",
        "n": 3,
        "temperature": 0.3,
        "top_p": 0.7,
        "top_k": 9,
        "max_tokens": 55,
        "seed": 7,
    }
    assert {name: body[name] for name in wanted} == wanted


def test_servers_without_tokenizer_get_a_conversation(serve):
    server, engine = serve(["### Step 2 (refine)\nmore detail\n### Step 3 (code)\n"], tokens=False)
    state = ROOT.then(PSEUDOCODE.parse("### Step 1 (define)\nplan"))
    proposal = propose(engine, state=state)[0]
    path, body, _ = server.seen[0]
    assert path == "/v1/chat/completions"
    assert [turn["role"] for turn in body["messages"]] == ["system", "user", "assistant", "user"]
    last = body["messages"][-1]["content"]
    assert "So far:\n### Step 1 (define)\nplan" in last
    assert last.endswith("Begin your answer with: ### Step 2 (")
    assert proposal.text == "### Step 2 (refine)\nmore detail"
    assert proposal.token_ids == ()
    assert proposal.logprob == -0.5 * len("### Step 2 (refine)\nmore detail")


def test_fewer_choices_than_asked_are_asked_for_again(serve):
    server, engine = serve(choices=2)
    assert len(propose(engine, n=5)) == 5
    assert [body["n"] for _, body, _ in server.seen] == [5, 3, 1]
    assert len({body["seed"] for _, body, _ in server.seen}) == 3


@pytest.mark.parametrize(
    "failure", [(429, "slow down"), (500, "oops"), (503, "busy"), (200, "not json"), (200, "[1]")]
)
def test_passing_failures_are_retried(serve, failure):
    server, engine = serve()
    server.failures = [failure, failure]
    assert propose(engine)[0].text.endswith("plan\n\n")
    assert len(server.seen) == 3


def test_lasting_failures_are_a_typed_error(serve):
    server, engine = serve()
    server.failures = [(500, "oops")] * 3
    with pytest.raises(PolicyError, match=r"HTTP 500 \(tried 3 times\)"):
        propose(engine)
    assert len(server.seen) == 3


def test_a_refused_prompt_is_an_error_at_once(serve):
    server, engine = serve()
    server.failures = [(400, {"error": "maximum context length is 2048"})]
    with pytest.raises(PolicyError, match=r"HTTP 400: .*maximum context length"):
        propose(engine)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "answer", [{}, {"choices": []}, {"choices": [{}]}, {"choices": [None]}, {"choices": 3}]
)
def test_garbage_is_a_typed_error(serve, answer):
    server, engine = serve()
    server.failures = [(200, answer)]
    with pytest.raises(PolicyError, match="the answer"):
        propose(engine)


def test_the_next_server_takes_over(serve):
    server, engine = serve(urls=lambda server: ["http://127.0.0.1:9/v1", server.url, "http://127.0.0.1:9/v1"])
    assert propose(engine)[0].text.endswith("plan\n\n")
    assert len(server.seen) == 1


def test_a_dead_server_is_named():
    engine = OpenAIEngine(["http://127.0.0.1:9/v1"], "tiny", QUICK)
    with pytest.raises(PolicyError, match=r"127\.0\.0\.1:9.*ConnectError"):
        propose(engine)
    engine.close()


def test_the_key_comes_from_the_environment(serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "abc")
    server, engine = serve()
    propose(engine)
    assert server.seen[0][2] == "Bearer abc"


def test_counters_are_what_the_server_says(serve):
    _, engine = serve(["abcd"])
    propose(engine, n=2)
    counters = engine.counters
    assert (counters.prompt_tokens, counters.cached_tokens, counters.generated_tokens) == (7, 3, 8)
    assert (counters.requests, counters.batch_sizes) == (1, ((2, 1),))


def test_many_requests_are_in_flight_together(serve):
    server, engine = serve()
    policy = LanguageModelPolicy(engine)
    requests = [PolicyRequest(PROBLEM, ROOT, 1, Sampling(), seed) for seed in range(40)]
    assert len(policy.propose(requests)) == 40
    assert {body["seed"] for _, body, _ in server.seen} == set(range(40))


def test_the_string_names_servers_options_and_model():
    policy = load_policy("openai:http://a:1/v1,http://b:2/v1?parallel=3&tries=1#org/model")
    assert isinstance(policy, LanguageModelPolicy)
    assert policy.parallel == 3
    for spec in ("openai:http://a:1/v1", "openai:#model", "openai:http://a:1/v1?parallel=0#m"):
        with pytest.raises(UsageError):
            load_policy(spec)


def test_a_missing_extra_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"o1coder-gym\[openai\]"):
        OpenAIEngine(["http://a:1/v1"], "m")
