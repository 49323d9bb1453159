"""Whole programs through this judge and its peers, side by side: verdicts, and programs a second a core.

    python benchmarks/speed/judge_peers.py [--rounds 3] [--executions 20] [--only NAME …] [--json]

Programs: 200 generated ones for problems of 10 to 50 tests (`judge/programs.py`), right, wrong and slow, and
TACO's whole programs from the folder O1CODER_DATA. Peers: verl's `prime_code`, lighteval's copy of
LiveCodeBench's grader, and a bare fork and exec for each test, which protects nothing. The peers come from
PyPI into environments below the temporary folder; what cannot be installed is named and left out. Programs
that loop without end are left out: verl takes a hundred seconds for one. First each grader says of every
program whether it is right; then all are timed in turn, as `contest.py` has it. For call tests see
`judge_speed.py`. The exit status is 1 if a right program that a peer accepts is rejected here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from itertools import cycle, islice
from typing import Any

from contest import Contestant, Execute, measure, take_part
from judge import graders
from judge.environments import python
from judge.programs import KINDS, Program

HERE, FORK = "judge", "fork"
PEERS: dict[str, tuple[str, Callable[[], graders.Grade]]] = {
    HERE: ("this judge", graders.here),
    "verl": ("verl prime_code", graders.verl),
    "lighteval": ("lighteval LiveCodeBench", graders.lighteval),
    FORK: ("bare fork and exec", graders.fork),
}
TARGETS = {"verl": 5.0, "lighteval": 3.5}
"""How many times as fast this judge is meant to be on right programs."""


def _interpreter(peer: str) -> str:
    return sys.executable if peer in (HERE, FORK) else python(peer)


def _prepare(peer: str, kind: str) -> Execute:
    """Prepares a grader for the programs of a kind, one after the other and over again."""
    programs = cycle(KINDS[kind]())
    grade = PEERS[peer][1]()

    def execute(times: int) -> None:
        grade([*islice(programs, times)])

    return execute


CONTESTANTS = {
    f"{peer}:{kind}": Contestant(title, partial(_prepare, peer, kind), python=partial(_interpreter, peer))
    for kind in KINDS
    for peer, (title, _) in PEERS.items()
}


def verdicts(peer: str, kind: str) -> list[bool] | None:
    """Returns what a grader says of all programs of a kind; None if it cannot be asked, which is printed."""
    try:
        command = [_interpreter(peer), __file__, "--verdicts", f"{peer}:{kind}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{PEERS[peer][0]}, {kind}: no verdicts: {error}")
        return None
    return json.loads(done.stdout.splitlines()[-1])


def compare(kind: str, peers: list[str]) -> dict[str, Any]:
    """Returns how many programs of a kind each grader accepts, and where a peer differs from this judge."""
    programs: list[Program] = KINDS[kind]()
    said = {peer: found for peer in peers if (found := verdicts(peer, kind)) is not None}
    differences = [
        {"program": program.name, "right": program.right, "peer": peer, "here": here, "there": there}
        for peer, found in said.items()
        for program, here, there in zip(programs, said.get(HERE, found), found, strict=True)
        if here != there
    ]
    accepted = {peer: sum(found) for peer, found in said.items()}
    right = sum(program.right for program in programs)
    return {"programs": len(programs), "right": right, "accepted": accepted, "differences": differences}


def show(kind: str, agreement: Mapping[str, Any], figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Prints the table of one kind of programs."""
    print(f"\n{kind}: {agreement['programs']} programs, {agreement['right']} of them right")
    print(f"{'grader':28} {'accepted':>8} {'CPU ms':>8} {'programs/s/core':>16} {'here is faster':>15}")
    mine = figures.get(f"{HERE}:{kind}", {}).get("cpu_ms")
    for name, row in figures.items():
        accepted = agreement["accepted"].get(name.partition(":")[0], "–")
        if "absent" in row:
            print(f"{row['title']:28} {accepted:>8} not measured: {row['absent']}")
            continue
        ratio = f"{row['cpu_ms'] / mine:14.1f}×" if mine else ""
        print(f"{row['title']:28} {accepted:>8} {row['cpu_ms']:8.2f} {row['per_s_core']:16.1f} {ratio:>15}")
    for one in agreement["differences"]:
        marks = ["rejects" if not accepts else "accepts" for accepts in (one["here"], one["there"])]
        truth = "right" if one["right"] else "wrong"
        print(f"  {one['program']} ({truth}): this judge {marks[0]}, {one['peer']} {marks[1]}")


def main() -> int:
    """Reads the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of each grader")
    parser.add_argument("--executions", type=int, default=20, help="programs per turn")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--verdicts", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        take_part(CONTESTANTS[options.contestant])
        return 0
    if options.verdicts:
        peer, _, kind = options.verdicts.partition(":")
        print("\n" + json.dumps(PEERS[peer][1]()(KINDS[kind]())))
        return 0
    results = {kind: _measure(kind, options) for kind in KINDS}
    if options.json:
        print(json.dumps(results, indent=2))
    wrongly = [
        one for result in results.values() for one in result["agreement"]["differences"]
        if one["right"] and one["there"] and not one["here"]
    ]  # fmt: skip
    _show_targets(results["right"]["figures"])
    return 1 if wrongly else 0


def _measure(kind: str, options: argparse.Namespace) -> dict[str, Any]:
    """Compares and times all graders on the programs of a kind, and shows how they did."""
    agreement = compare(kind, options.only)
    chosen = {f"{peer}:{kind}": CONTESTANTS[f"{peer}:{kind}"] for peer in options.only}
    figures = measure(chosen, __file__, options.rounds, options.executions)
    if not options.json:
        show(kind, agreement, figures)
    return {"agreement": agreement, "figures": figures}


def _show_targets(figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Says on standard error which targets are reached on right programs."""
    mine = figures.get(f"{HERE}:right", {}).get("per_s_core")
    for peer, factor in TARGETS.items():
        theirs = figures.get(f"{peer}:right", {}).get("per_s_core")
        if mine and theirs:
            reached = "reached" if mine >= factor * theirs else "MISSED"
            print(
                f"{PEERS[peer][0]}: {mine / theirs:.1f} times as fast, target {factor}: {reached}",
                file=sys.stderr,
            )


if __name__ == "__main__":
    sys.exit(main())
