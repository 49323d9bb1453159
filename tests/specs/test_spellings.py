"""Every kind in both spellings: what was written before the grammar of `specs` is read as it was."""

from functools import partial
from typing import Any

import pytest

from o1coder_gym import rewards
from o1coder_gym.agents.registry import AGENTS, agent_spec, load_agent
from o1coder_gym.agents.search.selection import uct
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.experiments.serving.offers import offered
from o1coder_gym.experiments.suite import contestants
from o1coder_gym.models.lookup import KNOWN_MODELS
from o1coder_gym.policies import FakeEngine, FakeSettings, LanguageModelPolicy, ScriptedPolicy, load_policy
from o1coder_gym.policies.loading import parameters_of, policy_spec
from o1coder_gym.rewards import load_schedule
from o1coder_gym.runs import executors
from o1coder_gym.runs.executors import load_executor
from o1coder_gym.runs.provenance import artefact_path
from o1coder_gym.specs import Spec, parse
from o1coder_gym.steps.choices import hashed_words, load_embedding
from o1coder_gym.types import Sampling


def parts(bound: Any) -> tuple[Any, dict[str, Any]]:
    """A function and the arguments that are bound to it."""
    return (bound.func, bound.keywords) if isinstance(bound, partial) else (bound, {})


@pytest.mark.parametrize(
    ("earlier", "spec", "name", "arguments"),
    [
        ("mcts", "mcts", "mcts", {}),
        ("mcts:", "mcts?", "mcts", {}),
        ("mcts:width=4,c=1.4", "mcts?width=4&c=1.4", "mcts", {"width": 4, "c": 1.4}),
        ("mcts:,width=4,", "mcts?&width=4&", "mcts", {"width": 4}),
        ("mcts:c=1,early_stop=true", "mcts?c=1&early_stop=true", "mcts", {"c": 1.0, "early_stop": True}),
        ("mcts:c=.5,width=1_0", "mcts?c=.5&width=1_0", "mcts", {"c": 0.5, "width": 10}),
        ("mcts:select=uct", "mcts?select=uct", "mcts", {"select": uct}),
        ("greedy:max_tokens=64", "greedy?max_tokens=64", "greedy", {"max_tokens": 64}),
        (
            "best_of_n:n=3,temperature=0,top_k=0",
            "best_of_n?n=3&temperature=0&top_k=0",
            "best_of_n",
            {"n": 3, "sampling": Sampling(temperature=0.0, top_k=0)},
        ),
    ],
)
def test_agents(earlier: str, spec: str, name: str, arguments: dict[str, Any]) -> None:
    for text in (earlier, spec):
        assert parts(load_agent(text)) == (AGENTS[name], arguments)
    assert parse(str(agent_spec(earlier))) == agent_spec(spec)


def test_earlier_spellings_of_agents_keep_their_corners() -> None:
    assert agent_spec("choice_ppo:path=runs/a?b=c") == Spec("choice_ppo", None, (("path", "runs/a?b=c"),))
    assert parts(load_agent("mcts:width=2,width=3"))[1] == {"width": 3}
    with pytest.raises(UsageError, match=r"agent mcts\?width=2&width=3: width is given twice"):
        load_agent("mcts?width=2&width=3")


@pytest.mark.parametrize(
    "text",
    [
        "best_of_n:n=2,select=public,select=codet",
        "best_of_n?n=2&select=public&select=codet",
        'best_of_n?n=2&select=["public","codet"]',
        "mcts:select=uct,select=prm_min",
        'mcts?select=["uct","prm_min"]',
    ],
)
def test_selectors(text: str) -> None:
    assert callable(load_agent(text))
    assert not isinstance(load_agent(text), partial), "a selector is around the agent"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mcts?widht=4", r"agent mcts\?widht=4: unknown argument 'widht'; did you mean 'width'\?"),
        ("mtcs?width=4", r"agent mtcs\?width=4: unknown agent 'mtcs'; did you mean 'mcts'\?"),
        (
            "best_of_n?select=best",
            r"best_of_n\?select=best: unknown selector 'best'; did you mean 'tests'\?",
        ),
        ('best_of_n?select=["public"', "select is not a JSON list"),
        ("mcts?c=-1", r"agent mcts\?c=-1: c must be at least 0 and finite, got -1.0"),
        ("mcts?temperature=-1", "temperature must be at least 0"),
        ("mcts?top_p=0", r"top_p must be in \(0, 1\], got 0.0"),
        ("mcts?alpha_compile=2", r"alpha_compile must be in \[0, 1\]"),
        ("ab_mcts?width=null", "width must be a whole number, got 'null'"),
    ],
)
def test_messages_about_agents(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_agent(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("earlier", "spec"),
    [
        ("openai:http://a:1/v1#m", "openai:http://a:1/v1?model=m"),
        ("openai:http://a/v1,http://b/v1?tries=1#o/m", "openai:http://a/v1,http://b/v1?tries=1&model=o/m"),
        ("fake:tokens=20&depth=2", "fake?tokens=20&depth=2"),
        ("fake:", "fake"),
        ("scripted:a/b?c.json", "scripted:a/b%3Fc.json"),
        ("hf:a/b?dtype=float32", "hf:a/b?dtype=float32"),
    ],
)
def test_policies(earlier: str, spec: str) -> None:
    assert policy_spec(earlier) == policy_spec(spec)


def test_engines_are_shared_by_what_they_are() -> None:
    one, other = load_policy("fake:depth=2&tokens=41"), load_policy("fake?tokens=41&depth=2&parallel=1")
    assert isinstance(one, LanguageModelPolicy)
    assert isinstance(other, LanguageModelPolicy)
    assert one.engine is other.engine
    assert isinstance(one.engine, FakeEngine)
    assert one.engine.settings == FakeSettings(tokens=41, depth=2)


def test_a_script_whose_name_has_a_question_mark(tmp_path) -> None:
    (tmp_path / "a?b.json").write_text('{"problems": {}}')
    assert isinstance(load_policy(f"scripted:{tmp_path}/a?b.json"), ScriptedPolicy)
    assert isinstance(load_policy(f"scripted:{tmp_path}/a%3Fb.json"), ScriptedPolicy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "openai:http://a/v1?tries=2",
            r"model is missing; add it: openai:http://a/v1\?tries=2&model=MODEL \(the model's name there\)$",
        ),
        ("openai:a:8000/v1", r"'a:8000/v1' is not the address of a server; did you mean http://a:8000/v1\?$"),
        ("openai:#m", r"policy openai: no address; write openai:URL\?model=NAME, or set OPENAI_BASE_URL"),
        ("hff:x", r"policy hff:x: unknown policy 'hff'; did you mean 'hf:'\?"),
        (
            "hf:x?dtyp=auto",
            r"policy hf:x\?dtyp=auto: unknown argument 'dtyp'; did you mean 'dtype'\?",
        ),
        ("hf:x?dtype=float8", "dtype is auto, float32 or bfloat16, not 'float8'"),
        ("fake:tokens=0", "policy fake:tokens=0: tokens must be at least 1, got 0"),
    ],
)
def test_messages_about_policies(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UsageError, match=message):
        load_policy(text)


