from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def toy(import_file: Callable[[Path], ModuleType]) -> ModuleType:
    """The toy process and its policies."""
    return import_file(Path(__file__).with_name("toy.py"))
