import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from o1coder_gym.sandbox import Judge, SandboxWarning


@contextmanager
def ready(workers: int) -> Iterator[Judge]:
    """A judge whose workers have started, whatever layers this machine has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SandboxWarning)
        with Judge(workers=workers) as judge:
            judge.report()
            yield judge


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    with ready(workers=1) as judge:
        yield judge


@pytest.fixture(scope="session")
def judge_of_two() -> Iterator[Judge]:
    """A judge whose programs can overtake one another."""
    with ready(workers=2) as judge:
        yield judge
