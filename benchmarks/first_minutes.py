"""The first minutes of a stranger by the clock: installation, first picture, end of the demo, of the tests.

    python benchmarks/first_minutes.py --below /var/tmp --cores 2 --runs 3
    python benchmarks/first_minutes.py --below /tmp --cores 1 --test

Each run clones the project into an empty folder, with a virtual environment of its own, and runs
``make demo`` at a terminal of 80 columns. A revision whose demo has no pictures is timed too: its first
one is the table.
Prints a row a run, as Markdown. Let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARKS: Mapping[str, str] = {
    "installed": r"bin/o1coder (demo|models fetch)",
    "first picture": r"simulations|solved\s*┃",
}
"""What the screen shows when a stage is reached."""


def main() -> None:
    """Runs what the options ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--below", type=Path, default=Path(tempfile.gettempdir()), help="where to clone to")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--revision", default="HEAD", help="of this repository")
    parser.add_argument("--test", action="store_true", help="run make test after the demo")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    print("| revision | below | cores | installed | first picture | end of make demo | make test |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for _ in range(options.runs):
        print(row(options), flush=True)


def row(options: argparse.Namespace) -> str:
    """Times one clone; returns its row. The clone is removed again."""
    folder = Path(tempfile.mkdtemp(prefix="first-minutes-", dir=options.below))
    try:
        clone = folder / "o1coder-gym"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        subprocess.run(["git", "checkout", "--quiet", options.revision], cwd=clone, check=True)
        times, status = watched(["make", "demo"], clone)
        seconds = [f"{times[mark]:.0f} s" if mark in times else "–" for mark in (*MARKS, "end")]
        tested = "–"
        if options.test:
            begun = time.monotonic()
            done = subprocess.run(["make", "test"], cwd=clone, capture_output=True, text=True, check=False)
            tested = f"{time.monotonic() - begun:.0f} s, {summary(done.stdout)}"
        failed = "" if status == 0 else f" (status {status})"
        name = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=clone, capture_output=True, text=True, check=True
        ).stdout.strip()
        return f"| {name} | {options.below} | {options.cores} | {' | '.join(seconds)}{failed} | {tested} |"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def watched(command: list[str], folder: Path) -> tuple[dict[str, float], int]:
    """Runs a command at a terminal; returns the seconds after which each mark was seen, and its status."""
    begun = time.monotonic()
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": "80", "LINES": "44", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command, cwd=folder, stdout=theirs, stderr=theirs, stdin=theirs, env=environment
    )
    os.close(theirs)
    times: dict[str, float] = {}
    seen = ""
    while True:
        try:
            read = os.read(ours, 1 << 16)
        except OSError:  # the last process has closed the terminal
            break
        if not read:
            break
        seen = (seen + read.decode(errors="replace"))[-20_000:]
        for mark, pattern in MARKS.items():
            if mark not in times and re.search(pattern, seen):
                times[mark] = time.monotonic() - begun
    status = process.wait()
    os.close(ours)
    return times | {"end": time.monotonic() - begun}, status


def summary(text: str) -> str:
    """Returns pytest's closing line without its time, and which tests failed."""
    lines = [line for line in text.splitlines() if re.search(r"\d+ (passed|failed)", line)]
    closing = re.sub(r" in [\d.]+s.*", "", lines[-1]).strip("= ") if lines else "no closing line"
    return ", ".join([closing, *re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)])


if __name__ == "__main__":
    main()
