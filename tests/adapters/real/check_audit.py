"""falsepass 0.11 over our taskset for verifiers: no wrong answer is paid, and no right one is refused."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

AUDIT = Path(__file__).parent / "audit"


def test_falsepass_finds_nothing(tmp_path):
    folder = tmp_path / "audit"
    shutil.copytree(AUDIT, folder)
    command = [sys.executable, "-W", "ignore", "-m", "falsepass.runner", str(folder), "-n", "12"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800)
    print(done.stdout[-4000:])
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "probe-results.json").read_text())
    print(json.dumps(found, indent=1)[:3000])
    outcomes = Counter(row["probe"] for row in found["results"] if row["ok"] is False)
    assert not outcomes, outcomes
