"""The judge for many callers, in process and over HTTP: programs a second, and CPU time, beside one batch.

    python benchmarks/speed/judge/callers.py [PROGRAMS [ROUNDS]]

Rounds alternate between all ways, so that the load of the machine falls on each alike; medians are printed,
and of the ratios to one batch their range. CPU time is that of the judging process (this one, or the server)
and of all that it starts.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from cpu import cpu_s

from o1coder_gym.sandbox import default_judge, shared_judge
from o1coder_gym.types import CallTest, Submission

COUNT, ROUNDS = (*map(int, sys.argv[1:]), *(1000, 5)[len(sys.argv) - 1 :])
TESTS = [{"kind": "call", "args": f"[{number}]", "expected": str(number + 1)} for number in range(3)]
CODES = [f"def f(x):\n    return x + {number % 2}" for number in range(COUNT)]
PROGRAMS = [
    Submission(code, "f", tuple(CallTest(test["args"], test["expected"]) for test in TESTS)) for code in CODES
]


def tasks() -> None:
    """A task per program, all at once."""

    async def ask() -> None:
        await asyncio.gather(*(shared_judge().evaluate_async([one]) for one in PROGRAMS))

    asyncio.run(ask())


def over_http(port: int, size: int, connections: int) -> None:
    """Batches of `size` programs over connections that stay; the client does nothing but send and receive."""
    rows = [{"code": code, "entry_point": "f", "tests": TESTS} for code in CODES]
    bodies = [json.dumps({"submissions": rows[start : start + size]}) for start in range(0, COUNT, size)]
    head = "POST /judge HTTP/1.1\r\nHost: x\r\nContent-Length: "
    requests = iter([f"{head}{len(body)}\r\n\r\n{body}".encode() for body in bodies])

    async def talk() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in requests:
            writer.write(request)
            told = await reader.readuntil(b"\r\n\r\n")
            assert told.startswith(b"HTTP/1.1 200"), told
            found = re.search(rb"content-length: (\d+)", told)
            assert found is not None
            await reader.readexactly(int(found[1]))
        writer.close()

    async def all_of_them() -> None:
        await asyncio.gather(*(talk() for _ in range(connections)))

    asyncio.run(all_of_them())


def serve() -> tuple[subprocess.Popen[str], int]:
    """Starts the server; returns it and its port."""
    command = [sys.executable, "-m", "o1coder_gym.cli.main", "judge", "serve", "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"running on http://127.0.0.1:(\d+)", line):
            return server, int(found[1])
    raise SystemExit("the server does not start")


def main() -> None:
    """Measures and prints."""
    server, port = serve()
    try:
        measure(server, port)
    finally:
        server.terminate()


def measure(server: subprocess.Popen[str], port: int) -> None:
    """Takes turns between the ways; prints medians."""
    pool = ThreadPoolExecutor(100)
    here = os.getpid()
    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "one batch": (here, lambda: default_judge().evaluate(PROGRAMS)),
        "a task each": (here, tasks),
        "100 threads": (here, lambda: list(pool.map(lambda one: shared_judge().evaluate([one]), PROGRAMS))),
        "HTTP, batches of 64": (server.pid, lambda: over_http(port, 64, 8)),
        "HTTP, one each": (server.pid, lambda: over_http(port, 1, 64)),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, (pid, way) in ways.items():
            begun, spent = time.perf_counter(), cpu_s(pid)
            way()
            if turn:  # the first round warms up
                found[name].append((time.perf_counter() - begun, cpu_s(pid) - spent))
    for name, rows in found.items():
        rate = COUNT / statistics.median(elapsed for elapsed, _ in rows)
        spent = 1000 * statistics.median(spent for _, spent in rows) / COUNT
        by_clock, by_cpu = (share(found["one batch"], rows, column) for column in (0, 1))
        print(
            f"{name:22}{rate:7.0f} programs/s, {by_clock} of one batch; {spent:.2f} ms of CPU each, {by_cpu}"
        )


def share(batch: list[tuple[float, float]], rows: list[tuple[float, float]], column: int) -> str:
    """Returns what the batch costs ÷ what a way costs: the median of the rounds, and their range."""
    ratios = sorted(one[column] / other[column] for one, other in zip(batch, rows, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


if __name__ == "__main__":
    main()
