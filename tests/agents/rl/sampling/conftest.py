"""Servers over the untrained tiny model."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.rl.sampling.weight_server import WeightedServer, serving


@pytest.fixture
def server(weights: Path) -> Iterator[WeightedServer]:
    with serving(weights) as running:
        yield running
