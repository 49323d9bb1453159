"""The script that repeats the suite keeps a journal, and goes on where it was stopped."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "fidelity" / "repeated_suite.py"
UNSTEADY = """from pathlib import Path


def test_fails_once():
    mark = Path(__file__).with_name("ran")
    ran_before = mark.exists()
    mark.touch()
    assert ran_before, "the first run"


def test_steady():
    pass
"""


def _repeat(folder: Path, runs: int) -> tuple[int, str]:
    command = [sys.executable, str(SCRIPT), f"--runs={runs}", "--busy=1", f"--out={folder}", "--"]
    tests = [str(folder / "test_unsteady.py"), "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *tests], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_runs_go_on_from_the_journal(tmp_path: Path) -> None:
    (tmp_path / "test_unsteady.py").write_text(UNSTEADY)
    assert _repeat(tmp_path, 1)[0] == 1
    status, printed = _repeat(tmp_path, 2)

    runs = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [run["tests"] for run in runs] == [2, 2]
    assert [len(run["failures"]) for run in runs] == [1, 0]
    assert "the first run" in next(iter(runs[0]["failures"].values()))
    assert "1 of 2 runs without a failure" in printed
    assert status == 1


def test_runs_that_end_early_count_as_failed(tmp_path: Path) -> None:
    status, printed = _repeat(tmp_path, 1)  # no such file
    assert (status, "   1 of 1  pytest" in printed) == (1, True)
