"""Measures the driver and the journal beside an older revision of this project, in turn on the same machine.

    git worktree add /tmp/older REVISION
    python benchmarks/speed/driver_speed.py /tmp/older [--only SECTION …] [--small] [--repeats N]

Sections:
  requests   µs of CPU a request, of a server policy that answers at once, with 1, 256 and 4,096 searches
             live, and of one that takes 5 ms; pins: ≤ 50 µs at 256, ≤ 80 µs at 4,096
  journal    seconds and MB to find one task in a journal of 60 MB; pins: ≤ 0.5 s, ≤ 30 MB
  selector   µs a rollout of `select=prm_last`, at 250 and at 1,000 rollouts; pin: ratio ≤ 2
  ab_mcts    µs of Python a node at 65,000 nodes, AB-MCTS and MCTS; pin: ratio ≤ 2

Each figure is the best of the repeats, from a process of its own that imports the revision; revisions take
turns, so that a busy machine is busy for both.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
EARLIER = {
    "runs.seeds": "agents.seeds",
    "runs.journal": "journal",
    "types.queries": "queries",
    "types.protocols": "protocols",
}
"""What this script imports, by the names that earlier revisions know."""


def know_earlier_names() -> None:
    """Lets an earlier revision be measured: its modules are found by today's names."""
    import o1coder_gym

    root = Path(o1coder_gym.__file__).parent
    for today, earlier in EARLIER.items():
        if not root.joinpath(*today.split(".")).with_suffix(".py").exists():
            sys.modules[f"o1coder_gym.{today}"] = importlib.import_module(f"o1coder_gym.{earlier}")


