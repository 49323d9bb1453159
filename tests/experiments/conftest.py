import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def toy(import_file: Callable[[Path], ModuleType]) -> ModuleType:
    """The toy process of the agents' tests."""
    return import_file(Path(__file__).parents[1] / "agents" / "toy.py")


@pytest.fixture
def problems(import_file: Callable[[Path], ModuleType], tmp_path: Path) -> Path:
    """The problem file of the command line's tests."""
    rows = import_file(Path(__file__).parents[1] / "cli" / "conftest.py").PROBLEMS
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
