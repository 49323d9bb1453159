"""A server with the routes of vLLM, over a model of transformers whose weights can be replaced."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from o1coder_gym.models.checkpoints import load_weights
from o1coder_gym.policies import Generate, HFEngine
from o1coder_gym.steps.formats import Prompt
from o1coder_gym.types import Sampling

LOADING = threading.Lock()
"""transformers loads one model at a time: two at once leave weights untied."""

Raw = tuple[int, dict[str, str], bytes]
"""Status, headers and content of an answer."""
Misbehaviour = Callable[[str, dict[str, Any]], int | Raw | None]
"""Is shown path and body of each request; a status is answered at once, 0 drops the connection."""


class WeightedServer:
    """Serves ``tiny``. `asked` has the path of each request that was answered.

    Attributes:
        misbehave: See `Misbehaviour`.
        deaf: Whether it says yes to a version and keeps its own.
        keys: What each request said of who asks.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.misbehave: Misbehaviour = lambda path, body: None
        self.deaf = False
        self.asked: list[str] = []
        self.keys: list[str | None] = []
        self.restart()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.reply({})

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                self.reply(json.loads(self.rfile.read(length) or b"{}"))

            def reply(self, body: dict[str, Any]) -> None:
                server.keys.append(self.headers.get("authorization"))
                told = server.misbehave(self.path, body)
                if told == 0:
                    self.close_connection = True
                    return
                status, headers, data = told if isinstance(told, tuple) else self.usual(told, body)
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def usual(self, status: int | None, body: dict[str, Any]) -> Raw:
                answer: Any = {"error": "as it was told"}
                if status is None:
                    status, answer = 200, server.answer(self.path, body)
                return status if answer is not None else 404, {}, json.dumps(answer).encode()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.block_on_close = False  # connections of a test that failed stay open
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def restart(self) -> None:
        """Has the weights of its folder again, and no adapters."""
        with LOADING:
            self.model, self.tokenizer = load_weights(self.folder, "float32")
        self.engines = {"tiny": HFEngine.from_model(self.model.eval(), self.tokenizer)}
        self.held = "default"

    def close(self) -> None:
        """Ends it; a second time changes nothing."""
        if not self.thread.is_alive():
            return
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    def answer(self, path: str, body: dict[str, Any]) -> Any:
        """Returns the answer to a request; None: there is no such route."""
        self.asked.append(path)
        routes: dict[str, Callable[[dict[str, Any]], Any]] = {
            "/v1/models": self.models,
            "/v1/completions": self.complete,
            "/v1/load_lora_adapter": self.load_adapter,
            "/v1/unload_lora_adapter": self.unload_adapter,
            "/collective_rpc": self.reload,
            "/update_weight_version": self.name_weights,
            "/weight_info": lambda body: {"weight_version": self.held},
            "/reset_prefix_cache": lambda body: self.engines["tiny"].forget() or {},
            "/tokenize": lambda body: {"tokens": self.tokenize(body)},
            "/detokenize": lambda body: {"prompt": self.text.decode(body["tokens"])},
        }
        return routes[path](body) if path in routes else None

    @property
    def text(self) -> Any:
        return self.engines["tiny"]._ready()[0].text

    def models(self, body: dict[str, Any]) -> Any:
        own = {"root": str(self.folder)}
        return {
            "data": [
                {"id": name, **own, "parent": None if name == "tiny" else "tiny"} for name in self.engines
            ]
        }

    def tokenize(self, body: dict[str, Any]) -> list[int]:
        if "messages" not in body:
            return list(self.text.encode_more(body["prompt"]))
        turns = tuple((one["role"], one["content"]) for one in body["messages"])
        return list(self.text.encode(Prompt(turns, "", "")))

    def reload(self, body: dict[str, Any]) -> Any:
        from safetensors.torch import load_file

        if body["method"] == "repack_tied":
            return {"results": [None]}
        assert body["method"] == "reload_weights"
        for file in Path(body["kwargs"]["weights_path"]).glob("*.safetensors"):
            self.model.load_state_dict(load_file(file), strict=False)
        return {"results": [None]}

    def name_weights(self, body: dict[str, Any]) -> Any:
        self.held = self.held if self.deaf else body["new_version"]
        return {"success": True}

    def load_adapter(self, body: dict[str, Any]) -> Any:
        from peft import PeftModel

        with LOADING:
            base, _ = load_weights(self.folder, "float32")
            merged = PeftModel.from_pretrained(base, body["lora_path"]).merge_and_unload()  # pyright: ignore
        self.engines[body["lora_name"]] = HFEngine.from_model(merged.eval(), self.tokenizer)
        return {}

    def unload_adapter(self, body: dict[str, Any]) -> Any:
        return {} if self.engines.pop(body["lora_name"], None) else None

    def complete(self, body: dict[str, Any]) -> Any:
        if body["model"] not in self.engines:
            return None
        sampling = Sampling(body["temperature"], body["top_p"], max(0, body["top_k"]), body["max_tokens"])

        def boundary(text: str) -> int | None:
            places = [place for stop in body["stop"] if (place := text.find(stop)) >= 0]
            return min(places, default=None)

        asked = Generate(
            Prompt((), "", ""), tuple(body["prompt"]), body["n"], sampling, body["seed"], boundary
        )
        (found,) = self.engines[body["model"]].generate([asked])
        choices = [
            {
                "text": one.text,
                "token_ids": list(one.sampled_ids),
                "logprobs": {
                    "tokens": [self.text.piece(token) for token in one.sampled_ids],
                    "token_logprobs": list(one.sampled_logprobs),
                },
                "finish_reason": one.finish,
            }
            for one in found
        ]
        tokens = {
            "prompt_tokens": len(body["prompt"]),
            "completion_tokens": sum(one.tokens for one in found),
        }
        return {"model": body["model"], "choices": choices, "usage": tokens}


@contextmanager
def serving(folder: Path) -> Iterator[WeightedServer]:
    """Runs a server while the context lasts."""
    server = WeightedServer(folder)
    try:
        yield server
    finally:
        server.close()
