"""A tiny random model with a byte tokenizer, and an HTTP server that speaks as model servers do."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from o1coder_gym.policies import OpenAIEngine, OpenAISettings
from o1coder_gym.policies.server.abilities import PROBE

QUICK = OpenAISettings(tries=3, backoff_s=0.001, timeout_s=5.0)


def byte_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate([*letters, "<end>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


@pytest.fixture(scope="session")
def tiny() -> tuple[Any, Any]:
    """A Qwen2 with grouped queries, float32, random weights large enough for lively distributions."""
    torch = pytest.importorskip("torch")
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=257,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=256,
    )
    return Qwen2ForCausalLM(config).eval(), byte_tokenizer()


def spelled(ids):
    """The text of ids that are characters."""
    return "".join(map(chr, ids))


class Server:
    """Tokens are characters. `replies` are what the model says; `failures` come first, one each.

    `misbehave` is shown the prompt of each request and may return an answer of its own: a status and a
    body; the status 0 drops the connection. `controls` are control tokens, which vLLM leaves out of texts.
    """

    def __init__(
        self,
        replies=("plan\n\n",),
        *,
        tokens=True,
        choices=None,
        template=True,
        controls=(),
        misbehave=lambda prompt: None,
    ):
        self.replies, self.tokens, self.choices = list(replies), tokens, choices
        self.template, self.misbehave, self.tail = template, misbehave, ""
        self.controls = controls
        self.failures, self.seen = [], []
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, answer = server.answer(self.path, body, self.headers)
                if status == 0:
                    self.close_connection = True
                    return
                data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                with suppress(ConnectionError):  # who asked has hung up, as some tests do
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
            if "messages" in body and not self.template:
                return 400, {"error": "the model has no chat template"}
            turns = "".join(turn["content"] for turn in body.get("messages", ()))
            return 200, {"tokens": [ord(letter) for letter in turns or body["prompt"]]}
        if path == "/detokenize":
            return 200, {"prompt": spelled(body["tokens"]) + self.tail}
        if PROBE[0] in json.dumps(body.get("messages", ())):
            return 200, {"choices": [{"message": {"content": PROBE[0]}, "finish_reason": "stop"}]}
        with self._lock:
            self.seen.append((path, body, headers.get("authorization")))
            if self.failures:
                return self.failures.pop(0)
        shown = spelled(body["prompt"]) if "prompt" in body else body["messages"][-1]["content"]
        if (failure := self.misbehave(shown)) is not None:
            return failure
        asked = body.get("n", 1)
        choices = [self.choice(path, body, i) for i in range(min(asked, self.choices or asked))]
        spent = sum(len(self.replies[i % len(self.replies)]) for i in range(len(choices)))
        details = {"cached_tokens": 3}
        usage = {"prompt_tokens": 10, "completion_tokens": spent, "prompt_tokens_details": details}
        return 200, {"choices": choices, "usage": usage}

    def choice(self, path, body, index):
        said = self.replies[index % len(self.replies)]
        shown = said
        for control in self.controls if body.get("skip_special_tokens", True) else ():
            shown = shown.replace(control, "")
        ends = [shown.find(stop) for stop in body.get("stop", ()) if stop in shown]
        text = shown[: min(ends)] if ends else shown
        if path.endswith("chat/completions"):
            entries = [{"token": letter, "logprob": -0.5} for letter in text]
            scored = {"logprobs": {"content": entries}} if body.get("logprobs") else {}
            return {"message": {"content": text}, "finish_reason": "stop", **scored}
        scored = {"tokens": list(said), "token_logprobs": [-0.5] * len(said)}
        kept = {"logprobs": scored} if body.get("logprobs") is not None else {}
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
