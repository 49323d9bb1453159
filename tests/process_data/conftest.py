from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def toy(import_file: Callable[[Path], ModuleType]) -> ModuleType:
    """The toy process of the agents' tests."""
    return import_file(Path(__file__).parents[1] / "agents" / "toy.py")
