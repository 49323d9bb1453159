"""Samples with vLLM servers, which get the weights after each update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from o1coder_gym.agents.rl.episodes import Episode
from o1coder_gym.agents.rl.sampling.actors import Draw, Start, tagged
from o1coder_gym.agents.rl.sampling.choice import ServerSettings
from o1coder_gym.agents.rl.sampling.server import RESUME, WeightServer
from o1coder_gym.agents.rl.sampling.transfers import AdapterTransfer, FileTransfer, NCCLTransfer, Transfer
from o1coder_gym.errors import PolicyError, UsageError
from o1coder_gym.policies import LanguageModelPolicy, OpenAIEngine
from o1coder_gym.runs import ranks

UNKNOWN = -(2**31)
"""Version of weights that are not this run's."""


class ServersActor:
    """An `Actor` without weights of its own. Problems are spread over the servers, each with its prompts.

    Attributes:
        policy: Samples steps by the servers.
    """

    def __init__(self, urls: Sequence[str], settings: ServerSettings, start: Start) -> None:
        """Finds the model on the servers; no weights are sent yet.

        Args:
            urls: Of the servers, each with ``/v1`` at its end.
            settings: How they are spoken to, and how weights get there.
            start: The start of the training.

        Raises:
            UsageError: When they serve several models, or another one than adapters need.
            PolicyError: When one does not answer.
        """
        servers = [WeightServer(url, settings.timeout_s, RESUME) for url in urls]
        self._transfer = _transfer(servers, settings, start)
        self._engine = OpenAIEngine(urls, model_name(servers, settings), settings)
        self._version = UNKNOWN
        self.policy = LanguageModelPolicy(self._engine, start.step_format)

    def refresh(self, learner: Any, version: int) -> None:
        """Sends the weights of the policy in training; one rank sends, the others wait."""

        def send() -> tuple[str, str]:
            return self._transfer.send(learner, version), self._transfer.sent

        ranks.gathered(version)  # a rank that samples ahead may not be done with the weights before
        name, self._transfer.sent = ranks.from_first(send)
        # Adapters have another name for each version, so a late request cannot be answered by older ones.
        self._engine.ask_for(name)
        self._version = version

    def sample(self, draw: Draw) -> list[Episode]:
        """Samples a batch; its version is unknown if a server held other weights at the end.

        Raises:
            PolicyError: When the servers do not tell what a training needs of tokens.
        """
        episodes = draw(self.policy)
        # Without them neither the mismatch nor importance weights could be told, and tokens would have to be
        # encoded again.
        drawn = (proposal for episode in episodes for proposal in episode.proposals)
        if any(len(one.sampled_logprobs) != one.tokens for one in drawn):
            raise PolicyError("the servers return no log-probabilities of the tokens that they sample")
        # No server can have come by the right weights after it answered with wrong ones. Each rank looks: it
        # may be done later than the first, and an address may mean another server on its machine.
        if self._transfer.arrived():
            return tagged(episodes, self._version)
        if ranks.count() > 1:
            raise PolicyError(
                "a server holds other weights than it was sent: it was restarted, or ranks on other machines "
                f"reach other servers by these addresses; {RESUME}"
            )
        return tagged(episodes, UNKNOWN)

    def close(self) -> None:
        """Removes this run's weights from the servers and closes the connections."""
        if ranks.is_first():
            self._transfer.close()
        self._engine.close()


def check_servers(urls: Sequence[str], settings: ServerSettings) -> None:
    """Checks that each server can do what a training needs.

    Raises:
        MissingExtraError: When httpx is not installed.
        PolicyError: When one does not answer, or was started without what it needs.
        UsageError: When they serve several models, or an address is none.
    """
    servers = [WeightServer(url, settings.timeout_s) for url in urls]
    model_name(servers, settings)
    for server in servers if settings.transfer != "adapters" else ():
        server.which_weights()


def model_name(servers: Sequence[WeightServer], settings: ServerSettings) -> str:
    """Returns the name of the model, which is the same on all servers.

    Raises:
        PolicyError: When one does not answer.
        UsageError: When it is not told which of several is meant, or one serves no such model.
    """
    names = [set(server.models(adapters=False)) for server in servers]
    common = set.intersection(*names)
    if settings.model in common or (not settings.model and len(common) == 1):
        return settings.model or common.pop()
    listed = "; ".join(
        f"{server.url} serves {', '.join(sorted(mine))}" for server, mine in zip(servers, names, strict=True)
    )
    raise UsageError(f"{listed}: name one that all have, openai:URL,…?model=NAME")


def _transfer(servers: Sequence[WeightServer], settings: ServerSettings, start: Start) -> Transfer:
    if settings.transfer == "adapters":
        if not start.lora_rank:
            raise UsageError("transfer=adapters: this training has no adapters; give --lora-rank")
        return AdapterTransfer(servers, start.folder, start.model, settings.folder)
    model = model_name(servers, settings)
    if settings.transfer == "nccl":
        return NCCLTransfer(servers, model, settings.timeout_s)
    return FileTransfer(servers, model, settings.folder)
