"""Imports by earlier names work, and say what to write instead."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from o1coder_gym.importing.moved import MOVED

NEEDS_TRL = {"agents.step_dpo", "agents.step_grpo"}
NEEDS_VLLM = {"policies.vllm_draws"}


@pytest.mark.parametrize("name", MOVED)
def test_an_earlier_name_gives_the_module_of_today(name: str) -> None:
    if name in NEEDS_VLLM:
        pytest.importorskip("vllm")
    if name in NEEDS_TRL:
        pytest.importorskip("trl")
    new = importlib.import_module(f"o1coder_gym.{MOVED[name]}")
    sys.modules.pop(f"o1coder_gym.{name}", None)
    with pytest.warns(DeprecationWarning, match=rf"o1coder_gym\.{name} has moved to {new.__name__}") as told:
        assert importlib.import_module(f"o1coder_gym.{name}") is new
    assert told[0].filename != importlib.import_module("o1coder_gym.importing.moved").__file__
    assert new.__name__ == f"o1coder_gym.{MOVED[name]}"


@pytest.mark.parametrize("inner", ["parameters.ranges", "registry.kinds"])
def test_what_lies_in_a_package_is_the_same_by_its_earlier_name(
    inner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"o1coder_gym.{inner.partition('.')[0]}"
    for name in [name for name in sys.modules if name.startswith(package)]:
        monkeypatch.delitem(sys.modules, name)
    new = importlib.import_module(f"o1coder_gym.specs.{inner}")
    with pytest.warns(DeprecationWarning, match=f"{package} has moved"):
        assert importlib.import_module(f"o1coder_gym.{inner}") is new


PROGRAM = """
from o1coder_gym.problems import load_problems, load_rows
from o1coder_gym.models import find_model
from o1coder_gym.agents.driver import Driver, Task
from o1coder_gym.agents.sweep import Recorder, answer_within
from o1coder_gym.agents.asking import advance, propose
from o1coder_gym.budget import Budget
from o1coder_gym import formats, journal
from o1coder_gym.rewards.trl import outcome
from o1coder_gym.search_tree import SearchTree
import o1coder_gym.evaluation
import sys
print(sorted({"torch", "transformers"} & set(sys.modules)))
"""


def test_programs_written_for_earlier_versions_run(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.parametrize("folder", ["o1coder_gym", "agents", "envs", "tests", "benchmarks"])
def test_this_project_imports_by_names_of_today(folder: str) -> None:
    earlier = {f"o1coder_gym.{name}" for name in MOVED}
    for path in (Path(__file__).parents[2] / folder).rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        assert earlier.isdisjoint(node.module for node in nodes if isinstance(node, ast.ImportFrom)), path


def test_an_unknown_name_stays_unknown() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("o1coder_gym.nowhere")
