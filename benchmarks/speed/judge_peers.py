"""Whole programs through this judge and its peers, side by side: verdicts, and programs a second a core.

    python benchmarks/speed/judge_peers.py --out runs/peers [--minutes 7] [--rounds 3] [--executions 20]
                                           [--only NAME …] [--json]

Programs: 200 generated ones for problems of 10 to 50 tests (`judge/programs.py`), right, wrong and slow, and
TACO's whole programs from the folder O1CODER_DATA. Peers: verl's `prime_code`, lighteval's copy of
LiveCodeBench's grader, and a bare fork and exec for each test, which protects nothing. The peers come from
PyPI into environments below the temporary folder; what cannot be installed is named and left out. Programs
that loop without end are left out: verl takes a hundred seconds for one. First each grader says of every
program whether it is right; then all are timed in turn, as `contest.py` has it. For call tests see
`judge_speed.py`.

The work is cut into pieces of seconds to two minutes, each kept in the folder. After so many minutes no
further piece is begun, and the exit status is 3: the same command goes on from there. When all are there
the tables are printed; the exit status is then 1 if a right program that a peer accepts is rejected here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import mean
from typing import Any, TypeAlias

from contest import Contestant, Execute, measure, take_part
from judge import graders
from judge.environments import python
from judge.programs import KINDS

HERE, FORK = "judge", "fork"
PEERS: dict[str, tuple[str, Callable[[], graders.Grade]]] = {
    HERE: ("this judge", graders.here),
    "verl": ("verl prime_code", graders.verl),
    "lighteval": ("lighteval LiveCodeBench", graders.lighteval),
    FORK: ("bare fork and exec", graders.fork),
}
TARGETS = {"verl": 5.0, "lighteval": 3.5}
"""How many times as fast this judge is meant to be on right programs."""
_AT_ONCE = 40
"""Programs of a piece of verdicts."""
_UNFINISHED = 3

Piece: TypeAlias = tuple[str | int, ...]
"""What is asked: verdicts of a peer on programs of a kind from a number on, or a round of all on a kind."""


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


def pieces(options: argparse.Namespace) -> Iterator[Piece]:
    """Yields all that is to be done, in order."""
    for kind, programs in KINDS.items():
        for start in range(0, len(programs()), _AT_ONCE):
            yield from (("verdicts", kind, peer, start) for peer in options.only)
    for number in range(options.rounds):
        yield from (("round", kind, number, options.executions, *options.only) for kind in KINDS)


def done_piece(piece: Piece) -> Any:
    """Does a piece; returns what is kept of it."""
    if piece[0] == "verdicts":
        return _verdicts(*map(str, piece[1:]))
    kind, executions = str(piece[1]), int(piece[3])
    chosen = {f"{peer}:{kind}": CONTESTANTS[f"{peer}:{kind}"] for peer in map(str, piece[4:])}
    return measure(chosen, __file__, 1, executions)


def _verdicts(kind: str, peer: str, start: str) -> list[bool] | None:
    """Returns what a grader says of some programs of a kind; None if it cannot be asked, which is printed."""
    try:
        command = [_interpreter(peer), __file__, "--verdicts", f"{peer}:{kind}:{start}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{PEERS[peer][0]}, {kind}: no verdicts: {error}")
        return None
    return json.loads(done.stdout.splitlines()[-1])


def compare(kind: str, peers: list[str], kept: Mapping[Piece, Any]) -> dict[str, Any]:
    """Returns how many programs of a kind each grader accepts, and where a peer differs from this judge."""
    programs = KINDS[kind]()
    parts = {
        peer: [kept["verdicts", kind, peer, start] for start in range(0, len(programs), _AT_ONCE)]
        for peer in peers
    }
    said = {
        peer: [one for part in found for one in part] for peer, found in parts.items() if None not in found
    }
    differences = [
        {"program": program.name, "right": program.right, "peer": peer, "here": here, "there": there}
        for peer, found in said.items()
        for program, here, there in zip(programs, said.get(HERE, found), found, strict=True)
        if here != there
    ]
    accepted = {peer: sum(found) for peer, found in said.items()}
    right = sum(program.right for program in programs)
    return {"programs": len(programs), "right": right, "accepted": accepted, "differences": differences}


def figures(kind: str, options: argparse.Namespace, kept: Mapping[Piece, Any]) -> dict[str, dict[str, Any]]:
    """Returns the figures of all graders on a kind: means over the rounds, with the range of the CPU time."""
    rounds = [
        kept["round", kind, number, options.executions, *options.only] for number in range(options.rounds)
    ]
    return {name: _over_rounds([one[name] for one in rounds]) for name in rounds[0]}


def _over_rounds(rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    absent = next((row for row in rows if "absent" in row), None)
    if absent is not None:
        return dict(absent)
    times = [row["cpu_ms"] for row in rows]
    cpu_ms = mean(times)
    return {**rows[0], "cpu_ms": cpu_ms, "cpu_ms_range": [min(times), max(times)], "per_s_core": 1e3 / cpu_ms}


def show(kind: str, agreement: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> None:
    """Prints the table of one kind of programs."""
    print(f"\n{kind}: {agreement['programs']} programs, {agreement['right']} of them right")
    names = f"{'CPU ms':>8} {'range':>15} {'programs/s/core':>16} {'here is faster':>15}"
    print(f"{'grader':28} {'accepted':>8} {names}")
    mine = found.get(f"{HERE}:{kind}", {}).get("cpu_ms")
    for name, row in found.items():
        accepted = agreement["accepted"].get(name.partition(":")[0], "–")
        if "absent" in row:
            print(f"{row['title']:28} {accepted:>8} not measured: {row['absent']}")
            continue
        low, high = row["cpu_ms_range"]
        ratio = f"{row['cpu_ms'] / mine:14.1f}×" if mine else ""
        print(
            f"{row['title']:28} {accepted:>8} {row['cpu_ms']:8.2f} {f'{low:.1f} to {high:.1f}':>15} "
            f"{row['per_s_core']:16.1f} {ratio:>15}"
        )
    for one in agreement["differences"]:
        marks = ["rejects" if not accepts else "accepts" for accepts in (one["here"], one["there"])]
        truth = "right" if one["right"] else "wrong"
        print(f"  {one['program']} ({truth}): this judge {marks[0]}, {one['peer']} {marks[1]}")


def go_on(options: argparse.Namespace) -> dict[Piece, Any] | None:
    """Does the pieces that the folder lacks; None if the time was over before all were there."""
    ends = time.monotonic() + 60 * options.minutes
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "pieces.jsonl"
    lines = file.read_text().split("\n") if file.exists() else []
    kept = {tuple(piece): value for piece, value in map(json.loads, filter(None, lines))}
    wanted = [*pieces(options)]
    for piece in wanted:
        if piece in kept:
            continue
        if time.monotonic() > ends:
            left = sum(one not in kept for one in wanted)
            print(f"{left} of {len(wanted)} pieces are left: the same command goes on")
            return None
        kept[piece] = done_piece(piece)
        with file.open("a") as out:
            out.write(json.dumps([piece, kept[piece]]) + "\n")
    return kept


def main() -> int:
    """Reads the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/peers"), help="folder of the pieces")
    parser.add_argument("--minutes", type=float, default=7, help="after which no piece is begun")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each grader")
    parser.add_argument("--executions", type=int, default=20, help="programs per turn")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--verdicts", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        take_part(CONTESTANTS[options.contestant])
        return 0
    if options.verdicts:
        peer, kind, start = options.verdicts.split(":")
        print("\n" + json.dumps(PEERS[peer][1]()(KINDS[kind]()[int(start) :][:_AT_ONCE])))
        return 0
    kept = go_on(options)
    if kept is None:
        return _UNFINISHED
    results = {
        kind: {"agreement": compare(kind, options.only, kept), "figures": figures(kind, options, kept)}
        for kind in KINDS
    }
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        for kind, result in results.items():
            show(kind, result["agreement"], result["figures"])
    _show_targets(results["right"]["figures"])
    return int(any(map(_wrongly_rejected, results.values())))


def _wrongly_rejected(result: Mapping[str, Any]) -> bool:
    """Whether a right program that a peer accepts is rejected here."""
    return any(
        one["right"] and one["there"] and not one["here"] for one in result["agreement"]["differences"]
    )


def _show_targets(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Says on standard error which targets are reached on right programs."""
    mine = found.get(f"{HERE}:right", {}).get("per_s_core")
    for peer, factor in TARGETS.items():
        theirs = found.get(f"{peer}:right", {}).get("per_s_core")
        if mine and theirs:
            reached = "reached" if mine >= factor * theirs else "MISSED"
            print(
                f"{PEERS[peer][0]}: {mine / theirs:.1f} times as fast, target {factor}: {reached}",
                file=sys.stderr,
            )


if __name__ == "__main__":
    sys.exit(main())
