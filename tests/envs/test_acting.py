"""Acting agents: what plays the environment runs under the driver too, metered and journaled."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents import acting
from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.envs import ReasoningEnv, TextInteraction
from o1coder_gym.envs.acting import ActingPolicy
from o1coder_gym.process_data.search_tree import SearchTree, tree_rows
from o1coder_gym.runs.budget import UNLIMITED, Budget
from o1coder_gym.runs.journal import RunFolder
from tests.command_line import call


class Scripted:
    """Does one action after another, and keeps what it saw."""

    actions: tuple[str, ...] = ()
    price = 10

    def __init__(self) -> None:
        self.tokens = 0
        self.seen: list[tuple[Any, Any]] = []

    def act(self, observation: Any, info: Any) -> str:
        self.seen.append((observation, info))
        self.tokens += self.price
        return self.actions[observation["depth"]]


def made(*actions: str, price: int = 10) -> tuple[Any, list[Scripted]]:
    """Returns what makes such agents, and the list of those made."""
    kind = type("Agent", (Scripted,), {"actions": actions, "price": price})
    agents: list[Scripted] = []

    def make() -> Scripted:
        agents.append(kind())
        return agents[-1]

    return make, agents


def run(toy: Any, make: Any, budget: Budget = UNLIMITED, **options: Any) -> Any:
    driver = Driver(toy.shared, ActingPolicy(make, toy.shared), **options)
    (done,) = driver.run([Task("toy/0", partial(acting.acting, agent="made here"), budget)])
    return done


def test_it_sees_what_the_environment_shows_and_is_metered(toy) -> None:
    actions = ("no step at all", toy.define, toy.good)
    make, agents = made(*actions)
    done = run(toy, make, Budget(tokens=100))
    assert done.error is None
    assert (done.result.code, done.result.value) == ("good", 1.0)
    assert (done.usage.tokens, done.usage.calls, done.usage.executions) == (30, 3, 1)
    env = ReasoningEnv(TextInteraction(toy.shared))
    observation, info = env.reset(options={"task_id": "toy/0"})
    for action, (seen, told) in zip(actions, agents[0].seen, strict=True):
        assert seen == observation
        assert told["feedback"] == info["feedback"]
        assert told.keys() == info.keys()
        observation, _, _, _, info = env.step(action)


@pytest.mark.parametrize("left", [9, 15, 25])
def test_a_budget_of_tokens_ends_it_and_is_not_overdrawn(toy, left: int) -> None:
    make, _ = made(toy.define, toy.define, toy.good)
    done = run(toy, make, Budget(tokens=left))
    assert done.result.code is None
    assert done.usage.tokens <= left


def test_one_that_does_not_count_its_tokens_needs_another_budget(toy) -> None:
    class Silent:
        def act(self, observation: Any, info: Any) -> str:
            return toy.good

    assert run(toy, Silent, Budget(executions=3)).result.code == "good"
    assert "has no attribute tokens" in str(run(toy, Silent, Budget(tokens=100)).error)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda self, observation, info: 7, "act returned a int"),
        (lambda self, observation, info: None, "act returned a NoneType"),
        (lambda self, observation, info: 1 / 0, "division by zero"),
        (lambda self, observation, info: setattr(self, "tokens", -5) or "x", "count of tokens fell"),
    ],
)
def test_what_it_does_wrong_ends_its_own_task(toy, act: Any, message: str) -> None:
    flawed = type("Flawed", (), {"act": act, "tokens": 0})
    done = run(toy, flawed)
    assert done.result is None or done.result.code is None
    assert message in str(done.error)


def test_it_is_resumed_from_the_journal(toy, tmp_path: Path) -> None:
    make, agents = made(toy.define, toy.good)
    results = []
    for resume in (False, True):
        with RunFolder.open(tmp_path, {}, resume=resume) as folder:
            results.append(run(toy, make, journal=folder).result)
    assert results[0] == results[1]
    assert [len(agent.seen) for agent in agents] == [2]


PROGRAM = """
class Fixed:
    tokens = 0

    def act(self, observation, info):
        self.tokens += 5
        lines = (
            "### Step 1 (code)",
            "```python",
            "def count_vowel_words(text):",
            "    return sum(word[0] in 'aeiouAEIOU' for word in text.split())",
            "```",
        )
        return chr(10).join(lines)
