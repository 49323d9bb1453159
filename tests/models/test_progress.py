"""The bar of a training: a line per quarter where there is no terminal."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

pytest.importorskip("transformers", exc_type=ImportError)

from o1coder_gym.models import progress


@pytest.mark.parametrize(
    ("logs", "told"),
    [({"loss": 0.25}, "loss 0.2500"), ({"loss": 0.25, "episodes/pass_rate": 0.5}, "pass rate 50%")],
)
def test_a_training_says_how_far_it_is_and_how_it_goes(
    monkeypatch: pytest.MonkeyPatch, logs: dict[str, float], told: str
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(progress, "notes", lambda: Console(file=log, width=80))
    shown = progress.ShownProgress()
    state = SimpleNamespace(max_steps=8, global_step=2)  # a resumed one
    shown.on_train_begin(None, state, None)
    for state.global_step in range(3, 9):
        shown.on_log(None, state, None, logs)
        shown.on_step_end(None, state, None)
    shown.on_train_end(None, state, None)
    lines = [line.rpartition(" ")[0] for line in log.getvalue().splitlines()]  # without the time
    assert lines == ["training 2/8", *(f"training {done}/8 {told}" for done in (4, 6, 8))]
