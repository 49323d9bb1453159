"""`o1coder rl policy` by two ranks: one run folder, one line of output; a killed rank costs time alone."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.cli.main import main
from tests.command_line import call
from tests.ranks import run, started

pytestmark = pytest.mark.slow

RUN = ["rl", "policy", "--model", "tiny", "--problems", "micro", "--limit", "6", "--tests", "4", "--json"]
BATCH = ["--batch-problems", "2", "--episodes", "4", "--rows-at-once", "4", "--updates", "4"]
STEPS = ["--max-steps", "3", "--max-tokens", "24", "--save-every", "1", "--lr", "1e-4"]
WORDS = [*RUN, *BATCH, *STEPS]


def table(out: Path) -> list[dict[str, Any]]:
    """Returns what was measured of each batch."""
    return [json.loads(line) for line in (out / "updates.jsonl").read_text().splitlines()]


def test_a_run_that_lost_a_rank_goes_on_to_the_same_table(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    out, alone = tmp_path / "out", tmp_path / "alone"
    saved = out / "checkpoints" / "checkpoint-1" / "trainer_state.json"
    with started(2, main, [*WORDS, "--out", str(out)]) as ranks:
        while not saved.exists() and ranks.run:
            time.sleep(0.02)
        ranks.kill(1)
        first, second = ranks.ended()
    assert (first.status, second.status) == (1, -9), first.stderr[-3000:]
    assert "another rank ended without a message; continue with --resume" in first.stderr
    assert not (out / "model").exists()

    found = run(2, main, [*WORDS, "--out", str(out), "--resume"])
    assert [one.status for one in found] == [0, 0], found[0].stderr[-3000:]
    assert json.loads(found[0].stdout)["model"] == str(out / "model")
    assert found[1].stdout == ""
    assert call(*WORDS, "--out", alone).exit_code == 0
    one, two = table(alone), table(out)
    assert [row["t"] for row in two] == [0, 1, 2, 3]
    for mine, theirs in zip(one, two, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-6, nan_ok=True)


def test_what_fails_in_the_first_rank_or_in_all_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "config.json").write_text('{"command": "rl policy"}')
    (taken / "journal.jsonl").write_text("")
    unknown = [word if word != "micro" else "nothing" for word in WORDS]
    for words, told in (
        ([*WORDS, "--out", str(taken)], "taken/config.json: not the config of a run"),
        ([*WORDS, "--resume"], "name its folder"),
        ([*unknown, "--out", str(tmp_path / "new")], "unknown problem set 'nothing'"),
        (["prm", "train", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "prm")], "none"),
    ):
        found = run(2, main, words)
        lines = [line for one in found for line in one.stderr.splitlines()]
        assert len(lines) == 1, lines
        assert told in lines[0]
        assert all(one.status for one in found)