def requests(live: int, small: bool, *, latency_s: float = 0.0) -> float:
    """Returns µs of CPU a request. With a latency replies come one by one, and each may wake the loop."""
    from search_worlds import LatencyModel

    from o1coder_gym.agents import Driver, Task
    from o1coder_gym.types import PolicyRequest, Proposal, SearchResult
    from o1coder_gym.types.queries import Propose

    turns = max(1, (2_000 if small else 16_000) // live)

    class Server:
        """Answers after its latency; batches by itself, so that requests come one a call."""

        parallel = 64

        def propose(self, asked: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
            if latency_s:
                time.sleep(latency_s)
            return [(Proposal("think", 5, -1.0),) * request.n for request in asked]

    def agent(problem: Any, root: Any, /) -> Any:
        for _ in range(turns):
            yield [Propose(root)]
        return SearchResult(None)

    driver = Driver(LatencyModel(), Server(), live=live)
    tasks = [Task(f"p{number}", agent) for number in range(live)]
    started = time.process_time()
    driver.run(tasks)
    return (time.process_time() - started) / (live * turns) * 1e6


def journal(small: bool) -> dict[str, float]:
    """Returns seconds and MB to find the answers of one task."""
    from search_worlds import LatencyModel, LatencyPolicy

    from o1coder_gym.agents import Driver, Task
    from o1coder_gym.runs.journal import RunFolder
    from o1coder_gym.types import SearchResult
    from o1coder_gym.types.queries import Propose

    def agent(problem: Any, root: Any, /) -> Any:
        yield [Propose(root)]
        return SearchResult(None)

    with tempfile.TemporaryDirectory() as folder, RunFolder.open(folder, {}) as opened:
        row = {"k": 0, "q": "0" * 16, "s": 0.5, "a": [["x" * 400, 90, -20.0, list(range(40)), "stop", 9, 0]]}
        size = (6 if small else 60) * 1_000_000
        count = size // len(json.dumps(row))
        for start in range(0, count, 500):  # not all at once: that would be the peak of memory
            rows = (
                {"task": f"agent p{i % 500}", **row, "k": i} for i in range(start, min(start + 500, count))
            )
            opened.append("answers", *rows)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        Driver(LatencyModel(), LatencyPolicy(), journal=opened).run([Task("another", agent)])
        seconds = time.perf_counter() - started
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        return {"s": seconds, "MB": grown / 1024}


def selector(rollouts: int) -> float:
    """Returns µs of CPU a rollout of best of n whose answer the step scorer chooses."""
    from search_worlds import LatencyModel, LatencyPolicy

    from o1coder_gym.agents import Driver, Task, load_agent

    class Scorer:
        """Scores at once."""

        def score(self, items: Sequence[Any], /) -> list[float]:
            return [0.5] * len(items)

    agent = load_agent(f"best_of_n:n={rollouts},select=prm_last")
    started = time.process_time()
    Driver(LatencyModel(), LatencyPolicy(), Scorer()).run([Task("p", agent)])
    return (time.process_time() - started) / rollouts * 1e6


def per_node(name: str, small: bool) -> float:
    """Returns µs of a search's own CPU a node."""
    from search_worlds import Endless, play

    from o1coder_gym.agents import ab_mcts, mcts
    from o1coder_gym.types import Problem, State

    agent, simulations = {"mcts": (mcts, 22_000), "ab_mcts": (ab_mcts, 12_500)}[name]
    asked = simulations // (20 if small else 1)
    # a width, for that is how revisions before widening by visits searched
    width = 4 if name == "mcts" else 32
    search = agent(Problem("p", "q"), State("p"), simulations=asked, width=width)
    played = play(search, Endless(max_depth=8))
    return played.seconds / len(played.result.tree.nodes) * 1e6


SECTIONS: dict[str, dict[str, Callable[[bool], Any]]] = {
    "requests": {
        **{f"µs, {live:,} live": partial(requests, live) for live in (1, 256, 4096)},
        **{f"µs, {live:,} live, 5 ms": partial(requests, live, latency_s=0.005) for live in (256, 4096)},
    },
    "journal": {"60 MB": journal},
    "selector": {f"µs, {n:,} rollouts": lambda small, n=n: selector(n) for n in (250, 1000)},
    "ab_mcts": {f"µs a node, {name}": partial(per_node, name) for name in ("mcts", "ab_mcts")},
}


def best(figures: Sequence[Any]) -> Any:
    """Returns the least of repeated figures, field by field."""
    if isinstance(figures[0], dict):
        return {name: min(figure[name] for figure in figures) for name in figures[0]}
    return min(figures)


def measured(revision: Path, section: str, title: str, small: bool) -> Any:
    """Measures one figure of a revision in a process of its own; None where that revision cannot."""
    command = [
        sys.executable,
        str(Path(__file__)),
        "--measure",
        section,
        title,
        *(["--small"] if small else []),
    ]
    paths = os.pathsep.join((str(revision), str(HERE)))
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": paths},
        cwd=revision,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        return None
    return json.loads(done.stdout)


def beside(older: Any, newer: Any) -> str:
    """Says two figures and their ratio."""
    if isinstance(newer, dict):
        none = dict.fromkeys(newer)
        return "; ".join(f"{name}: {beside((older or none)[name], newer[name])}" for name in newer)
    if older is None:
        return f"{newer:,.2f}"
    ratio = f" ({older / newer:,.1f} times)" if newer else ""
    return f"{older:,.2f} → {newer:,.2f}{ratio}"


def main() -> None:
    """Measures the sections asked for, in both revisions by turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("older", nargs="?", type=Path, help="a checkout of the older revision")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="sizes for a quick look")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        section, title = options.measure
        know_earlier_names()
        print(json.dumps(SECTIONS[section][title](options.small)))
        return
    here = HERE.parents[1]
    for section in options.only:
        print(section)
        for title in SECTIONS[section]:
            older, newer = [], []
            for _ in range(options.repeats):
                if options.older is not None:
                    older.append(measured(options.older.resolve(), section, title, options.small))
                newer.append(measured(here, section, title, options.small))
            known = [figure for figure in older if figure is not None]
            print(f"  {title:<28} {beside(best(known) if known else None, best(newer))}", flush=True)


if __name__ == "__main__":
    main()
