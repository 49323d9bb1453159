"""Client of one vLLM server that takes weights; it reports failures instead of retrying."""

from __future__ import annotations

from typing import Any

from o1coder_gym.errors import PolicyError, require
from o1coder_gym.policies.server.http import address, base_url, json_object, new_client, own_key, shortened

OPEN = "VLLM_SERVER_DEV_MODE=1 (vLLM 0.31 or newer)"
TEACH = "--worker-extension-cls o1coder_gym.policies.vllm.repacking.Repacks"
ALLOW = "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora"
RESUME = "continue the run with --resume"


class WeightServer:
    """The routes of a vLLM server that concern its weights."""

    def __init__(self, url: str, timeout_s: float, advice: str = "") -> None:
        """Connects to nothing yet.

        Args:
            url: Base URL, which ends in ``/v1``.
            timeout_s: For one answer; weights take as long as they take to read.
            advice: What to do once the server has failed; "" where nothing has begun that could go on.

        Raises:
            MissingExtraError: When httpx is not installed.
            UsageError: When no server can have this address.
        """
        require("openai", "httpx")
        self.url = base_url(url)
        self._timeout_s = timeout_s
        self._advice = f"; {advice}" if advice else ""

    def models(self, *, adapters: bool = True) -> dict[str, str]:
        """Returns the names of the server's models and adapters, each with its origin."""
        path = "/v1/models"
        listed = self._told(path, "data")
        try:
            # Adapters name their model: those of a run that was killed are still there.
            listed = (model for model in listed if adapters or not model.get("parent"))
            return {str(model["id"]): str(model.get("root") or "") for model in listed}
        except (KeyError, TypeError, AttributeError) as error:
            raise self._odd(path, "models with an id") from error

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
            raise PolicyError(f"{self.url} was sent the weights {version!r} and has {held!r}{self._advice}")

    def which_weights(self) -> str:
        """Returns the version of the server's weights; its own first weights have none of our versions."""
        return str(self._told("/weight_info", "weight_version"))

    def load_adapter(self, name: str, folder: str) -> None:
        """Makes the server serve adapters under a name."""
        body = {"lora_name": name, "lora_path": folder}
        self._ask("POST", "/v1/load_lora_adapter", body, needs=ALLOW)

    def unload_adapter(self, name: str) -> None:
        """Makes the server drop adapters."""
        self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": name}, needs=ALLOW)

    def _name_weights(self, version: str) -> None:
        self._ask("POST", "/update_weight_version", {"new_version": version})

    def _told(self, path: str, name: str) -> Any:
        """Returns a field of what the server tells.

        Raises:
            PolicyError: When its answer is no JSON object with that field, or as by `_ask`.
        """
        told = json_object(self._ask("GET", path, None))
        if told is None or name not in told:
            raise self._odd(path, name)
        return told[name]

    def _odd(self, path: str, lacking: str) -> PolicyError:
        return PolicyError(f"{address(self.url, path)}: the answer is not JSON with {lacking}{self._advice}")

    def _ask(self, verb: str, path: str, body: Any, *, needs: str = OPEN) -> bytes:
        """Sends a request; returns the answer.

        Raises:
            PolicyError: When there is none, or a refusal; says what the server has to be started with.
            UsageError: When the environment names certificates or a proxy that cannot be used.
        """
        import httpx

        url = address(self.url, path)
        # A connection of its own for each request: one that was kept would fail once after a restart.
        with new_client(own_key(), self._timeout_s) as client:
            try:
                # No retries: a second attempt could load weights over those of another version, or hide that
                # a server was restarted.
                answer = client.request(verb, url, json=body)
            except httpx.HTTPError as error:  # also of an answer that cannot be unpacked
                told = f"{type(error).__name__}: {shortened(str(error))}"
                raise PolicyError(f"{url}: {told}{self._advice}") from error
        if answer.status_code in (404, 405):
            raise PolicyError(f"{url}: the server has no such route; start it with {needs}")
        if answer.has_redirect_location:  # one that is followed could lose the body, and weights are no page
            raise PolicyError(f"{url}: redirected to {answer.headers['location']}; name that address")
        if not answer.is_success:
            said = shortened(answer.text)
            raise PolicyError(f"{url}: HTTP {answer.status_code}: {said}; does it run with {needs}?")
        return answer.content
