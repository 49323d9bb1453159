"""The pages on environments and agents do what they say."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents import load_agent
from o1coder_gym.policies import load_policy
from o1coder_gym.types import Problem, State
from o1coder_gym.types.queries import Propose

MINE = """from types import SimpleNamespace


def mine(target, step_format):
    return SimpleNamespace(target=target, step_format=step_format, propose=print)
"""
DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), flags=re.M | re.S)


def run(page: str) -> dict:
    """Runs all Python blocks of a page in one namespace and returns it."""
    namespace: dict = {"__name__": page}
    for number, block in enumerate(blocks(page, "python")):
        exec(compile(block, f"{page}, block {number}", "exec"), namespace)
    return namespace


def test_custom_agents_page_runs(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    names = run("custom_agents.md")
    printed = capsys.readouterr().out
    assert names["info"]["outcome"] == "wrong_answer"
    assert "count_vowel_words('An old owl sat there'): got 0, expected 3" in printed
    assert names["done"].result.value == 1.0
    assert names["done"].result.code == names["right"]["text"]


@pytest.mark.parametrize("name", ["PlanThenCode", "widest"])
def test_each_agent_has_under_twenty_lines(name: str) -> None:
    trees = [ast.parse(block) for block in blocks("custom_agents.md", "python")]
    (found,) = [node for tree in trees for node in tree.body if getattr(node, "name", None) == name]
    assert found.end_lineno is not None
    assert found.end_lineno - found.lineno + 1 < 20


def test_environments_page_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run("environments.md")
    assert names["twin_info"] == names["info"]
    assert names["statistics"]["l"] == 2
    assert (tmp_path / "episode.gif").read_bytes()[:3] == b"GIF"
    assert names["rewards"].shape == (4,)


def test_a_package_adds_agents_and_policies_by_entry_points(tmp_path, monkeypatch) -> None:
    (text,) = blocks("custom_agents.md", "toml")
    points = tomllib.loads(text)["project"]["entry-points"]
    assert set(points) == {"o1coder_gym.plugins"}
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    agent = next(block for block in blocks("custom_agents.md", "python") if "def widest" in block)
    (package / "agents.py").write_text(agent)
    (package / "policies.py").write_text(MINE)
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    lines = [line for group in points for line in (f"[{group}]", *map(" = ".join, points[group].items()))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    for spec in ("widest?width=8", "widest:width=8"):
        search = load_agent(spec)(Problem("p", "?"), State("p"))
        assert list(next(search)) == [Propose(State("p"), 8)]
    policy: Any = load_policy("mine:REST", format="vanilla")
    assert (policy.target, policy.step_format.name) == ("REST", "vanilla")
