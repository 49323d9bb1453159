"""The replay of the judge's dispatch: times that a hand can compute, and what it says of 64 cores."""

from pathlib import Path
from typing import Any

import pytest

PLACE = Path(__file__).parents[3] / "benchmarks/speed/judge/scaling.py"


@pytest.fixture(scope="module")
def scaling(import_file: Any) -> Any:
    return import_file(PLACE)


@pytest.mark.parametrize(
    ("costs", "asking", "sizes", "seconds"),
    [
        ([(1.0, 0.0)] * 10, 0.0, [1], 10.0),
        ([(1.0, 0.0)] * 10, 0.0, [5], 2.0),
        ([(1.0, 0.0)] * 16, 0.0, [2, 2], 4.0),
        # one process: half of its second before each program, half after, all one after another
        ([(0.0, 1.0)] * 10, 0.0, [4], 10.0),
        # two halves of the load each
        ([(0.0, 1.0)] * 16, 0.0, [4, 4], 8.0),
        # a slow program delays none but itself: five seconds, and the others beside it
        ([(5.0, 0.0), *[(1.0, 0.0)] * 5], 0.0, [2], 5.0),
        # who asks needs a second for each, so the last of four is there after four and done after five
        ([(1.0, 0.0)] * 4, 1.0, [2], 5.0),
    ],
)
def test_times_by_hand(
    scaling: Any, costs: list[tuple[float, float]], asking: float, sizes: list[int], seconds: float
) -> None:
    end, _ = scaling.replay(scaling.Costs(tuple(costs), asking), sizes)
    assert end == pytest.approx(seconds)


def test_a_pool_of_64_workers_does_nine_tenths_of_64_times_the_work_of_one(scaling: Any) -> None:
    costs = scaling.recorded().repeated(10)
    alone, _ = scaling.replay(costs, [1])
    for workers in (8, 64):
        end, _ = scaling.replay(costs, scaling.sizes_of(workers))
        assert alone / end >= 0.9 * workers