@pytest.mark.parametrize(
    ("earlier", "spec", "function", "arguments"),
    [
        ("0.5", "constant?alpha=0.5", rewards.constant, {"alpha": 0.5}),
        ("1", "constant?alpha=1", rewards.constant, {"alpha": 1.0}),
        (
            "linear:1,0.1,90",
            "linear?start=1&end=0.1&horizon=90",
            rewards.linear,
            {"start": 1.0, "end": 0.1, "horizon": 90},
        ),
        (
            "logarithmic:1,0,7",
            "logarithmic?horizon=7&start=1&end=0",
            rewards.logarithmic,
            {"start": 1.0, "end": 0.0, "horizon": 7},
        ),
    ],
)
def test_schedules(earlier: str, spec: str, function: Any, arguments: dict[str, Any]) -> None:
    for text in (earlier, spec):
        assert parts(load_schedule(text)) == (function, arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("linaer?start=1", r"unknown schedule 'linaer'; did you mean 'linear'\?"),
        ("linear?start=1&end=0", "horizon is missing"),
        ("linear?start=1&end=0&horizon=0", "horizon must be at least 1, got 0"),
        ("linear:1,0", "is not linear:START,END,HORIZON"),
        ("1.5", r"alpha must be in \[0, 1\], got 1.5"),
    ],
)
def test_messages_about_schedules(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_schedule(text)


@pytest.mark.parametrize(
    ("earlier", "spec", "function", "arguments"),
    [
        ("serial", "serial", executors.serial, {}),
        ("processes:3", "processes?workers=3", executors.processes, {"workers": 3}),
        ("ray:3", "ray?workers=3", executors.ray, {"workers": 3}),
        ("ray:3@a:1", "ray?workers=3&address=a:1", executors.ray, {"workers": 3, "address": "a:1"}),
    ],
)
def test_executors(earlier: str, spec: str, function: Any, arguments: dict[str, Any]) -> None:
    for text in (earlier, spec):
        found, workers = load_executor(text)
        assert (*parts(found), workers) == (function, arguments, arguments.get("workers", 1))


def test_messages_about_executors() -> None:
    with pytest.raises(UsageError, match=r"executor processes\?workers=0: workers must be at least 1, got 0"):
        load_executor("processes?workers=0")
    with pytest.raises(UnknownNameError, match="did you mean 'processes'"):
        load_executor("process?workers=2")


def test_embeddings() -> None:
    for text in ("hash:7", "hash?dimensions=7"):
        assert parts(load_embedding(text)) == (hashed_words, {"dimensions": 7})
    with pytest.raises(UsageError, match="dimensions must be at least 1, got 0"):
        load_embedding("hash?dimensions=0")


def test_the_places_that_look_into_specs_read_both_spellings() -> None:
    agents = ["best_of_n?n=64&early_stop=true&select=codet", "mcts?c=1"]
    assert contestants(agents, [], True)[:2] == ("greedy", "best_of_n_random?n=64")
    assert contestants(["mcts?c=1", "greedy?max_tokens=9"], ["public+codet"], False) == (
        "mcts?c=1&select=public&select=codet",
        "greedy?max_tokens=9",
    )
    assert contestants(["best_of_n_random?n=2", "greedy"], [], True) == ("best_of_n_random?n=2", "greedy")
    assert "mcts?c=1:small" in offered(
        ["mcts?c=1"], "openai:http://localhost:8000/v1?model=org/small&tries=2"
    )
    assert artefact_path("prm:runs/model?dtype=float32").parts == ("runs", "model")
    known = KNOWN_MODELS["qwen2.5-coder-0.5b"].parameters
    assert parameters_of("hf:qwen2.5-coder-0.5b?dtype=float32") == known
    assert parameters_of("fake?tokens=3") is None
