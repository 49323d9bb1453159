"""Code of users by where it stands."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest

from o1coder_gym.agents import load_agent
from o1coder_gym.errors import PluginError, UsageError
from o1coder_gym.policies import load_policy
from o1coder_gym.rewards import Evidence, load_reward
from o1coder_gym.runs.provenance import input_hashes
from o1coder_gym.specs import name_of
from o1coder_gym.specs.own_code import file_of, is_place, load_object
from tests.command_line import call

CODE = """
from o1coder_gym.types.queries import Propose
from o1coder_gym.types import Proposal, SearchResult

def nothing(problem, root, *, tries: int = 1):
    yield [Propose(root)]
    return SearchResult(None)

class Silent:
    def propose(self, requests):
        return [(Proposal("nothing to say", 3),) for _ in requests]

def steps(evidence):
    return 0.25 * len(evidence.process)

class outer:
    inner = 7
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text(CODE)
    return "mine.py"


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ("mine.py:nothing", True),
        ("../a b/mine.py:nothing?tries=2", True),
        ("package.module:Class", True),
        ("json:dumps", True),
        ("mcts:width=4,c=1.4", False),
        ("mcts?width=4", False),
        ("openai:http://localhost:8000/v1#m", False),
        ("hf:runs/sft.old/model", False),
        ("no_such_module_here:x", False),
    ],
)
def test_what_is_a_place(spec: str, place: bool) -> None:
    assert is_place(spec) == place


def test_a_place_is_a_name_and_a_file_is_hashed(own: str) -> None:
    assert name_of(f"{own}:nothing?tries=2") == f"{own}:nothing"
    assert str(file_of(f"{own}:nothing")) == own
    before = input_hashes(f"{own}:nothing", "mcts")
    Path(own).write_text(CODE + "\n")
    assert list(before) == [f"{own}:nothing"]
    assert input_hashes(f"{own}:nothing", "mcts") != before


def test_nested_names_and_changed_files(own: str) -> None:
    assert load_object(f"{own}:outer.inner") == 7
    Path(own).write_text(CODE.replace("7", "8") + "# longer, and later\n")
    assert load_object(f"{own}:outer.inner") == 8


def test_agents_policies_and_rewards_are_loaded(own: str) -> None:
    agent = load_agent(f"{own}:nothing?tries=3")
    assert isinstance(agent, partial)
    assert agent.keywords == {"tries": 3}
    assert load_policy(f"{own}:Silent").propose([]) == []
    reward = load_reward(f"{own}:steps")(Evidence((0.5, 0.5)))
    assert (reward.value, reward.terms["process"]) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("code", "spec", "kind", "told"),
    [
        ("def a(:", "broken.py:a", PluginError, r"SyntaxError: .*broken.py, line 1"),
        ("x = 1\ny = 1 / 0\n", "broken.py:a", PluginError, r"ZeroDivisionError: .*broken.py, line 2\)"),
        ("import no_such_thing\n", "broken.py:a", PluginError, r"No module named 'no_such_thing' .*line 1\)"),
        ("exit(3)\n", "broken.py:a", PluginError, r"SystemExit: 3 .*line 1\)"),
        ("a = 1\n", "broken.py:b", UsageError, "not importable: AttributeError: there is no 'b'"),
        ("", "nowhere.py:b", UsageError, r"^nowhere\.py: no such file$"),
        ("", "no.where:b", UsageError, "not importable: ModuleNotFoundError"),
        ("a = 1\n", "broken.py:a", PluginError, r"broken.py:a is a int; expected a function"),
        ("def a(x): pass\n", "broken.py:a", PluginError, r"called otherwise; expected a function"),
        ("def a(problem, root): yield\n", "broken.py:a?b=1", UsageError, "unknown argument 'b'"),
    ],
)
def test_broken_code_is_one_line_with_its_place(
    own: str, code: str, spec: str, kind: type, told: str
) -> None:
    Path("broken.py").write_text(code)
    with pytest.raises(kind, match=told) as caught:
        load_agent(spec)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(own: str) -> None:
    for load in (load_agent, load_policy):
        with pytest.raises(UsageError, match=r"^nofile\.py: no such file$"):
            load("nofile.py:x")
    Path("reads.py").write_text("open('data.txt')\n")
    with pytest.raises(PluginError, match=r"cannot be imported: FileNotFoundError: .*data\.txt"):
        load_agent("reads.py:x")


def test_bench_runs_an_agent_of_a_file(own: str) -> None:
    options = [
        "--problems",
        "starter",
        "--limit",
        "2",
        "--policy",
        f"{own}:Silent",
        "--no-controls",
        "--json",
    ]
    done = call("bench", "--agent", f"{own}:nothing", *options, "--out", "run")
    assert done.exit_code == 0, done.stderr
    assert [row["agent"] for row in json.loads(done.stdout)] == [f"{own}:nothing"] * 2
