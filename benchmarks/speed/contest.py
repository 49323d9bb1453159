"""Interleaved measurement: each contestant in a process of its own, taking its turn while others sleep.

CPU time is that of the contestant's process, of all its children that ended, and of those that live on
(servers that fork), from the first round to the last.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Execute: TypeAlias = Callable[[int], None]
"""Does the measured work so many times; raises if a result is wrong."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """What is measured.

    Attributes:
        title: For the table.
        prepare: Imports what it needs and returns what is timed.
        share: Share of the executions of a round that it makes; the slow make fewer.
        python: Returns the interpreter that runs it; raises OSError where there is none.
    """

    title: str
    prepare: Callable[[], Execute]
    share: float = 1.0
    python: Callable[[], str] = lambda: sys.executable


def take_part(contestant: Contestant) -> None:
    """Runs a contestant: reads numbers of executions from standard input, answers with times."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        execute = contestant.prepare()
    except (ImportError, KeyError, OSError) as error:
        print(json.dumps({"absent": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        return
    execute(3)
    print(json.dumps({"cpu_s": cpu_seconds()}), file=answers, flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        execute(int(line))
        wall_s = time.perf_counter() - start
        print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_seconds()}), file=answers, flush=True)


def cpu_seconds() -> float:
    """Returns the CPU time of this process, its ended children and its living descendants."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = sum(sum(ticks) for ticks in _descendants(os.getpid())) / os.sysconf("SC_CLK_TCK")
    return time.process_time() + usage.ru_utime + usage.ru_stime + living


def _descendants(root: int) -> Iterator[tuple[int, ...]]:
    """Yields the CPU ticks of all living descendants of a process, with those of their ended children."""
    parents: dict[int, tuple[int, tuple[int, ...]]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents[int(entry.parent.name)] = int(fields[1]), tuple(map(int, fields[11:15]))
    for pid, (parent, ticks) in parents.items():
        while parent in parents and parent != root:
            parent = parents[parent][0]
        if parent == root and pid != root:
            yield ticks


class Seat:
    """A running contestant as the referee sees it."""

    def __init__(self, contestant: Contestant, command: list[str]) -> None:
        """Args: the contestant, and what its interpreter shall run so that it calls `take_part`."""
        self.contestant = contestant
        self.absent: str | None = None
        self.process: subprocess.Popen[str] | None = None
        self.executions = 0
        self.wall_s: list[float] = []
        try:
            interpreter = contestant.python()
        except OSError as error:
            self.absent = str(error)
            return
        self.process = subprocess.Popen(
            [interpreter, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        answer = self._read()
        self.absent = answer.get("absent")
        self.first_cpu_s = self.last_cpu_s = answer.get("cpu_s", 0.0)

    def play(self, executions: int) -> None:
        """Takes one turn."""
        executions = max(1, round(executions * self.contestant.share))
        assert self.process is not None
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is gone, as the reading says
            print(executions, file=self.process.stdin, flush=True)
        answer = self._read()
        self.absent = answer.get("absent")
        if self.absent is not None:
            return
        self.executions += executions
        self.last_cpu_s = answer["cpu_s"]
        self.wall_s.append(answer["wall_s"] / executions)

    def leave(self) -> None:
        """Ends the contestant's process, if it has one."""
        if self.process is None:
            return
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def _read(self) -> dict[str, Any]:
        """Reads one answer; of one that ended early, that it is absent."""
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"absent": "it ended early"}

    def result(self) -> dict[str, Any]:
        """Returns the figures, per execution."""
        if self.absent is not None:
            return {"title": self.contestant.title, "absent": self.absent}
        cpu_s = (self.last_cpu_s - self.first_cpu_s) / self.executions
        wall_s = sorted(self.wall_s)[len(self.wall_s) // 2]
        return {
            "title": self.contestant.title,
            "executions": self.executions,
            "cpu_ms": 1e3 * cpu_s,
            "per_s_core": 1 / cpu_s,
            "wall_ms": 1e3 * wall_s,
            "per_s": 1 / wall_s,
        }


def measure(
    contestants: Mapping[str, Contestant], script: str, rounds: int, executions: int
) -> dict[str, dict[str, Any]]:
    """Lets contestants play in turn.

    Args:
        contestants: By name.
        script: Calls `take_part` with the contestant that its option ``--contestant`` names.
        rounds: Turns of each contestant.
        executions: Executions per turn.

    Returns:
        Figures by name; only ``title`` and ``absent`` of those that could not take part.
    """
    seats = {
        name: Seat(contestant, [script, "--contestant", name]) for name, contestant in contestants.items()
    }
    for number in range(rounds):
        for seat in seats.values():
            if seat.absent is None:
                print(f"round {number + 1}/{rounds}: {seat.contestant.title}", file=sys.stderr)
                seat.play(executions)
    for seat in seats.values():
        seat.leave()
    return {name: seat.result() for name, seat in seats.items()}
