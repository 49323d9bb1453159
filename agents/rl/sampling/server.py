"""One vLLM server that takes weights, spoken to without retries: what fails is told."""

from __future__ import annotations

from typing import Any

from o1coder_gym.errors import PolicyError

TEACH = "VLLM_SERVER_DEV_MODE=1 and --worker-extension-cls o1coder_gym.policies.vllm.versions:KnowsItsWeights"
ALLOW = "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora"
RESUME = "the run goes on with --resume"


class WeightServer:
    """The routes of a vLLM server that concern its weights."""

    def __init__(self, url: str, timeout_s: float) -> None:
        """Connects to nothing yet.

        Args:
            url: Base URL, which ends in ``/v1``.
            timeout_s: For one answer; weights take as long as they take to read.
        """
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s

    def models(self) -> dict[str, str]:
        """Returns the names of the models and adapters that it serves, each with where it comes from."""
        answer = self._ask("GET", "/v1/models", None)
        try:
            return {model["id"]: str(model.get("root") or "") for model in answer["data"]}
        except (KeyError, TypeError, AttributeError) as error:
            raise PolicyError(f"{self.url}/models: the answer lacks {error}") from error

    def take_weights(self, file: str, version: str) -> None:
        """Makes all its workers read a file of weights, and drops its kept prefixes."""
        self._held_after("take_weights", file, version)
        self._ask("POST", "/reset_prefix_cache", None)

    def note_weights(self, version: str) -> None:
        """Tells its workers what the weights are called that they were sent."""
        self._held_after("note_weights", version)
        self._ask("POST", "/reset_prefix_cache", None)

    def which_weights(self) -> str:
        """Returns the version of its weights; "" for those of its start, and where its workers differ."""
        held = self._call("which_weights")
        return held[0] if len(set(held)) == 1 else ""

    def load_adapter(self, name: str, folder: str) -> None:
        """Makes it serve adapters under a name."""
        body = {"lora_name": name, "lora_path": folder}
        self._ask("POST", "/v1/load_lora_adapter", body, needs=ALLOW)

    def unload_adapter(self, name: str) -> None:
        """Makes it forget adapters."""
        self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": name}, needs=ALLOW)

    def _held_after(self, method: str, *arguments: str) -> None:
        """Calls a method of the workers whose last argument is a version, which they have to hold then."""
        held = self._call(method, *arguments)
        if set(held) != {arguments[-1]}:
            has = ", ".join(map(repr, held))
            raise PolicyError(f"{self.url} was sent the weights {arguments[-1]!r} and has {has}; {RESUME}")

    def _call(self, method: str, *arguments: str) -> list[str]:
        """Calls a method of all workers; returns their answers."""
        body = {"method": method, "args": list(arguments)}
        answer = self._ask("POST", "/collective_rpc", body, needs=TEACH)
        try:
            return [str(one) for one in answer["results"]]
        except (KeyError, TypeError) as error:
            raise PolicyError(f"{self.url}: the answer to {method} has no results") from error

    def _ask(self, verb: str, path: str, body: Any, *, needs: str = "VLLM_SERVER_DEV_MODE=1") -> Any:
        """Sends a request; returns the answer, read where it is JSON.

        Raises:
            PolicyError: When there is none, or a refusal; says what the server has to be started with.
        """
        import httpx

        root = self.url.removesuffix("/v1")
        try:
            answer = httpx.request(verb, root + path, json=body, timeout=self._timeout_s)
        except httpx.TransportError as error:
            raise PolicyError(f"{root}{path}: {type(error).__name__}: {error}; {RESUME}") from error
        if answer.status_code in (404, 405):
            raise PolicyError(f"{root} has no {path}; start it with {needs}")
        if answer.status_code >= 400:
            said = " ".join(answer.text.split())[:300]
            raise PolicyError(f"{root}{path}: HTTP {answer.status_code}: {said}; does it run with {needs}?")
        kind = answer.headers.get("content-type", "")
        return answer.json() if kind.startswith("application/json") and answer.content else answer.text
