"""A run of self-play as a process, by the code of this checkout or of another one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from o1coder_gym.agents.rl.settings import DPOSettings
from o1coder_gym.runs.files import write_whole

ROOT = Path(__file__).resolve().parents[3]
CONFIG = ROOT / "benchmarks" / "selfplay" / "tiny.toml"
DPO = DPOSettings(learning_rate=2e-5, beta=0.1, batch_size=16, rows_at_once=16)


def command_of(config: Path, folder: Path, seed: int, tree: Path = ROOT) -> list[str]:
    """Returns the command of a run; it goes on with what its folder holds."""
    own = tree / ".venv" / "bin" / "python"
    python = str(own) if own.exists() else sys.executable
    options = ["--config", str(config), "--out", str(folder), "--seed", str(seed), "--resume", "--json"]
    return [python, "-P", "-m", "o1coder_gym.cli.main", "selfplay", *options]


def run(config: Path, folder: Path, seed: int, tree: Path = ROOT) -> str:
    """Runs self-play to its end, by the code of a checkout; returns what it prints."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    return subprocess.run(
        command_of(config, folder, seed, tree), check=True, stdout=subprocess.PIPE, text=True, env=environment
    ).stdout


def copy_tests(finished: Path, folder: Path) -> None:
    """Copies generated tests, which depend on the problems alone."""
    if (finished / "tests.jsonl").exists() and not (folder / "tests.jsonl").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "tests.jsonl", (finished / "tests.jsonl").read_bytes())
