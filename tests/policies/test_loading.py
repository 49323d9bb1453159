import json
import re
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from o1coder_gym.errors import MissingExtraError, O1CoderError, PolicyError, UnknownNameError, UsageError
from o1coder_gym.policies import (
    HFEngine,
    HFSettings,
    LanguageModelPolicy,
    ScriptedPolicy,
    VLLMSettings,
    load_policy,
    loading,
)
from o1coder_gym.policies.loading import hf_spec, policy_spec, prepare
from o1coder_gym.specs import parse, registry
from o1coder_gym.specs.parameters import bind
from o1coder_gym.steps.formats import VANILLA


def test_hf_policies_load_nothing_yet_and_share_their_engine():
    first = load_policy("hf:no/such-model?dtype=float32&max_rows=8")
    second = load_policy("hf:no/such-model?dtype=float32&max_rows=8", format="vanilla")
    other = load_policy("hf:no/such-model")
    assert isinstance(first, LanguageModelPolicy)
    assert isinstance(second, LanguageModelPolicy)
    assert isinstance(other, LanguageModelPolicy)
    assert first.engine is second.engine
    assert first.engine is not other.engine
    assert second.step_format is VANILLA


def settings_of(spec: str) -> object:
    """What the arguments of a policy's spec, without its target, set of the engine."""
    asked = parse(spec)
    return bind(registry.find("policy", asked.name).parameters(), asked.arguments, "")["settings"]


def test_options_become_settings():
    assert settings_of("hf?dtype=float32&max_rows=8") == HFSettings(dtype="float32", max_rows=8)
    with pytest.raises(UnknownNameError, match=r"unknown argument 'rows'; did you mean 'max_rows'\?"):
        settings_of("hf?rows=8")
    with pytest.raises(UsageError, match="max_rows must be a whole number, got 'many'"):
        settings_of("hf?max_rows=many")


def test_scripts_load_from_files(tmp_path):
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"problems": {}}))
    assert isinstance(load_policy(f"scripted:{path}"), ScriptedPolicy)
    with pytest.raises(PolicyError, match=r"nothing\.json"):
        load_policy(f"scripted:{tmp_path}/nothing.json")


@pytest.mark.parametrize("spec", ["gpt:x", "hf", ""])
def test_unknown_policies_are_named_with_the_known_ones(spec):
    with pytest.raises(UnknownNameError, match=r"unknown policy .*nown: .*hf:.*scripted:"):
        load_policy(spec)


def test_unknown_formats_are_refused():
    with pytest.raises(UnknownNameError, match="step format"):
        load_policy("hf:x", format="prose")


def own_policy(rest, step_format):
    return ScriptedPolicy.from_rows({"problems": {rest: []}}, step_format)


def test_entry_points_add_schemes(monkeypatch):
    point = EntryPoint("mine", f"{__name__}:own_policy", loading.ENTRY_POINT_GROUP)
    found = lambda group: [point] if group == point.group else []  # noqa: E731
    monkeypatch.setattr("importlib.metadata.entry_points", found)
    monkeypatch.setattr(sys, "path", [*sys.path, "a search path that was not read yet"])
    monkeypatch.setitem(sys.modules, __name__, sys.modules[own_policy.__module__])
    policy = load_policy("mine:t/0")
    assert isinstance(policy, ScriptedPolicy)
    assert list(policy.scripts) == ["t/0"]


def test_naming_a_policy_imports_no_torch():
    program = (
        "import sys; from o1coder_gym.policies import load_policy; load_policy('hf:no/such-model');"
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_missing_vllm_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"o1coder-gym\[vllm\]"):
        load_policy("vllm:smollm2-135m?context=123")


def test_vllm_settings_are_checked():
    expected = VLLMSettings(dtype="float32", context=2048, kv_gib=1)
    assert settings_of("vllm?dtype=float32&context=2048&kv_gib=1") == expected
    for options in ("context=0", "max_rows=0", "kv_gib=0"):
        with pytest.raises(UsageError, match="at least 1"):
            settings_of(f"vllm?{options}")


def test_template_arguments_and_thoughts_are_part_of_the_name():
    spec = 'hf:tiny?template_arguments={"enable_thinking":false}&think_tokens=64&attention=model'
    policy = load_policy(spec)
    assert isinstance(policy, LanguageModelPolicy)
    assert policy.think_tokens == 64
    assert isinstance(policy.engine, HFEngine)
    assert policy.engine._settings == HFSettings(
        template_arguments={"enable_thinking": False}, attention="model"
    )
    with pytest.raises(UsageError, match="think_tokens"):
        load_policy("hf:tiny?think_tokens=-1")
    with pytest.raises(UsageError, match="template_arguments"):
        load_policy("hf:tiny?template_arguments=no")


@pytest.mark.parametrize("spec", ["tiny", "qwen2.5-coder-0.5b?dtype=float32"])
def test_the_name_of_a_model_alone_is_told_what_it_lacks(spec: str):
    with pytest.raises(UsageError, match=f"did you mean 'hf:{re.escape(spec)}'"):
        load_policy(spec)


def test_a_folder_alone_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="did you mean 'hf:mine'"):
        load_policy("mine")


@pytest.mark.parametrize(
    ("spec", "told"), [("hf:nowhere", "unknown model 'nowhere'"), ("hf:tiny?device=cuda:99", "on cuda:99: ")]
)
def test_what_cannot_be_loaded_is_said_before_the_first_request(spec: str, told: str):
    pytest.importorskip("transformers")
    with pytest.raises(O1CoderError, match=told):
        prepare(load_policy(spec))


def test_the_spec_of_a_model_is_read_back_whatever_its_arguments_hold():
    told = {"system": "a & b? 100 % #1", "date": None}
    spec = policy_spec(hf_spec("runs/a?b", told, dtype="float32"))
    assert (spec.name, spec.target) == ("hf", "runs/a?b")
    loaded = load_policy(str(spec))
    assert isinstance(loaded, LanguageModelPolicy)
    assert isinstance(loaded.engine, HFEngine)
    assert loaded.engine._settings.template_arguments == told


def test_options_behind_the_model_of_a_server_are_refused():
    with pytest.raises(UsageError, match=r"write openai:URL\?options#MODEL"):
        load_policy("openai:http://a/v1#org/m?parallel=3")
