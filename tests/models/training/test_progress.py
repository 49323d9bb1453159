"""The bar of a training: a line per quarter where there is no terminal."""

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

pytest.importorskip("transformers", exc_type=ImportError)

from o1coder_gym.models.training import progress
from o1coder_gym.models.training.assembly import run


class Trainer:
    shown: Any

    def remove_callback(self, kind: type) -> None: ...

    def add_callback(self, callback: Any) -> None:
        self.shown = callback

    def _run_epoch(self) -> None: ...


def test_the_bar_of_a_training_that_fails_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    monkeypatch.setattr(progress, "notes", lambda: console)

    class Failing(Trainer):
        def train(self, resume_from_checkpoint: str | None) -> None:
            self.shown.on_train_begin(None, SimpleNamespace(max_steps=8, global_step=0), None)
            raise KeyboardInterrupt

    trainer, streams = Failing(), (sys.stdout, sys.stderr)
    with pytest.raises(KeyboardInterrupt):
        run(trainer, None)
    assert not trainer.shown.bars.live.is_started
    assert (sys.stdout, sys.stderr) == streams


@pytest.mark.parametrize(
    ("logs", "told"),
    [({"loss": 0.25}, "loss 0.2500"), ({"loss": 0.25, "episodes/pass_rate": 0.5}, "pass rate 50%")],
)
def test_a_training_says_how_far_it_is_and_how_it_goes(
    monkeypatch: pytest.MonkeyPatch, logs: dict[str, float], told: str
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(progress, "notes", lambda: Console(file=log, width=80))
    trainer, state = Trainer(), SimpleNamespace(max_steps=8, global_step=2)  # a resumed one
    with progress.shown_progress(trainer):
        trainer.shown.on_train_begin(None, state, None)
        for state.global_step in range(3, 9):
            trainer.shown.on_log(None, state, None, logs)
            trainer.shown.on_step_end(None, state, None)
    lines = [line.rpartition(" ")[0] for line in log.getvalue().splitlines()]  # without the time
    assert lines == ["training 2/8", *(f"training {done}/8 {told}" for done in (4, 6, 8))]
