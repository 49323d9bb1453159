"""Client of one vLLM server that takes weights; it reports failures instead of retrying."""

from __future__ import annotations

from typing import Any

from o1coder_gym.errors import PolicyError
from o1coder_gym.policies.server.http import own_key

OPEN = "VLLM_SERVER_DEV_MODE=1 (vLLM 0.31 or newer)"
TEACH = "--worker-extension-cls o1coder_gym.policies.vllm.repacking.Repacks"
ALLOW = "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora"
RESUME = "continue the run with --resume"


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

    def models(self, *, adapters: bool = True) -> dict[str, str]:
        """Returns the names of the server's models and adapters, each with its origin."""
        answer = self._ask("GET", "/v1/models", None)
        try:
            # Adapters name their model: those of a run that was killed are still there.
            listed = (model for model in answer["data"] if adapters or not model.get("parent"))
            return {model["id"]: str(model.get("root") or "") for model in listed}
        except (KeyError, TypeError, AttributeError) as error:
            raise PolicyError(f"{self.url}/models: the answer lacks {error}") from error

    def take_weights(self, folder: str, version: str) -> None:
        """Makes all the server's workers read a folder of weights and drop their cached prefixes."""
        self._name_weights(f"half of {version}")  # whatever breaks off now
        body = {"method": "reload_weights", "kwargs": {"weights_path": folder}}
        self._ask("POST", "/collective_rpc", body)
        self._ask("POST", "/collective_rpc", {"method": "repack_tied"}, needs=TEACH)
        self.note_weights(version)

    def note_weights(self, version: str) -> None:
        """Tells the server which weights it was sent, and drops its cached prefixes.

        Raises:
            PolicyError: When it does not answer that it has them.
        """
        self._ask("POST", "/reset_prefix_cache", None)
        self._name_weights(version)
        if (held := self.which_weights()) != version:
            raise PolicyError(f"{self.url} was sent the weights {version!r} and has {held!r}; {RESUME}")

    def which_weights(self) -> str:
        """Returns the version of the server's weights; its own first weights have none of our versions."""
        answer = self._ask("GET", "/weight_info", None)
        try:
            return str(answer["weight_version"])
        except (KeyError, TypeError) as error:
            raise PolicyError(f"{self.url}: the answer to /weight_info has no version") from error

    def load_adapter(self, name: str, folder: str) -> None:
        """Makes the server serve adapters under a name."""
        body = {"lora_name": name, "lora_path": folder}
        self._ask("POST", "/v1/load_lora_adapter", body, needs=ALLOW)

    def unload_adapter(self, name: str) -> None:
        """Makes the server drop adapters."""
        self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": name}, needs=ALLOW)

    def _name_weights(self, version: str) -> None:
        self._ask("POST", "/update_weight_version", {"new_version": version})

    def _ask(self, verb: str, path: str, body: Any, *, needs: str = OPEN) -> Any:
        """Sends a request; returns the answer, parsed if it is JSON.

        Raises:
            PolicyError: When there is none, or a refusal; says what the server has to be started with.
        """
        import httpx

        root = self.url.removesuffix("/v1")
        try:
            # No retries: a second attempt could load weights over those of another version, or hide that a
            # server was restarted.
            answer = httpx.request(verb, root + path, json=body, headers=own_key(), timeout=self._timeout_s)
        except httpx.TransportError as error:
            raise PolicyError(f"{root}{path}: {type(error).__name__}: {error}; {RESUME}") from error
        if answer.status_code in (404, 405):
            raise PolicyError(f"{root} has no {path}; start it with {needs}")
        if answer.status_code >= 400:
            said = " ".join(answer.text.split())[:300]
            raise PolicyError(f"{root}{path}: HTTP {answer.status_code}: {said}; does it run with {needs}?")
        kind = answer.headers.get("content-type", "")
        return answer.json() if kind.startswith("application/json") and answer.content else answer.text
