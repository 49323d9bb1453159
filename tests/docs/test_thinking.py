"""The page that asks whether thinking pays has the figures that are stored."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from o1coder_gym.experiments.measures.figures import Stored
from o1coder_gym.experiments.measures.reproduction import DIRECT, LOST
from o1coder_gym.metrics.estimates import estimate_difference, estimate_share

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tables() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location(
        "thinking_page", ROOT / "benchmarks" / "evidence" / "thinking.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # its dataclasses ask for it
        spec.loader.exec_module(module)
        yield module


def test_the_tables_of_the_page_are_made_by_command(tables: ModuleType) -> None:
    page = tables.PAGE.read_text(encoding="utf-8")
    assert page == tables.filled(page), "run: python benchmarks/evidence/thinking.py"


def test_figures_become_tables(tables: ModuleType) -> None:
    share = estimate_share([1.0] * 30 + [0.0] * 30)
    stored = Stored(
        {
            "vanilla: greedy @ 512": share,
            "vanilla: greedy @ 1024": share,
            f"functions {DIRECT}: greedy @ 1024": estimate_difference([-1.0] * 12 + [0.0] * 48),
            f"functions: greedy {LOST}: no Python": estimate_share([1.0] * 9 + [0.0] * 3),
            f"functions: greedy {LOST}: raises": estimate_share([1.0] * 3 + [0.0] * 9),
        }
    )
    assert list(tables.solved(stored)) == [
        "| steps | agent | 512 tokens | 1,024 tokens |",
        "|---|---|---|---|",
        "| vanilla | greedy | 30 of 60, 50 (38 to 62) % | 30 of 60, 50 (38 to 62) % |",
    ]
    assert list(tables.differences(stored))[2].startswith("| functions | greedy | −20 [−")
    assert list(tables.failures(stored))[2:] == ["| no Python | 9 |", "| raises | 3 |"]


def test_a_table_of_results_is_copied_by_its_heading(tables: ModuleType) -> None:
    lines = tables.first_table("Pass rates of the default model")
    assert lines[0].startswith("| problems |")
    assert all(line.startswith("|") for line in lines)
