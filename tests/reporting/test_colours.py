"""Places of lines, by which they have colours and dashes."""

import pytest

from o1coder_gym.reporting.colours import SERIES, drawing_order, line_colour, line_dashes, series_places


@pytest.mark.parametrize("name", ["mcts", "mcts?c=1.4", "mcts:width=4", "runs/a#mcts@256", "mcts hf:tiny"])
def test_an_agent_has_its_place_whatever_stands_around_its_name(name: str) -> None:
    assert series_places(["x", name])[name] == series_places(["mcts"])["mcts"]


def test_two_lines_of_one_agent_are_told_apart() -> None:
    places = series_places(["runs/a#mcts@256", "runs/b#mcts@256", "own.py:mine", "greedy"])
    assert len({*places.values()}) == 4


def test_no_two_places_look_alike() -> None:
    looks = {(line_colour(place), line_dashes(place)) for place in range(3 * len(SERIES))}
    assert len(looks) == 3 * len(SERIES)


def test_solid_lines_lie_below_dashed_ones() -> None:
    assert sorted(range(9), key=drawing_order) == [0, 7, 1, 2, 3, 4, 5, 6, 8]
