"""Samplers by name."""

import pytest

from o1coder_gym.agents.rl.sampling import making
from o1coder_gym.agents.rl.sampling.choice import ServerSettings, read_sampler
from o1coder_gym.agents.rl.sampling.making import check_sampler
from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.errors import UsageError
from o1coder_gym.policies import HFSettings, VLLMSettings


def test_a_sampler_is_read_with_its_options() -> None:
    assert read_sampler("hf").settings == HFSettings()
    found = read_sampler("vllm?kv_gib=1&context=512")
    assert found.settings == VLLMSettings(kv_gib=1, context=512)
    assert found.set == {"kv_gib", "context"}
    found = read_sampler("openai:http://a:1/v1,http://b:1/v1?draws=own&transfer=adapters")
    assert found.urls == ("http://a:1/v1", "http://b:1/v1")
    assert found.settings == ServerSettings(draws="own", transfer="adapters")


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        ("trl", "unknown sampler 'trl'; known: hf, openai, vllm"),
        ("openai", "write hf, vllm or openai:http://HOST:PORT/v1"),
        ("vllm:tiny", "write hf, vllm or openai:http://HOST:PORT/v1"),
        ("vllm?kv=1", "unknown argument 'kv'"),
        ("hf?dtype=bfloat16", "dtype is set by the training"),
        ("openai:http://a/v1?transfer=post", "transfer is files, adapters or nccl, not"),
        ("openai:http://a/v1?api=chat", "api is tokens, not"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_settings(sampler: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        RLSettings(sampler=sampler)


def test_a_sampler_ahead_needs_weights_for_its_episodes() -> None:
    with pytest.raises(UsageError, match="needs an importance cap"):
        RLSettings(staleness=1)
    assert RLSettings(staleness=1, importance_cap=2.0).to_row()["staleness"] == 1


def test_runs_of_earlier_versions_and_of_other_addresses_go_on() -> None:
    row = RLSettings().to_row()
    assert not {"sampler", "staleness"} & row.keys()
    assert RLSettings(sampler="hf?max_rows=4").to_row() == RLSettings().to_row()
    one, other = (RLSettings(sampler=f"openai:http://a:{port}/v1") for port in (1, 2))
    assert one.to_row() == other.to_row() != row


def test_vllm_is_not_shared_by_ranks_which_is_told_before_there_is_a_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(making, "require", lambda *_: None)
    check_sampler("vllm")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="sampler vllm in 2 processes: start a vLLM server for each GPU"):
        check_sampler("vllm?kv_gib=1")
    check_sampler("hf")
