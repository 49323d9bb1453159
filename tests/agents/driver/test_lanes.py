from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import Any

import pytest

from o1coder_gym.agents.driver.lanes import Batch, Lane, Request


def double(payloads: Sequence[int]) -> list[int]:
    return [2 * payload for payload in payloads]


@pytest.fixture
def lane() -> Iterator[Lane]:
    lane = Lane("test", double, SimpleQueue(), batch_weight=10, batch_size=3)
    yield lane
    lane.close()


def request(payload: int, priority: int = 0, **options: Any) -> Request:
    return Request("owner", payload, priority, **options)


def landed(lane: Lane) -> Batch:
    """Waits for a batch and lets it land."""
    batch = lane.done.get(timeout=10)
    assert batch is not None
    lane.land(batch)
    return batch


def served(lane: Lane) -> list[list[int]]:
    """Runs the lane until nothing waits; the payloads of each batch."""
    batches = []
    while lane.waiting or lane.in_flight:
        lane.dispatch()
        batch = landed(lane)
        payloads = [request.payload for request in batch.requests]
        assert batch.error is None
        assert batch.replies == [2 * payload for payload in payloads]
        batches.append(payloads)
    return batches


def test_old_tasks_go_first_and_their_requests_in_order(lane: Lane) -> None:
    for payload, priority in ((1, 2), (2, 0), (3, 1), (4, 0)):
        lane.put(request(payload, priority))
    assert served(lane) == [[2, 4, 3], [1]]


def test_a_batch_is_bounded_by_weight(lane: Lane) -> None:
    for payload in (4, 6, 1, 20, 2):
        lane.put(request(payload, weight=payload))
    # 4 + 6 = 10 fits; one that is too heavy for any batch still goes, alone
    assert served(lane) == [[4, 6], [1], [20], [2]]


def test_a_request_that_must_be_alone_is(lane: Lane) -> None:
    for payload in (1, 2, 3):
        lane.put(request(payload, alone=payload == 2))
    assert served(lane) == [[1], [2], [3]]


def test_requests_of_one_owner_can_be_dropped(lane: Lane) -> None:
    lane.put(request(1))
    lane.put(Request("another", 2, 0))
    lane.put(request(3))
    lane.drop("owner")
    assert served(lane) == [[2]]


def test_what_the_function_raises_is_a_value(lane: Lane) -> None:
    lane.serve = lambda payloads: [1 // payload for payload in payloads]
    lane.put(request(0))
    lane.dispatch()
    assert isinstance(landed(lane).error, ZeroDivisionError)
    assert (lane.idle, lane.busy) == (1, False)


def test_no_more_batches_leave_than_there_are_threads() -> None:
    lane = Lane("test", double, SimpleQueue(), threads=2, batch_size=1)
    for payload in range(5):
        lane.put(request(payload))
    lane.dispatch()
    assert (len(lane.in_flight), lane.waiting, lane.idle, lane.busy) == (2, 3, 0, True)
    for _ in range(2):
        landed(lane)
    assert sorted(payload for (payload,) in served(lane)) == [2, 3, 4]
    lane.close()
