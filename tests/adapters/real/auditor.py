"""Runs falsepass over one of our environments for another framework."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

AUDITS = Path(__file__).parent / "audits"


def audited(name: str, folder: Path) -> list[dict[str, Any]]:
    """Audits all bundled problems; prints falsepass' report, and returns its results, a row an answer."""
    shutil.copytree(AUDITS / name, folder)
    command = [sys.executable, "-W", "ignore", "-m", "falsepass.runner", str(folder), "-n", "1000"]
    done = subprocess.run(command, cwd=AUDITS.parent, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    print((folder / "summary.md").read_text())
    rows = json.loads((folder / "probe-results.json").read_text())["results"]
    assert len({(row["probe"], row["variant"]) for row in rows}) > 50
    assert not [row for row in rows if row["errors"]]
    return rows


def failed(rows: list[dict[str, Any]]) -> set[str]:
    """Returns the kinds of answer that are paid too much or too little."""
    return {row["variant"] for row in rows if not row["passed"]}
