"""Relations between arguments are found where they hold, and restored where they broke."""

from typing import Any

import pytest

from o1coder_gym.tcg.inputs.known import Arguments
from o1coder_gym.tcg.inputs.preconditions import find_preconditions


def restored(calls: list[Arguments], broken: Arguments, question: str = "") -> Arguments:
    for restore in find_preconditions(calls, question):
        broken = restore(broken)
    return broken


@pytest.mark.parametrize(
    ("calls", "broken", "expected"),
    [
        ([([1, 2], [3, 4])], ([1, 2, 3], [4]), ([1], [4])),
        ([([1, 2, 5], 3)], ([1, 2], 9), ([1, 2], 2)),
        ([([1, 2, 5], 1), ([4], 0)], ([1, 2], 9), ([1, 2], 1)),
        ([([1, 2, 5], 1), ([4], 1)], ([1, 2], 9), ([1, 2], 2)),
        ([(1, 5), (2, 2), (0, 9)], (7, 3), (3, 7)),
        ([([3, 4], 4)], ([5, 6], 9), ([5, 6], 5)),
    ],
)
def test_relations(calls: list[Arguments], broken: Arguments, expected: Any) -> None:
    assert restored(calls, broken) == expected


def test_what_does_not_hold_everywhere_is_no_relation() -> None:
    assert find_preconditions([([1], [2]), ([1, 2], [3])]) == []
    assert find_preconditions([(1, 2), (3, 4)]) == []
    assert find_preconditions([("a",)]) == []


@pytest.mark.parametrize(
    ("question", "calls", "broken", "expected"),
    [
        ("Sum the odd numbers within the range l and r.", [(2, 5)], (8, 3), (3, 8)),
        (
            "Find the last place of a value in a sorted array.",
            [([1, 2, 3], 1)],
            ([3, 1, 2], 1),
            ([1, 2, 3], 1),
        ),
        ("Find the last place of a value in an array.", [([1, 2, 3], 1)], ([3, 1, 2], 1), ([3, 1, 2], 1)),
        ("Return the sorted array.", [([3, 1],)], ([9, 2],), ([9, 2],)),
    ],
)
def test_an_order_that_one_call_shows_is_believed_where_the_question_speaks_of_it(
    question: str, calls: list[Arguments], broken: Arguments, expected: Any
) -> None:
    assert restored(calls, broken, question) == expected
