from collections.abc import Iterator

import pytest

from o1coder_gym.sandbox import Judge


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    with Judge(2) as judge:
        yield judge
