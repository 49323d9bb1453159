"""docs/paper.md: every `file:function` of its tables is there, and says which part of the paper it is."""

import importlib
import inspect
import re
from functools import reduce
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CELL = re.compile(r"(?<!\\)\|")
PLACE = re.compile(r"`((?:o1coder_gym|agents|envs)/[\w/]+\.py):([\w.]+)`")
NEEDS_TRL = {"agents/rl/grpo.py", "agents/rl/dpo.py", "o1coder_gym/prm/training/trainer.py"}
PAGE = (ROOT / "docs" / "paper.md").read_text()


def entries() -> list[tuple[str, str, str]]:
    """(part of the paper, file, function) of each entry of the tables."""
    rows = [CELL.split(line) for line in PAGE.splitlines() if line.startswith("| ")]
    return [(cells[1].strip(), *place) for cells in rows for place in PLACE.findall(cells[3])]


@pytest.mark.parametrize(("part", "file", "function"), entries())
def test_the_place_is_there_and_names_its_part_of_the_paper(part: str, file: str, function: str) -> None:
    assert (ROOT / file).is_file()
    if file in NEEDS_TRL:
        pytest.importorskip("trl")
    name = file.removesuffix(".py").removeprefix("o1coder_gym/").replace("/", ".")
    module = importlib.import_module(f"o1coder_gym.{name}")
    found = reduce(getattr, function.split("."), module)
    said = " ".join((inspect.getdoc(found) or "").split())
    assert re.search(rf"(?<!\w){re.escape(part)}(?!\w)", said)


@pytest.mark.parametrize(
    "part",
    [
        *(f"Eq. {number}" for number in range(1, 5)),
        *(f"Algorithm 1, step {number}" for number in range(1, 7)),
        "Algorithm 1", "v^m", "v^j", "UCT", "MCTS", "R", "φ", "α(t)", "ASPR", "Pass@k", "GRPO",
    ],
)  # fmt: skip
def test_every_part_of_the_method_has_an_entry(part: str) -> None:
    assert part in {entry[0] for entry in entries()}


def test_every_file_that_the_page_names_is_there() -> None:
    for file in re.findall(r"`((?:\w+/)+\w+\.\w+)[:`]", PAGE):
        assert (ROOT / file).is_file(), file
