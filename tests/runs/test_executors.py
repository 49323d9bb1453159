"""Executors: the same results in the same order, wherever the work runs."""

import importlib.util
import os

import pytest

from o1coder_gym.errors import InfrastructureError, MissingExtraError, UsageError
from o1coder_gym.runs.executors import load_executor


def test_serial_and_processes_agree() -> None:
    pieces = [3, 1, 2]
    results = {}
    for spec in ("serial", "processes:2"):
        run, workers = load_executor(spec)
        assert workers == (1 if spec == "serial" else 2)
        results[spec] = list(run(abs, pieces))
    assert results == {"serial": pieces, "processes:2": pieces}
    run, _ = load_executor("processes:1")
    assert list(run(os.getenv, ["NOT_SET_ANYWHERE"])) == [None]


@pytest.mark.parametrize("spec", ["threads:2", "processes", "processes:0", "ray:x", "processes:2@host", ""])
def test_other_executors_are_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="is none of serial, processes:N"):
        load_executor(spec)


def test_a_process_that_is_lost_is_told_in_one_sentence() -> None:
    run, _ = load_executor("processes:1")
    with pytest.raises(InfrastructureError, match=r"a process was lost, .*continue with --resume$"):
        list(run(os._exit, [1]))


def test_without_ray_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    run, _ = load_executor("ray:2")
    with pytest.raises(MissingExtraError, match=r"o1coder-gym\[ray\]"):
        list(run(abs, [1]))
