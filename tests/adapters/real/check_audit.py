"""falsepass 0.11 over our taskset for verifiers: no wrong answer is paid, and no right one is refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

AUDIT = Path(__file__).parent / "audit"


def test_falsepass_finds_nothing(tmp_path):
    folder = tmp_path / "audit"
    shutil.copytree(AUDIT, folder)
    command = [sys.executable, "-W", "ignore", "-m", "falsepass.runner", str(folder), "-n", "12"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    rows = json.loads((folder / "probe-results.json").read_text())["results"]
    assert len({row["probe"] for row in rows}) > 10
    assert not [row for row in rows if not row["passed"] or row["errors"]]
