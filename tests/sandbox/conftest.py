import warnings
from collections.abc import Iterator

import pytest

from o1coder_gym.sandbox import Judge, SandboxWarning


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    """A judge of one worker, whatever layers this machine has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SandboxWarning)
        with Judge(workers=1) as judge:
            judge.report()
            yield judge
