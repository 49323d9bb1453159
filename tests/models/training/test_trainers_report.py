"""Where trainers report to."""

import pytest

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.models.training.arguments import REPORT_TO, report_to


@pytest.mark.parametrize(
    ("said", "found"),
    [(None, ["tensorboard"]), ("none", ["none"]), (" tensorboard , none", ["tensorboard", "none"])],
)
def test_tensorboard_unless_said_otherwise(
    monkeypatch: pytest.MonkeyPatch, said: str | None, found: list[str]
) -> None:
    monkeypatch.delenv(REPORT_TO, raising=False)
    if said is not None:
        monkeypatch.setenv(REPORT_TO, said)
    assert report_to() == found


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [("wandbb", UnknownNameError, "did you mean 'wandb'"), ("swanlab", UsageError, "pip install swanlab")],
)
def test_what_cannot_be_reported_to_is_said(
    monkeypatch: pytest.MonkeyPatch, said: str, kind: type, told: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv(REPORT_TO, said)
    with pytest.raises(kind, match=told):
        report_to()
