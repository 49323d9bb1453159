"""Prints the share of lines and branches that tests reach, by folder; exits with 1 where it is too small.

python .ci/coverage.py build/coverage.json
"""

import json
import sys
from collections import defaultdict
from pathlib import PurePath

LEAST_LINES, LEAST_BRANCHES = 95.0, 90.0
"""Of the whole, in %."""

Counts = dict[str, int]
KEYS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def folder_of(file: str) -> str:
    """Returns the first folder below the package; `agents` and `envs` lie at the top."""
    parts = [part for part in PurePath(file).parts if part != "o1coder_gym"]
    return parts[0] if len(parts) > 1 else "(top)"


def shares(counts: Counts) -> tuple[float, float]:
    """Returns the % of lines and of branches; of none all are reached."""
    lines, all_lines, branches, all_branches = (counts[key] for key in KEYS)
    return 100 * lines / max(all_lines, 1), 100 * branches / all_branches if all_branches else 100.0


def main() -> int:
    """Prints the table."""
    with open(sys.argv[1]) as file:
        found = json.load(file)
    folders: dict[str, Counts] = defaultdict(lambda: dict.fromkeys(KEYS, 0))
    for name, one in found["files"].items():
        for key in KEYS:
            folders[folder_of(name)][key] += one["summary"][key]
    for name, counts in [*sorted(folders.items()), ("all", found["totals"])]:
        print("{:16} lines {:5.1f} %  branches {:5.1f} %".format(name, *shares(counts)))
    lines, branches = shares(found["totals"])
    return int(lines < LEAST_LINES or branches < LEAST_BRANCHES)


if __name__ == "__main__":
    sys.exit(main())
