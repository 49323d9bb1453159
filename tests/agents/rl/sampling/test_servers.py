"""Servers that sample for a training: what fails is one line, and nothing is lost."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents.rl.sampling.actors import Start
from o1coder_gym.agents.rl.sampling.making import check_sampler, make_actor
from o1coder_gym.agents.rl.sampling.sampler import Sampler
from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import O1CoderError, PolicyError, UsageError
from o1coder_gym.runs import ranks
from o1coder_gym.steps.formats import PSEUDOCODE, Prompt
from tests.agents.rl.sampling.weight_server import WeightedServer, serving

pytest.importorskip("trl")

QUICK = "tries=2&backoff_s=0.001&timeout_s=20"


def start_of(weights: Path, lora_rank: int = 0) -> Start:
    from o1coder_gym.models.checkpoints import load_weights

    model, tokenizer = load_weights(weights, "float32")
    return Start(str(weights), model, tokenizer, PSEUDOCODE, "float32", lora_rank, 4)


def spec(*servers: WeightedServer, options: str = "") -> str:
    return f"openai:{','.join(server.url for server in servers)}?{QUICK}{options}"


def in_mid_update(status: int) -> Callable[[str, dict[str, Any]], int | None]:
    return lambda path, body: status if body.get("method") == "reload_weights" else None


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (
            lambda server: setattr(server, "deaf", True),
            r"the weights '\w+-2' and has 'default'; continue",
        ),
        (lambda server: setattr(server, "misbehave", in_mid_update(0)), "/collective_rpc: RemoteProtocol"),
        (lambda server: setattr(server, "misbehave", in_mid_update(500)), "HTTP 500: .*as it was told"),
        (lambda server: setattr(server, "misbehave", in_mid_update(503)), "HTTP 503"),
        (
            lambda server: setattr(server, "misbehave", in_mid_update(404)),
            "start it with VLLM_SERVER_DEV_MODE",
        ),
        (lambda server: server.close(), "Connect"),
    ],
)
def test_weights_that_do_not_arrive_are_one_line(
    server: WeightedServer, weights: Path, break_it: Callable[[WeightedServer], None], told: str
) -> None:
    with serving(weights) as broken:
        start = start_of(weights)
        actor = make_actor(spec(server, broken), start)
        break_it(broken)
        with pytest.raises(PolicyError, match=told) as raised:
            actor.refresh(start.model, 2)
        assert "\n" not in str(raised.value)
        assert broken.url.removesuffix("/v1") in str(raised.value)
        actor.close()


def test_a_server_that_is_full_is_one_line(server: WeightedServer, weights: Path, process: Any) -> None:
    settings = RLSettings(problems=2, episodes=2, rows_at_once=4, max_tokens=6)
    start = start_of(weights)
    sampler = Sampler(settings, process, process.task_ids, make_actor(spec(server), start))
    server.misbehave = lambda path, body: 503 if path == "/v1/completions" else None
    with pytest.raises(O1CoderError, match=r"an episode failed: .*HTTP 503.*tried 2 times") as raised:
        sampler.sample([0, 0, 1, 1], 0, start.model, 0)
    assert "\n" not in str(raised.value)
    sampler.close()


@pytest.mark.parametrize(("lora_rank", "options"), [(0, ""), (2, "&transfer=adapters")])
def test_a_server_that_was_restarted_is_sent_the_weights_again(
    server: WeightedServer, weights: Path, process: Any, lora_rank: int, options: str
) -> None:
    settings = RLSettings(problems=2, episodes=2, rows_at_once=4, max_tokens=6)
    start = start_of(weights, lora_rank)
    learner = start.model
    if lora_rank:
        from peft import get_peft_model

        from o1coder_gym.models.training.arguments import lora

        learner = get_peft_model(learner, lora(lora_rank))
    with serving(weights) as other:
        sampler = Sampler(
            settings, process, process.task_ids, make_actor(spec(server, other, options=options), start)
        )
        sampler.sample([0, 0, 1, 1], 0, learner, 0)
        assert server.asked.count("/v1/completions") + other.asked.count("/v1/completions") == 12
        honest, restarted = process.advance, []

        def restarting(pairs: Any, /) -> Any:
            if not restarted:
                restarted.append(other.restart())
            return honest(pairs)

        process.advance = restarting
        if lora_rank and "/v1/completions" in other.asked:
            # it has no adapters of that name any more, which is told at once
            with pytest.raises(O1CoderError, match="HTTP 404"):
                sampler.sample([0, 0, 1, 1], 1, learner, 0)
        else:
            found = sampler.sample([0, 0, 1, 1], 1, learner, 0)
            assert {one.version for one in found.episodes} == {1}
            assert sampler.figures["sampling/late_episodes"] == 4.0
        sampler.close()


def test_adapters_of_another_model_are_refused(server: WeightedServer, weights: Path, tmp_path: Path) -> None:
    start = start_of(weights, 2)
    with pytest.raises(UsageError, match=r"adapters of .* do not fit it"):
        make_actor(spec(server, options="&transfer=adapters"), replace(start, folder=str(tmp_path)))
    with pytest.raises(UsageError, match="this training has no adapters"):
        make_actor(spec(server, options="&transfer=adapters"), replace(start, lora_rank=0))


def test_adapters_are_taken_back(server: WeightedServer, weights: Path) -> None:
    from peft import get_peft_model

    from o1coder_gym.models.training.arguments import lora

    start = start_of(weights, 2)
    learner = get_peft_model(start.model, lora(2))
    actor = make_actor(spec(server, options="&transfer=adapters"), start)
    for version in (0, 1):
        actor.refresh(learner, version)
        assert len(server.engines) == 2  # the model, and its newest adapters
    actor.close()
    assert list(server.engines) == ["tiny"]


def test_adapters_of_a_run_that_was_killed_are_no_model_to_train(
    server: WeightedServer, weights: Path
) -> None:
    from peft import get_peft_model

    from o1coder_gym.models.training.arguments import lora

    start, text = start_of(weights, 2), spec(server, options="&transfer=adapters")
    make_actor(text, start).refresh(get_peft_model(start.model, lora(2)), 3)  # and is never closed
    assert len(server.engines) == 2
    resumed = make_actor(text, start_of(weights, 2))
    assert resumed.policy.engine._model == "tiny"  # pyright: ignore[reportAttributeAccessIssue]


def test_prompts_have_the_training_s_template_arguments(server: WeightedServer, weights: Path) -> None:
    seen: list[Any] = []
    server.misbehave = lambda path, body: seen.append(body.get("chat_template_kwargs"))
    told = {"enable_thinking": False}
    for text, wanted in (
        (spec(server), told),
        (spec(server, options='&template_arguments={"enable_thinking": true}'), {"enable_thinking": True}),
    ):
        actor = make_actor(text, replace(start_of(weights), template_arguments=told))
        seen.clear()
        actor.policy.engine.encode(Prompt((("user", "count"),), "", ""))
        assert wanted in seen
        actor.close()


def test_vllm_in_process_has_the_training_s_template_arguments(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from o1coder_gym.agents.rl.sampling import vllm

    monkeypatch.setattr(vllm, "TrainedVLLM", lambda folder, settings, **named: settings)
    start = replace(start_of(weights), template_arguments={"enable_thinking": False})
    engine: Any = make_actor("vllm?kv_gib=1", start).policy.engine
    assert (engine.template_arguments, engine.kv_gib) == ({"enable_thinking": False}, 1)


def test_each_rank_looks_for_the_weights_that_the_first_has_sent(
    server: WeightedServer, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = start_of(weights)
    actor = make_actor(spec(server), start)
    # the second rank, on a machine where the address means another server
    monkeypatch.setattr(ranks, "is_first", lambda: False)
    monkeypatch.setattr(ranks, "count", lambda: 2)
    met: list[str] = []
    monkeypatch.setattr(ranks, "gathered", lambda version: met.append(f"all are at {version}"))
    monkeypatch.setattr(ranks, "from_first", lambda work: met.append("sent") or ("tiny", "of-rank-0"))
    actor.refresh(start.model, 3)
    assert met == ["all are at 3", "sent"]  # no rank samples while weights change
    with pytest.raises(PolicyError, match="ranks on other machines reach other servers"):
        actor.sample(lambda policy: [])
    server.held = "of-rank-0"
    assert actor.sample(lambda policy: []) == []
    actor.close()


def test_the_key_opens_the_routes_of_weights_too(
    server: WeightedServer, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    check_sampler(spec(server))
    assert len(server.keys) > 1
    assert set(server.keys) == {"Bearer mine"}


@pytest.mark.parametrize(
    ("path", "answer", "told"),
    [
        ("/v1/models", (200, {}, b'{"data": [oops'), "the answer is not JSON with data"),
        ("/v1/models", (200, {"content-type": "text/html"}, b"<html>"), "the answer is not JSON with data"),
        ("/v1/models", (200, {}, b"[1]"), "the answer is not JSON with data"),
        ("/v1/models", (200, {}, b'{"data": null}'), "the answer is not JSON with models with an id"),
        ("/v1/models", (200, {}, b'{"data": [{}]}'), "the answer is not JSON with models with an id"),
        ("/v1/models", (200, {"content-encoding": "gzip"}, b"no"), "DecodingError: .*"),
        ("/v1/models", (200, {}, b"[" * 100_000), "the answer is not JSON with data"),
        (
            "/v1/models",
            (301, {"location": "http://a/v1/models"}, b""),
            "redirected to http://a/v1/models; name .*",
        ),
        ("/weight_info", (200, {}, b'{"weight_ver'), "the answer is not JSON with weight_version"),
        ("/weight_info", (200, {}, b'"mine"'), "the answer is not JSON with weight_version"),
    ],
)
def test_what_a_server_answers_is_a_sentence_whatever_it_is(
    server: WeightedServer, path: str, answer: Any, told: str
) -> None:
    server.misbehave = lambda asked, body: answer if asked == path else None
    with pytest.raises(PolicyError, match=f"{path}: {told}$") as raised:  # nothing that could be resumed
        check_sampler(spec(server))
    assert "\n" not in str(raised.value)


def test_a_request_that_is_redirected_has_not_been_obeyed(server: WeightedServer, weights: Path) -> None:
    start = start_of(weights)
    actor = make_actor(spec(server), start)
    server.misbehave = lambda path, body: (
        (307, {"location": "/elsewhere"}, b"") if body.get("method") == "reload_weights" else None
    )
    with pytest.raises(PolicyError, match="/collective_rpc: redirected to /elsewhere; name that address"):
        actor.refresh(start.model, 2)
    actor.close()


@pytest.mark.parametrize("url", ["http://[::1/v1", "http://127.0.0.1:99999/v1", "127.0.0.1:9/v1", "http://"])
def test_what_is_no_address_is_no_sampler(url: str) -> None:
    with pytest.raises(UsageError, match="is not the address of a server"):
        check_sampler(f"openai:{url}")


def test_an_address_of_a_sampler_may_have_a_query(server: WeightedServer) -> None:
    asked: list[str] = []
    server.misbehave = lambda path, body: asked.append(path)
    with pytest.raises(PolicyError):  # this server takes it for a part of the path
        check_sampler(f"openai:{server.url}/%3Fversion=2?{QUICK}")
    assert asked == ["/v1/models?version=2"]


def test_a_proxy_that_no_weights_could_pass_is_told(
    server: WeightedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "foo://127.0.0.1:1")
    with pytest.raises(UsageError, match=r"proxy or certificates cannot be used: .*foo"):
        check_sampler(spec(server))


def test_what_is_no_sampler_is_told_before_anything_begins(server: WeightedServer, weights: Path) -> None:
    check_sampler(spec(server))
    server.misbehave = lambda path, body: 404 if path == "/weight_info" else None
    with pytest.raises(PolicyError, match="/weight_info: the server has no such route; start it with VLLM"):
        check_sampler(spec(server))
    with pytest.raises(UsageError, match="serves tiny: name one that all have"):
        check_sampler(spec(server, options="&model=large"))
    with pytest.raises(PolicyError, match=r"127\.0\.0\.1:9/v1/models: Connect[^;]*$"):
        check_sampler(f"openai:http://127.0.0.1:9/v1?{QUICK}")


def test_a_run_whose_server_died_goes_on_with_another(
    weights: Path, process: Any, settings: RLSettings, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    from o1coder_gym.agents.rl.grpo import train_policy

    def train(server: WeightedServer, out: str, resume: bool = False) -> Any:
        return train_policy(
            str(weights),
            process,
            process.task_ids,
            tmp_path / out,
            replace(settings, sampler=spec(server)),
            step_format=PSEUDOCODE,
            resume=resume,
        )

    with serving(weights) as server:
        whole = train(server, "whole")
    with serving(weights) as server:
        sent: list[str] = []

        def dying(path: str, body: dict[str, Any]) -> int | None:
            if body.get("method") == "reload_weights":
                sent.append(path)
            return 0 if len(sent) == 2 else None

        server.misbehave = dying
        with pytest.raises(PolicyError, match=r"RemoteProtocolError.*continue the run with --resume"):
            train(server, "cut")
    with serving(weights) as server:  # at another address
        resumed = train(server, "cut", resume=True)
    after, again = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    assert all(after[name].equal(again[name]) for name in after)


class Client:
    """As TRL's client of vLLM's weight-transfer routes."""

    made: list["Client"] = []  # noqa: RUF012

    def __init__(self, base_url: str, group_port: int, connection_timeout: float) -> None:
        self.base_url, self.port, self.got, self.open = base_url, group_port, {}, False
        Client.made.append(self)

    def init_communicator(self, device: Any) -> None:
        if device.type == "meta":
            raise RuntimeError("EADDRINUSE: the server socket has failed\nto listen")

    def weight_update(self) -> Any:
        from contextlib import nullcontext

        return nullcontext()

    def update_named_param(self, name: str, value: Any) -> None:
        self.got[name] = value.clone()

    def close_communicator(self) -> None:
        self.open = False


def test_nccl_goes_through_trls_client(
    server: WeightedServer, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from trl.generation import vllm_client

    monkeypatch.setattr(vllm_client, "VLLMClient", Client)
    Client.made.clear()
    start = start_of(weights)
    with serving(weights) as other:
        actor = make_actor(spec(server, other, options="&transfer=nccl"), start)
        actor.refresh(start.model, 3)
        assert [one.base_url for one in Client.made] == [
            one.url.removesuffix("/v1") for one in (server, other)
        ]
        assert len({one.port for one in Client.made}) == 2
        for one in Client.made:
            assert all(torch.equal(one.got[name], value) for name, value in start.model.named_parameters())
        assert server.held == other.held != "default"
        assert "/reset_prefix_cache" in server.asked
        actor.close()
        broken = make_actor(spec(server, options="&transfer=nccl"), start)
        with pytest.raises(PolicyError, match=r"RuntimeError: EADDRINUSE: .* to listen; continue the run"):
            broken.refresh(start.model.to("meta"), 4)
        broken.close()
