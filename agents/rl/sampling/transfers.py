"""Transfers of weights to servers: through a file, as LoRA adapters, or from GPU to GPU."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from o1coder_gym.agents.rl.sampling.server import RESUME, WeightServer
from o1coder_gym.agents.rl.sampling.weights import merged_weights, passing_folder, save_adapter, write_weights
from o1coder_gym.errors import MissingExtraError, PolicyError, UsageError


class Transfer(Protocol):
    """Transfers the weights of a policy in training to servers.

    Versions have a name that no other run gives: servers outlive runs.

    Attributes:
        sent: The name of what the first rank sent last.
    """

    sent: str

    def send(self, learner: Any, version: int) -> str:
        """Sends weights to all servers; returns the name of the model for later requests.

        Raises:
            PolicyError: When one of them does not have them then.
        """
        ...

    def arrived(self) -> bool:
        """Whether every server still has what was sent last."""
        ...

    def close(self) -> None:
        """Removes this run's weights from the servers."""
        ...


class FileTransfer:
    """A `Transfer` of all weights, adapters merged in, through files that the servers read."""

    def __init__(self, servers: Sequence[WeightServer], model: str, folder: str) -> None:
        """Sends nothing yet.

        Args:
            servers: All that sample.
            model: The model's name there.
            folder: One that all see; "" takes memory of this machine.
        """
        self._servers = servers
        self._model = model
        self._folder = folder
        self._run, self.sent = uuid4().hex[:8], ""

    def send(self, learner: Any, version: int) -> str:
        """Sends weights; the servers read them at the same time."""
        self.sent = f"{self._run}-{version}"
        with passing_folder(learner, self._folder) as folder:
            write_weights(merged_weights(learner), folder)
            _at_once(self._servers, lambda server: server.take_weights(str(folder), self.sent))
        return self._model

    def arrived(self) -> bool:
        """Whether every server still has what was sent last."""
        return all(server.which_weights() == self.sent for server in self._servers)

    def close(self) -> None:
        """The servers keep the last weights."""


class AdapterTransfer:
    """A `Transfer` of LoRA adapters alone, under a new name for each version."""

    def __init__(self, servers: Sequence[WeightServer], base: str, model: Any, folder: str) -> None:
        """Sends nothing yet.

        Args:
            servers: All that sample.
            base: Folder of the model that the training starts from, which they serve.
            model: That model.
            folder: One that all see; "" takes memory of this machine.

        Raises:
            PolicyError: When a server does not answer.
            UsageError: When it serves another model.
        """
        for server in servers:
            roots = server.models().values()
            if str(Path(base).resolve()) not in {str(Path(root).resolve()) for root in roots}:
                raise UsageError(
                    f"{server.url} serves {', '.join(roots)}, and adapters of {base} do not fit it; "
                    "serve that, or send all weights (transfer=files)"
                )
        self._servers = servers
        self._run, self._sends, self.sent = uuid4().hex[:8], 0, ""
        self._files = ExitStack()
        self._folder = self._files.enter_context(passing_folder(model, folder))

    def send(self, learner: Any, version: int) -> str:
        """Sends adapters, and removes the previous ones."""
        self._sends += 1  # the same version may come twice, to a server that has lost it
        name, earlier = f"{self._run}-{version}-{self._sends}", self.sent
        folder = self._folder / name
        save_adapter(learner, folder)  # stays: a server may read it again
        _at_once(self._servers, lambda server: server.load_adapter(name, str(folder)))
        self.sent = name
        # After the new ones are there: a server never stands without adapters of this run.
        if earlier:
            self._take_back(earlier)
        return name

    def _take_back(self, name: str) -> None:
        """Makes the servers drop adapters; a server that has dropped them already is skipped."""
        for server in self._servers:
            with suppress(PolicyError):
                server.unload_adapter(name)
        shutil.rmtree(self._folder / name)

    def arrived(self) -> bool:
        """Whether every server still has what was sent last."""
        return all(self.sent in server.models() for server in self._servers)

    def close(self) -> None:
        """Removes the adapters."""
        if self.sent:
            self._take_back(self.sent)
        self._files.close()


class NCCLTransfer:
    """A `Transfer` of all weights by NCCL, through TRL's client of vLLM's weight-transfer routes."""

    def __init__(self, servers: Sequence[WeightServer], model: str, timeout_s: float) -> None:
        """Sends nothing yet.

        Args:
            servers: All that sample, each with ``--weight-transfer-config '{"backend": "nccl"}'``.
            model: The model's name there.
            timeout_s: How long a server may take to answer at first.

        Raises:
            MissingExtraError: When vllm is not installed here too.
            PolicyError: When a server does not join.
        """
        self._servers = servers
        self._model = model
        self._timeout_s = timeout_s
        self._run, self.sent = uuid4().hex[:8], ""
        self._clients: list[Any] = []

    def send(self, learner: Any, version: int) -> str:
        """Sends weights, to one server after the other."""
        self.sent = f"{self._run}-{version}"
        device = next(learner.parameters()).device
        if not self._clients:
            self._clients = [self._client(server, device) for server in self._servers]
        for server, client in zip(self._servers, self._clients, strict=True):
            _asked(server, lambda client=client: _broadcast(client, learner))
            server.note_weights(self.sent)
        return self._model

    def arrived(self) -> bool:
        """Whether every server still has what was sent last."""
        return all(server.which_weights() == self.sent for server in self._servers)

    def close(self) -> None:
        """Leaves the groups."""
        for client in self._clients:
            client.close_communicator()

    def _client(self, server: WeightServer, device: Any) -> Any:
        from trl.generation.vllm_client import VLLMClient

        def connect() -> Any:
            # A port of its own for each: two runs on a machine, or two servers, would want the same.
            client = VLLMClient(
                server.url.removesuffix("/v1"), group_port=free_port(), connection_timeout=self._timeout_s
            )
            client.init_communicator(device)
            return client

        try:
            return _asked(server, connect)
        except ImportError as error:
            raise MissingExtraError("vllm", "vllm", error) from error


def _broadcast(client: Any, learner: Any) -> None:
    with client.weight_update():
        for name, value in merged_weights(learner):
            # NCCL sends memory as it lies, so views and transposed weights are copied first.
            client.update_named_param(name, value.detach().contiguous())


def _asked(server: WeightServer, ask: Any) -> Any:
    """Returns the answer of TRL's client; turns any exception of it into a sentence about a server."""
    try:
        return ask()
    except (ImportError, PolicyError):
        raise
    except Exception as error:  # TRL raises plain Exception
        said = " ".join(str(error).split())[:300]
        raise PolicyError(f"{server.url}: {type(error).__name__}: {said}; {RESUME}") from error


def _at_once(servers: Sequence[WeightServer], ask: Any) -> None:
    """Calls all servers; once all are done, raises the first failure."""
    with ThreadPoolExecutor(len(servers)) as pool:
        asked = [pool.submit(ask, server) for server in servers]
    for one in asked:
        one.result()


def free_port() -> int:
    """Returns a free port of this machine."""
    with socket.socket() as found:
        # Port 0 makes the system choose; another process may take the port before it is used, and then the
        # connection fails with a message.
        found.bind(("", 0))
        return found.getsockname()[1]
