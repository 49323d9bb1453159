"""CPU seconds of commands: help, a completion, report and compare of many rows; versions side by side.

    python benchmarks/speed/pages/command_speed.py [--problems N] [--seeds N] [--agents N] [--turns N] [TREE]…

Each TREE is a checkout of the project, run by the Python of its own .venv where it has one; without one it
is this one. Rows are drawn with a seed. User and system seconds of whole processes; the median of the turns,
in which the trees take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

CALL = "import sys; sys.argv[0] = 'o1coder'; from o1coder_gym.cli.main import main; sys.exit(main())"
TAB = "source {}; COMP_WORDS=(o1coder ben); COMP_CWORD=1; _o1coder; echo ${{COMPREPLY[@]}}"
ASKED = {"_O1CODER_COMPLETE": "complete_bash", "COMP_WORDS": "o1coder ben", "COMP_CWORD": "1"}
"""How the command lines of 268bfca and those before are asked for a completion: Python starts at each key."""


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


def commands(tree: Path, rows: Path) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Returns what is run of a tree, and the variables that it needs, by column."""
    own = tree.resolve() / ".venv" / "bin" / "python"
    python = [
        str(own if own.exists() else sys.executable),
        "-P",
        "-c",
        CALL,
    ]  # -P: not the tree that lies here
    there = {"PYTHONPATH": str(tree.resolve())}
    script = subprocess.run([*python, "completion", "bash"], env=os.environ | there, capture_output=True)
    completion = (python, there | ASKED)
    if script.returncode == 0:
        file = rows / f"complete-{len(list(rows.iterdir()))}.sh"
        file.write_bytes(script.stdout)
        completion = (["bash", "-c", TAB.format(file)], {})
    return {
        "--help": ([*python, "--help"], there),
        "completion": completion,
        "report": ([*python, "report", str(rows), "--no-figures"], there),
        "compare": ([*python, "bench", "compare", str(rows)], there),
    }


def cpu_seconds(command: Sequence[str], variables: dict[str, str]) -> float:
    """Runs a command and returns the CPU seconds of it and of all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=os.environ | variables, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Prints a line per tree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--agents", type=int, default=10)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("trees", nargs="*", type=Path, default=[Path(__file__).parents[3]])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = write_rows(Path(folder) / "results.jsonl", asked.problems, asked.seeds, asked.agents)
        found = [commands(tree, Path(folder)) for tree in asked.trees]
        times: dict[tuple[int, str], list[float]] = {}
        for _ in range(asked.turns):
            for name in found[0]:
                for place, tree in enumerate(found):
                    times.setdefault((place, name), []).append(cpu_seconds(*tree[name]))
        print(f"{rows:,} rows; CPU seconds\n\n| tree | {' | '.join(found[0])} |\n|{' --- |' * 5}")
        for place, tree in enumerate(asked.trees):
            cells = [f"{statistics.median(times[place, name]):.3f}" for name in found[0]]
            print(f"| {tree} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
