"""How long report and compare take over many rows, of one version or of several side by side.

    python benchmarks/speed/pages/report_speed.py [--problems N] [--seeds N] [--agents N] [--turns N] [TREE …]

Each TREE is a checkout of the project, run by the Python of its own .venv where it has one; without one it
is this one. Rows are drawn with a seed; CPU seconds, the best of the turns, reading and writing of files
included.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = """
import sys, time
from pathlib import Path
from o1coder_gym.reporting.comparison import compare_with
from o1coder_gym.reporting.results import read_results
try:
    from o1coder_gym.reporting.report_files import write_report
except ImportError:  # where 268bfca and those before have it
    from o1coder_gym.cli.report import write_report

folder = Path(sys.argv[1])
times = {"report": [], "compare": []}
for _ in range(int(sys.argv[2])):
    start = time.process_time()
    write_report(folder, read_results(folder))
    times["report"].append(time.process_time() - start)
    start = time.process_time()
    compare_with(read_results(folder), "greedy")
    times["compare"].append(time.process_time() - start)
print(*(f"{min(found):.2f}" for found in times.values()))
"""


def write_rows(path: Path, problems: int, seeds: int, agents: int) -> int:
    """Writes result rows of agents that solve between a third and two thirds; returns how many."""
    dice = random.Random(0)
    names = ["greedy", *(f"mcts:width={number}" for number in range(1, agents))]
    ease = [dice.random() for _ in range(problems)]
    usage = {
        "tokens": 900,
        "prompt_tokens": 300,
        "cached_tokens": 0,
        "calls": 9,
        "executions": 9,
        "seconds": 2.5,
    }
    with path.open("w") as file:
        for place, name in enumerate(names):
            for seed in range(seeds):
                for number, chance in enumerate(ease):
                    solved = dice.random() < chance + 0.02 * place
                    row = {
                        "task_id": f"toy/{number}",
                        "agent": name,
                        "seed": seed,
                        "outcome": "pass" if solved else "wrong_answer",
                        "passed": 4 if solved else 1,
                        "total": 4,
                        "value": 0.5,
                        "code": "def f(): ...",
                        "steps": 3,
                        "usage": usage,
                        "problems": "toy.jsonl",
                        "policy": "scripted:x",
                        "format": "pseudocode",
                        "budget": {"tokens": 1024},
                    }
                    file.write(json.dumps(row) + "\n")
    return problems * seeds * len(names)


def main() -> None:
    """Prints a line per tree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--agents", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("trees", nargs="*", type=Path, default=[Path(__file__).parents[3]])
    asked = parser.parse_args()
    print("| tree | rows | report, CPU s | compare, CPU s |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        rows = write_rows(Path(folder) / "results.jsonl", asked.problems, asked.seeds, asked.agents)
        for tree in asked.trees:
            environment = os.environ | {"PYTHONPATH": str(tree.resolve())}
            own = tree.resolve() / ".venv" / "bin" / "python"
            command = [str(own if own.exists() else sys.executable), "-c", PROGRAM, folder, str(asked.turns)]
            done = subprocess.run(
                command, env=environment, cwd=folder, capture_output=True, text=True, check=True
            )
            report, compare = done.stdout.split()
            print(f"| {tree} | {rows:,} | {report} | {compare} |", flush=True)


if __name__ == "__main__":
    main()
