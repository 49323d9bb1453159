"""Counts at full size what tests/sandbox/test_stability.py proves in small: verdicts under load, leftovers.

    python benchmarks/speed/judge/stability.py [--only NAME …] [--scale 1.0] [--workers N] [--json]

``load``: 100 runs of a program that needs half of its CPU limit, beside 10 busy loops. ``crowd``: programs
of many kinds, right, late and asleep, alone and beside ten busy loops a core. ``workers``: the same 2,000
candidates at one and at N workers. ``leftovers``: 20,000 evaluations, 5 % of them hostile, then
what is left of processes, descriptors, temporary files and memory. ``kills``: 2,000 evaluations while
zygotes are killed at random moments. The 50,000 mutated frames are run at full size by
tests/sandbox/test_frames_fuzz.py. The exit status is 1 if a count is not what it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from o1coder_gym.sandbox import Judge
from o1coder_gym.types import AssertTest, CallTest, Limits, Outcome, StdioTest, Submission

Row: TypeAlias = dict[str, Any]
"""Counts by name; ``held`` says whether they are what they should be."""

CALLS = tuple(CallTest(f"[{number}, {number}]", str(2 * number)) for number in range(3))
ADD = Submission("def add(a, b):\n    return a + b\n", "add", CALLS)
HONEST = (
    ADD,
    Submission(ADD.code, "add", (AssertTest("assert [add(1, 2)] == [3]"),)),
    Submission("print(int(input()) + 1)", None, (StdioTest("1", "2"),)),
)
HOSTILE = (
    "import os\nos._exit(0)",
    "import os\ndef add(a, b): os.closerange(0, 99)",
    "import os\ndef add(a, b):\n    while True: os.write(3, b'x' * 65536)",
    "import os\ntry:\n    os.fork()\nexcept OSError: pass\ndef add(a, b): return 0",
    "import tempfile\nkept = [tempfile.mkdtemp() for _ in range(50)]\ndef add(a, b): return 0",
    "import threading, time\nfor _ in range(30): threading.Thread(target=time.sleep, args=(60,)).start()",
    "x = [bytearray(1 << 20) for _ in range(200)]\ndef add(a, b): return x",
    "def add(a, b): raise ValueError('x' * 100_000)",
    "import ctypes\nctypes.string_at(0)",
    "def add(a, b): return [0] * 1_000_000",
)
HOSTILE_LIMITS = Limits(cpu_s=0.5, wall_s=2.0, memory_bytes=128 << 20)
BUSY_LOOPS = 10
HALF_LIMIT_S = 0.5
BURN = f"""import time
end = time.process_time() + {HALF_LIMIT_S}
while time.process_time() < end: pass
{ADD.code}"""
PRINTED = "7\n" * 500_000
CROWDED = (
    ADD,
    Submission(BURN, "add", CALLS, Limits(cpu_s=2 * HALF_LIMIT_S, wall_s=3 * HALF_LIMIT_S)),
    # many calls, each within its limit: more seconds by the clock than any one of them may take
    Submission(
        "import time\ndef add(a, b):\n    end = time.process_time() + 0.15\n"
        "    while time.process_time() < end: pass\n    return a + b\n",
        "add",
        CALLS[:1] * 12,
        Limits(cpu_s=0.3, wall_s=0.6),
    ),
    Submission("import numpy\nprint(numpy.arange(4).sum())", None, (StdioTest("", "6"),) * 10),
    Submission("import threading\nprint(int(input()) + 1)", None, (StdioTest("1", "2"),) * 30),
    Submission(f"print({PRINTED!r})", None, (StdioTest("", PRINTED),), Limits(wall_s=1.0)),
    Submission(ADD.code, "add", (AssertTest("assert [add(1, 2)] == [3]"),) * 5, Limits(wall_s=1.0)),
    Submission("import time\ntime.sleep(0.5)\nprint(1)", None, (StdioTest("", "1"),), Limits(wall_s=1.0)),
    Submission("import time\ntime.sleep(60)", None, (StdioTest("", ""),), Limits(wall_s=1.0)),
    Submission("while True: pass", None, (StdioTest("", ""),), Limits(cpu_s=0.3, wall_s=1.0)),
)
"""Right programs, one that sleeps too long, and one that never ends."""
KILL_EVERY_S = 1.0
MOST_GROWTH_MIB = 20
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def load(scale: float, workers: int) -> Row:
    """Runs a program that needs half of its CPU limit, beside busy loops."""
    program = Submission(BURN, "add", CALLS, Limits(cpu_s=2 * HALF_LIMIT_S, wall_s=3 * HALF_LIMIT_S))
    runs = round(100 * scale)
    with Judge(workers) as judge, busy_loops():
        outcomes = count_outcomes(judge.evaluate([program] * runs))
    return {"busy loops": BUSY_LOOPS, "runs": runs, **outcomes, "held": outcomes == {"pass": runs}}


def crowd(scale: float, workers: int) -> Row:
    """Judges the same programs alone and in a crowd, in which the zygotes have to start too."""
    batch = [*CROWDED] * max(1, round(4 * scale))
    loops = 10 * len(os.sched_getaffinity(0))
    with Judge(workers) as judge:
        alone = [verdict.outcome for verdict in judge.evaluate(batch)]
        judge.close()
        with busy_loops(loops):
            beside = [verdict.outcome for verdict in judge.evaluate(batch)]
    changed = Counter(
        f"{one.value} → {other.value}" for one, other in zip(alone, beside, strict=True) if one is not other
    )
    right = Counter(alone)[Outcome.PASS] == 0.8 * len(batch)
    return {"busy loops": loops, "programs": len(batch), **changed, "held": right and not changed}


def workers(scale: float, workers: int) -> Row:
    """Judges the same candidates at one and at many workers."""
    batch = mixed_batch(round(2_000 * scale), hostile_share=0.2)
    found = []
    for number in (1, workers):
        with Judge(number) as judge:
            found.append([(verdict.outcome, verdict.tests) for verdict in judge.evaluate(batch)])
    different = sum(one != other for one, other in zip(*found, strict=True))
    return {"candidates": len(batch), "workers": workers, "different": different, "held": different == 0}


def leftovers(scale: float, workers: int) -> Row:
    """Judges many candidates, some of them hostile, and counts what is left."""
    batches, each = 20, round(1_000 * scale)
    outcomes: Counter[str] = Counter()
    folder = Path(tempfile.gettempdir())
    files = set(os.listdir(folder))
    with Judge(workers) as judge:
        judge.evaluate(mixed_batch(each, hostile_share=0.05))
        processes, descriptors, memory = len(descendants()), count_descriptors(), resident_mib()
        for _ in range(batches):
            outcomes.update(count_outcomes(judge.evaluate(mixed_batch(each, hostile_share=0.05))))
        left = {
            "processes more": len(descendants()) - processes,
            "descriptors more": count_descriptors() - descriptors,
            "memory more, MiB": round(resident_mib() - memory, 1),
        }
    left["processes after"] = len(descendants())
    left["files after"] = len({name for name in set(os.listdir(folder)) - files if is_ours(folder / name)})
    memory_held = left.pop("memory more, MiB") < MOST_GROWTH_MIB
    held = memory_held and not any(left.values()) and "infrastructure" not in outcomes
    left["memory more, MiB"] = round(resident_mib() - memory, 1)
    return {"evaluations": batches * each, **outcomes, **left, "held": held}


def kills(scale: float, workers: int) -> Row:
    """Judges candidates while zygotes are killed; none may be killed twice over one candidate."""
    batch = [ADD] * round(2_000 * scale)
    stop, killed = threading.Event(), 0

    def kill() -> None:
        nonlocal killed
        while not stop.wait(KILL_EVERY_S):
            for pid in judge.pids[:1]:
                os.kill(pid, signal.SIGKILL)
                killed += 1

    with Judge(workers) as judge:
        judge.evaluate([ADD])
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            outcomes = count_outcomes(judge.evaluate(batch))
        finally:
            stop.set()
            killer.join()
    return {"evaluations": len(batch), "killed": killed, **outcomes, "held": outcomes == {"pass": len(batch)}}


CHECKS: dict[str, Callable[[float, int], Row]] = {
    "load": load,
    "crowd": crowd,
    "workers": workers,
    "leftovers": leftovers,
    "kills": kills,
}


def mixed_batch(count: int, hostile_share: float) -> list[Submission]:
    """Returns programs of all kinds in a fixed random order."""
    draw = random.Random(1)
    return [
        Submission(draw.choice(HOSTILE), "add", CALLS, HOSTILE_LIMITS)
        if draw.random() < hostile_share
        else draw.choice(HONEST)
        for _ in range(count)
    ]


def count_outcomes(verdicts: list[Any]) -> dict[str, int]:
    """Returns how often each outcome came."""
    return dict(Counter(Outcome(verdict.outcome).value for verdict in verdicts))


@contextmanager
def busy_loops(count: int = BUSY_LOOPS) -> Iterator[None]:
    """Keeps all cores busy."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def descendants() -> set[int]:
    """Returns the processes that descend from this one."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        parents[int(status.parent.name)] = int(fields[1])
    found, grown = {os.getpid()}, True
    while grown:
        new = {pid for pid, parent in parents.items() if parent in found} - found
        grown = bool(new)
        found |= new
    return found - {os.getpid()}


def count_descriptors() -> int:
    """Returns the number of open files."""
    return len(os.listdir("/proc/self/fd"))


def resident_mib() -> float:
    """Returns the memory that this process uses, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / 2**20


def is_ours(path: Path) -> bool:
    """Whether a new temporary file comes from here, not from something else on the machine."""
    return path.name.startswith(("o1coder", "tmp")) and path.exists() and path.stat().st_uid != os.getuid()


def main() -> int:
    """Reads the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=list(CHECKS), metavar="NAME")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--workers", type=int, default=max(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    options = parser.parse_args()
    rows: dict[str, Row] = {}
    for name in options.only:
        started = time.monotonic()
        rows[name] = CHECKS[name](options.scale, options.workers)
        rows[name]["seconds"] = round(time.monotonic() - started, 1)
        if not options.json:
            counts = ", ".join(f"{key}: {value}" for key, value in rows[name].items() if key != "held")
            print(f"{name}: {'held' if rows[name]['held'] else 'BROKEN'} - {counts}", flush=True)
    if options.json:
        print(json.dumps(rows, indent=2))
    return int(not all(row["held"] for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
