"""How fast a search runs on a policy: one bench by several builds or policies, in turns; one table.

    python benchmarks/speed/models/searches.py --out runs/searches --side now=. --side before=CHECKOUT
        [--python PYTHON] [--policy vllm:qwen2.5-coder-0.5b] [--agent best_of_n] [--set starter]
        [--problems 24] [--tokens 512] [--turns 2]

A side is ``NAME=CHECKOUT`` or ``NAME=CHECKOUT,POLICY``; PYTHON is an interpreter whose environment has what
the policies need. Requests are real: steps end where the model ends them, and the driver decides what is
asked together. Seconds are those of the command less those of a command with one problem and few tokens,
which loads the same. A turn in the table is not run again. Timings need a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from o1coder_gym.runs.journal import read_rows

Row = dict[str, Any]


FEW = 8
"""Tokens of the command that is there to load."""


def run(name: str, checkout: Path, policy: str, given: argparse.Namespace) -> Row:
    """Runs the bench by one side; returns its row."""
    loading, _ = timed(checkout, policy, given, 1, FEW)
    seconds, folder = timed(checkout, policy, given, given.problems, given.tokens)
    samples = [sample for row in read_rows(folder / "answers.jsonl") for sample in row.get("a") or ()]
    tokens = sum(sample[1] for sample in samples if isinstance(sample, list))
    return {"side": name, "seconds": seconds - loading, "samples": len(samples), "tokens": tokens}


def timed(
    checkout: Path, policy: str, given: argparse.Namespace, problems: int, tokens: int
) -> tuple[float, Path]:
    """Runs a bench; returns its seconds and its folder."""
    folder = given.out / "run"
    # Left by a turn that was stopped: a bench that goes on would have fewer seconds than it took.
    shutil.rmtree(folder, ignore_errors=True)
    command: list[str | Path] = [given.python, "-m", "o1coder_gym.cli.main", "bench", "--out", folder]
    command += ["--problems", given.set, "--limit", str(problems), "--policy", policy]
    command += ["--agent", given.agent, "--tokens", str(tokens), "--max-steps", "5", "--no-controls"]
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    begun = time.monotonic()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun, folder


def table(rows: Sequence[Row]) -> str:
    """Writes medians over turns in Markdown, ratios to the last side."""
    names = list(dict.fromkeys(row["side"] for row in rows))
    rates = {name: [row["tokens"] / row["seconds"] for row in rows if row["side"] == name] for name in names}
    lines = ["| side | tokens a second | turns | ÷ last side | tokens |", "|---|---|---|---|---|"]
    for name in names:
        ratio = median(rates[name]) / median(rates[names[-1]])
        turns = ", ".join(f"{rate:.1f}" for rate in rates[name])
        tokens = next(row["tokens"] for row in rows if row["side"] == name)
        lines.append(f"| {name} | {median(rates[name]):.1f} | {turns} | {ratio:.2f} | {tokens:,} |")
    return "\n".join(lines)


def main() -> None:
    """Fills the table and prints it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", action="append", required=True, metavar="NAME=CHECKOUT[,POLICY]")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--policy", default="vllm:qwen2.5-coder-0.5b")
    parser.add_argument("--agent", default="best_of_n")
    parser.add_argument("--set", default="starter", help="of problems")
    for name, default in (("problems", 24), ("tokens", 512), ("turns", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "rows.jsonl"
    rows = [*read_rows(kept)]
    turns: list[tuple[int, str]] = [*product(range(given.turns), given.side)]
    for turn, side in turns:
        name, _, place = side.partition("=")
        checkout, _, policy = place.partition(",")
        if sum(row["side"] == name for row in rows) > turn:
            continue
        rows.append(run(name, Path(checkout), policy or given.policy, given))
        kept.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(table(rows))


if __name__ == "__main__":
    main()
