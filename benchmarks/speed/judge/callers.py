"""The judge for many callers, in process and over HTTP: programs a second, beside one batch.

    python benchmarks/speed/judge/callers.py [PROGRAMS [ROUNDS]]

Rounds alternate between all ways, so that the load of the machine falls on each alike; medians are printed.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import uvicorn

from o1coder_gym.adapters.judge_service import judge_app
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


def over_http(url: str, size: int) -> None:
    """Batches of `size` programs, eight connections."""
    rows = [{"code": code, "entry_point": "f", "tests": TESTS} for code in CODES]
    groups = [rows[start : start + size] for start in range(0, COUNT, size)]
    with httpx.Client(timeout=120) as client, ThreadPoolExecutor(8) as threads:
        asked = threads.map(lambda group: client.post(f"{url}/judge", json={"submissions": group}), groups)
        assert all(response.status_code == 200 for response in asked)


def main() -> None:
    """Measures and prints."""
    server = uvicorn.Server(uvicorn.Config(judge_app(), port=0, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    pool = ThreadPoolExecutor(100)
    ways: dict[str, Callable[[], object]] = {
        "one batch": lambda: default_judge().evaluate(PROGRAMS),
        "a task each": tasks,
        "100 threads": lambda: list(pool.map(lambda one: shared_judge().evaluate([one]), PROGRAMS)),
        "HTTP, batches of 64": lambda: over_http(url, 64),
        "HTTP, one each": lambda: over_http(url, 1),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            if turn:  # the first round warms up
                found[name].append(time.perf_counter() - begun)
    whole = statistics.median(found["one batch"])
    for name, seconds in found.items():
        median = statistics.median(seconds)
        print(f"{name:22}{COUNT / median:8.0f} programs/s   {whole / median:5.2f} of one batch")


if __name__ == "__main__":
    main()
