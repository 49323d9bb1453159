"""A chat-completions server that knows the reference programs of a problem set, for tests of real frameworks.

Every second answer to a question is wrong: a program that returns None. Standard library only.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from o1coder_gym.problems.loading import load_rows


def programs(problems: str) -> dict[str, tuple[str, str]]:
    """Returns by question: the reference, and a program that is wrong."""
    return {
        row.problem.prompt.strip(): (
            row.reference or "",
            f"def {row.problem.entry_point}(*a):\n    return None",
        )
        for row in load_rows(problems)
    }


class ScriptedServer(ThreadingHTTPServer):
    """Answers by the reference, then wrongly, in turns."""

    daemon_threads = True

    def __init__(self, problems: str, *, always_right: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.known = programs(problems)
        self.asked: Counter[str] = Counter()
        self.always_right = always_right
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def answer(self, messages: list[dict[str, Any]]) -> str:
        """Returns the next answer of a conversation: a plan first where steps are asked for."""
        text = "\n".join(_text(message) for message in messages)
        question = max((known for known in self.known if known in text), key=text.rfind, default="")
        right, wrong = self.known.get(question, ("", "pass"))
        steps = "### Step" in text
        if steps and messages[-1]["role"] == "user" and question in _text(messages[-1]):
            return "### Step 1 (define)\nThink of the simplest way.\n"
        with self.lock:
            self.asked[question] += 1
            good = self.always_right or self.asked[question] % 2 == 1
        code = f"```python\n{right if good else wrong}\n```\n"
        return f"### Step 2 (code)\n{code}" if steps else f"Here it is:\n{code}"


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """Lists the model."""
        self._send({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    def do_POST(self) -> None:
        """Answers a conversation, or continues a text."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        count = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        base = {"id": "x", "created": 0, "model": asked.get("model", "scripted"), "usage": count}
        if re.search(r"chat/completions$", self.path):
            message = {"role": "assistant", "content": self.server.answer(asked["messages"])}
            if asked.get("stream"):
                self._stream(base, message)
                return
            choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
            self._send({**base, "object": "chat.completion", "choices": [choice]})
            return
        text = self.server.answer([{"role": "user", "content": asked["prompt"]}])
        choice = {"index": 0, "finish_reason": "stop", "text": text, "logprobs": None}
        self._send({**base, "object": "text_completion", "choices": [choice]})

    def _stream(self, base: dict[str, Any], message: dict[str, Any]) -> None:
        usage = base.pop("usage")
        base["object"] = "chat.completion.chunk"
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": message, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": usage},
        ]
        lines = [f"data: {json.dumps(base | chunk)}\n\n" for chunk in chunks]
        data = "".join([*lines, "data: [DONE]\n\n"]).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def scripted(problems: str, *, always_right: bool = False) -> Iterator[ScriptedServer]:
    """Runs a server while the block runs."""
    server = ScriptedServer(problems, always_right=always_right)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
