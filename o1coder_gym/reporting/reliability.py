"""The reliability figure: how often a score is right, by score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from o1coder_gym.errors import MissingExtraError
from o1coder_gym.prm.metrics import Bin


def draw_reliability(bins: Sequence[Bin], path: Path, title: str) -> None:
    """Draws mean target over mean score, with the number of examples below.

    Args:
        bins: From `prm.metrics.reliability`.
        path: Image to write; its ending chooses the format.
        title: Above the figure.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plots") from error
    figure = Figure(figsize=(4.5, 5), layout="constrained")
    rates, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    scores = [one.score for one in bins]
    rates.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="calibrated")
    rates.plot(scores, [one.target for one in bins], marker="o", color="C0", label="measured")
    rates.set(ylabel="mean label", xlim=(0, 1), ylim=(0, 1), title=title)
    rates.legend(frameon=False)
    counts.bar(scores, [one.count for one in bins], width=0.08, color="C0", alpha=0.5)
    counts.set(xlabel="mean score", ylabel="steps")
    figure.savefig(path, dpi=150)
