"""Curves of learning become pictures; what was not measured is left out."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure
from matplotlib.image import imread

from o1coder_gym.metrics import Bin
from o1coder_gym.reporting.figures import draw_curve, draw_reliability, draw_updates, markdown_curve

UPDATES = [
    {
        "t": t,
        "episodes/pass_rate": t / 10,
        "episodes/compile_rate": 1 - t / 20,
        "episodes/format_compliance": 1.0,
        "validation/pass_rate": 0.5,
    }
    for t in range(10)
]
STAGES = [{"iteration": 0, "stage": stage, "pass_rate": 0.2, "greedy": 0.3} for stage in ("sft", "rl")]
BINS = [Bin(0.1, 0.9, 3), Bin(0.5, 0.5, 4), Bin(0.9, 0.1, 3)]


def colours(path: Path) -> int:
    """Returns how many colours a picture has: each line adds its own."""
    return len({tuple(pixel) for row in imread(path) for pixel in row})


def test_a_line_for_each_measure_that_was_taken(tmp_path: Path) -> None:
    one = [{"t": t, "episodes/pass_rate": t / 10, "episodes/compile_rate": None} for t in range(5)]
    two = [{**row, "validation/pass_rate": 0.5} if row["t"] % 2 else row for row in one]
    assert draw_updates(one, tmp_path / "one.png")
    assert draw_updates(two, tmp_path / "two.png")
    assert colours(tmp_path / "two.png") > colours(tmp_path / "one.png")


def test_stages_of_self_play(tmp_path: Path) -> None:
    assert draw_curve(STAGES, tmp_path / "curve.png")
    assert imread(tmp_path / "curve.png").shape[:2] == (525, 1170)


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: draw_updates(UPDATES, path),
        lambda path: draw_curve(STAGES, path),
        lambda path: draw_reliability(BINS, path, "prm"),
    ],
    ids=["updates", "curve", "reliability"],
)
def test_no_legend_covers_data(
    draw: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    draw(tmp_path / "drawn.png")
    (figure,) = drawn
    figure.draw_without_rendering()
    legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]
    assert len(legends) == 1
    assert not any(legends[0].get_window_extent().overlaps(axes.bbox) for axes in figure.axes)


def test_rough_intervals_of_a_curve_are_marked() -> None:
    row = {"iteration": 1, "stage": "rl", "pass_rate": 0.2, "greedy": 0.3, "format_compliance": 1.0}
    row |= {"pass_rate_low": 0.1, "pass_rate_high": 0.4, "greedy_low": 0.2, "greedy_high": 0.5}
    rough = markdown_curve([row | {"pass_rate_rough": 1.0, "greedy_rough": 0.0}])
    assert "| 20.0% (10 to 40)~ | 30.0% (20 to 50) |" in rough
    assert "~" not in markdown_curve([row])  # rows of earlier versions do not say
