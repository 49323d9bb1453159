"""The notebooks run: their cells, in order, with fewer problems and smaller budgets."""

import json
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.runs.progress import silence

NOTEBOOKS = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
SMALLER = {
    "tokens=(64, 128, 256)": "tokens=(64,)",
    '"256" in': '"64" in',
    '"test", 32)': '"test", 4)',
    '"validation", 32)': '"validation", 4)',
    '"train")[:64]': '"train")[:12]',
    "Budget(tokens=384)": "Budget(tokens=128)",
    "limit=48": "limit=2",
    "epochs=2.0": "max_steps=1",
    'split="validation")[:2]': 'split="validation")[:1]',
}
"""What costs time in a notebook, and what stands there when it is tested."""


def cells(name: str, kind: str) -> list[dict[str, Any]]:
    """The cells of a notebook of one kind."""
    found = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def run(name: str) -> dict[str, Any]:
    """Runs the cells of a notebook in one namespace and returns it."""
    namespace: dict[str, Any] = {"__name__": name}
    for number, cell in enumerate(cells(name, "code")):
        code = "".join(cell["source"])
        for size, smaller in SMALLER.items():
            code = code.replace(size, smaller)
        exec(compile(code, f"{name}, cell {number}", "exec"), namespace)
    return namespace


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    silence(True)  # as it is where no command was run


@pytest.mark.slow
def test_an_agent_is_written_and_compared(capsys: pytest.CaptureFixture[str]) -> None:
    from o1coder_gym.agents import AGENTS

    try:
        names = run("write_an_agent")
    finally:
        AGENTS.pop("restart", None)
    assert {row.agent for row in names["rows"]} == {"best_of_n", "restart", "restart?width=1"}
    assert "no clause broken" in capsys.readouterr().out


@pytest.mark.slow
def test_searches_are_compared() -> None:
    assert len(run("compare_searches")["rows"]) == 4 * 7


def test_a_tree_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    names = run("look_at_a_tree")
    root = names["tree"].root
    assert root.own + sum(node.visits for node in names["first"]) == root.visits
    assert "N = " in capsys.readouterr().out


@pytest.mark.slow
def test_the_tiny_model_is_trained(capsys: pytest.CaptureFixture[str]) -> None:
    names = run("train_the_tiny_model")
    assert names["quality"]["before"]["problems"] == 2
    assert capsys.readouterr().err == ""  # a call from Python shows no bar


def test_own_problems_are_brought(capsys: pytest.CaptureFixture[str]) -> None:
    run("bring_your_own_problems")
    told = capsys.readouterr().out
    assert "own/echo pass" in told
    assert "never ends           timeout        0 of 3" in told


@pytest.mark.parametrize("name", sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")))
def test_it_was_stored_with_what_it_printed(name: str) -> None:
    assert [cell for cell in cells(name, "code") if not cell["execution_count"]] == []
    assert not [
        out for cell in cells(name, "code") for out in cell["outputs"] if out["output_type"] == "error"
    ]
