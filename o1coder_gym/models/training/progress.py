"""What watches transformers' trainers: progress on standard error, and the end of one that diverged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from o1coder_gym.errors import O1CoderError
from o1coder_gym.runs.progress import notes, progress_bars


class ShownProgress(TrainerCallback):
    """A bar with the pass rate of the last batch of episodes, or the last loss."""

    def __init__(self) -> None:
        """Shows nothing before the training begins."""
        self.bars = progress_bars(notes())
        self._bar = self.bars.add_task("training", told="")

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Shows the bar."""
        self.bars.update(self._bar, total=state.max_steps, completed=state.global_step)
        self.bars.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Moves the bar."""
        self.bars.update(self._bar, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Shows the last figures."""
        told = logs or {}
        if (rate := told.get("episodes/pass_rate")) is not None:
            self.bars.update(self._bar, told=f"pass rate {rate:.0%}")
        elif "loss" in told:
            self.bars.update(self._bar, told=f"loss {float(told['loss']):.4f}")


class EndsWhereItDiverges(TrainerCallback):
    """Ends a training whose loss or gradient is no number any more; before a checkpoint is saved of it."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Raises `O1CoderError` at the first such step."""
        for name in ("loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                where = f"{name} is {value} at step {state.global_step}"
                raise O1CoderError(
                    f"the training diverged: {where}; try a lower learning rate, in a new run folder"
                )


@contextmanager
def shown_progress(trainer: Any) -> Iterator[None]:
    """Shows a bar in place of what a trainer prints; it ends with the training, also with one that fails."""
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    shown = ShownProgress()
    trainer.add_callback(shown)
    try:
        yield
    finally:
        shown.bars.stop()