"""
SCRIPT = {"problems": {"*": {"depths": [[{"type": "code", "text": "0"}]]}}}


def test_the_benchmark_judges_it_on_hidden_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(PROGRAM)
    Path("script.json").write_text(json.dumps(SCRIPT))
    words = ["--problems", "starter", "--limit", "2", "--policy", "scripted:script.json", "--no-controls"]
    words += ["--agent", "acting?agent=mine.py:Fixed", "--agent", "greedy", "--tokens", "64,256"]
    assert call("bench", *words, "--out", "run").exit_code == 0
    rows = [json.loads(line) for line in Path("run/results.jsonl").read_text().splitlines()]
    mine = [row for row in rows if row["agent"].startswith("acting")]
    assert [row["solved"] for row in mine] == [True, True, False, False]
    assert {row["usage"]["tokens"] for row in mine} == {5}


@pytest.mark.parametrize("path", ["", "nowhere:Agent", "json:dumps", "none.py:Agent"])
def test_an_agent_that_is_none_is_one_line(path: str, tmp_path: Path) -> None:
    done = call(
        "bench", "--policy", "scripted:none.json", "--agent", f"acting?agent={path}", "--out", tmp_path / "r"
    )
    assert done.exit_code in (1, 2)
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder with an agent that solves the first starter problem, and a policy that solves nothing."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(PROGRAM)
    Path("script.json").write_text(json.dumps(SCRIPT))
    return "acting?agent=mine.py:Fixed"


def test_solve_plays_it_and_loads_no_other_policy(mine: str) -> None:
    done = call("solve", "starter/001-vowel-words", "--agent", mine, "--policy", "hf:nowhere", "--json")
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["outcome"], answer["usage"]["tokens"]) == ("pass", 5)


def test_synthesis_makes_data_of_its_steps(mine: str) -> None:
    words = ["--problems", "starter", "--limit", "2", "--policy", "scripted:script.json", "--agent", mine]
    done = call("synthesize", *words, "--out", "data")
    assert done.exit_code == 0, done.stderr
    trees = [SearchTree.from_row(row) for row in tree_rows(Path("data"))]
    assert [tree.nodes[1].end for tree in trees] == [1.0, 0.0]
    assert {tree.agent for tree in trees} == {mine}


def test_an_agent_that_is_none_is_refused_before_a_policy_is_loaded(mine: str) -> None:
    for command in ("solve", "synthesize"):
        done = call(command, "--agent", "acting?agent=mine.py:Nobody", "--policy", "hf:nowhere")
        assert (
            done.stderr == "usage: mine.py:Nobody is not importable: AttributeError: there is no 'Nobody'\n"
        )


def test_an_agent_that_needs_arguments_is_refused_before_a_run_folder_is_made(mine: str) -> None:
    with Path("mine.py").open("a") as file:
        file.write("class Asking(Fixed):\n    def __init__(self, ask):\n        self.ask = ask\n")
    words = ("--problems", "starter", "--policy", "scripted:script.json", "--out", "run")
    done = call("bench", "--agent", "acting?agent=mine.py:Asking", *words)
    assert done.exit_code == 2
    assert done.stderr.endswith(
        "mine.py:Asking is called without arguments: missing a required argument: 'ask'\n"
    )
    assert not Path("run").exists()


def test_a_broken_agent_is_one_line_with_its_place(mine: str) -> None:
    Path("broken.py").write_text("import os\n1 / 0\n")
    done = call("solve", "--agent", "acting?agent=broken.py:Fixed", "--policy", "hf:nowhere")
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "division by zero" in done.stderr
    assert "broken.py, line 2" in done.stderr


def test_tasks_bring_policies_of_their_own(toy) -> None:
    """Each is asked for its own task alone, and the driver's for the others."""
    make, agents = made(toy.good)
    other, others = made(toy.define, toy.good)
    play = partial(acting.acting, agent="made here")
    mine, theirs = ActingPolicy(make, toy.shared), ActingPolicy(other, toy.shared)
    driver = Driver(toy.shared, ActingPolicy(lambda: 1 / 0, toy.shared))  # pyright: ignore[reportArgumentType]
    tasks = [
        Task("toy/0", play, name=name, policy=policy)
        for name, policy in (("a", mine), ("b", theirs), ("c", mine), ("d", None))
    ]
    results = driver.run(tasks)
    assert [result.usage.calls for result in results[:3]] == [1, 2, 1]
    assert [len(agent.seen) for agent in (*agents, *others)] == [2, 2]
    assert "division by zero" in str(results[3].error)
    assert driver.profile.requests == 5 + 4  # samples and steps
