"""Measures search without a language model: Python per simulation, parallelism, quality, memory.

    python benchmarks/speed/search_speed.py [--only SECTION …] [--small] [--json]

Sections:
  peers       CPU µs of Python a simulation, beside TreeQuest and llm-reasoners (pip install treequest,
              pip install --no-deps llm-reasoners); answers are free and not counted
  growth      the same at 1,000 and at 100,000 nodes
  memory      bytes a node beyond text at 100,000 nodes
  parallel    wall time of 64 simulations at 50 ms a call, W = 1, 4, 8
  quality     mean true value of the chosen leaf on 500 random trees, W = 4 and 8 against 1
  throughput  32 problems at once on an engine of 1 ms a token: share of the time that it is busy

Best of the repeats for times. Each section prints its pin and whether it holds.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import search_peers
from search_worlds import Endless, LatencyModel, LatencyPolicy, RandomTree, play

from o1coder_gym.agents import Driver, Task, Tree, mcts, puct
from o1coder_gym.agents.search.leaf_values import scored
from o1coder_gym.metrics import paired_difference
from o1coder_gym.types import Problem, State

REPEATS = 5
PROBLEM = Problem("benchmark", "a question")
ROOT = State("benchmark")


def run(agent: Callable[..., Any], reply: Any, watch: Any = None, **arguments: Any) -> tuple[Tree, float]:
    """Plays a search; returns its tree and its own seconds."""
    played = play(agent(PROBLEM, ROOT, **arguments), reply, watch)
    return played.result.tree, played.seconds


def best(repeats: int, measure: Callable[[], float]) -> float:
    """Returns the least of the repeated measurements."""
    gc.collect()
    return min(measure() for _ in range(repeats))


def per_simulation(agent: Callable[..., Any], simulations: int, depth: int, **arguments: Any) -> float:
    """Returns µs of Python a simulation."""
    _, seconds = run(agent, Endless(max_depth=depth), simulations=simulations, width=4, **arguments)
    return seconds / simulations * 1e6


def peers(small: bool) -> dict[str, Any]:
    """Python per simulation, width 4."""
    simulations = 200 if small else 700  # about 1,000 nodes
    ours = {
        "mcts, leaf scored": partial(per_simulation, mcts, simulations, 10**9, evaluate=scored),
        "puct, leaf scored": partial(per_simulation, puct, simulations, 10**9, evaluate=scored),
        "mcts, rollout of 8 steps": partial(per_simulation, mcts, simulations, 8),
        "TreeQuest StandardMCTS, in place": partial(search_peers.treequest, simulations, 4),
        "TreeQuest StandardMCTS, default": partial(search_peers.treequest, simulations, 4, inplace=False),
        "llm-reasoners MCTS, 8 steps": partial(search_peers.llm_reasoners, simulations, 4),
    }
    found: dict[str, Any] = {}
    for title, measure in ours.items():
        repeats = 1 if "default" in title else REPEATS
        try:
            found[title] = round(best(repeats, measure), 1)
        except ImportError as error:
            found[title] = f"not installed ({error.name})"
    mine, theirs = found["mcts, leaf scored"], found["TreeQuest StandardMCTS, in place"]
    holds = mine <= 20 and (not isinstance(theirs, float) or mine <= theirs / 2)
    return found | {"pin": "mcts ≤ 20 µs and ≤ ½ of TreeQuest in place", "holds": holds}


def growth(small: bool) -> dict[str, Any]:
    """Python per simulation as the tree grows, width 4, leaf scored."""
    target = 10_000 if small else 100_000

    def measure() -> tuple[float, float]:
        tree = Tree(ROOT, width=4)
        marks: list[tuple[int, int, float]] = []

        def watch(seconds: float) -> None:
            marks.append((len(tree.nodes), tree.simulations, seconds))

        simulations = int(target / 1.5)
        run(mcts, Endless(), watch, simulations=simulations, evaluate=scored, tree=tree)
        return _rate(marks, 500, 1500), _rate(marks, int(0.9 * len(tree.nodes)), len(tree.nodes))

    gc.collect()
    pairs = [measure() for _ in range(2 if small else 3)]
    early, late = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    return {
        "µs at 1,000 nodes": round(early, 1),
        f"µs at {target:,} nodes": round(late, 1),
        "ratio": round(late / early, 2),
        "pin": "ratio ≤ 2",
        "holds": late <= 2 * early,
    }


def _rate(marks: list[tuple[int, int, float]], low: int, high: int) -> float:
    """µs a simulation while the tree had between `low` and `high` nodes."""
    inside = [mark for mark in marks if low <= mark[0] <= high]
    (_, first, start), (_, last, end) = inside[0], inside[-1]
    return (end - start) / (last - first) * 1e6


def memory(small: bool) -> dict[str, Any]:
    """Bytes a node beyond the text of its step."""
    target = 10_000 if small else 100_000
    gc.collect()
    tracemalloc.start()
    tree, _ = run(mcts, Endless(), simulations=int(target / 1.5), evaluate=scored, width=4)
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    text = sum(sys.getsizeof(node.step.text) for node in tree.nodes if node.step is not None)
    each = (used - text) / len(tree.nodes)
    return {"nodes": len(tree.nodes), "bytes a node": round(each), "pin": "≤ 2,048", "holds": each <= 2048}


def parallel(small: bool) -> dict[str, Any]:
    """Wall time of in-tree parallel search on an engine of 50 ms a call."""
    simulations, call_s = (16, 0.01) if small else (64, 0.05)
    found: dict[str, Any] = {}
    for width in (1, 4, 8):
        policy = LatencyPolicy(call_s=call_s)
        agent = partial(mcts, simulations=simulations, parallel=width)
        started = time.perf_counter()
        (result,) = Driver(LatencyModel(), policy).run([Task("p", agent)])
        found[f"seconds, W = {width}"] = round(time.perf_counter() - started, 2)
        assert result.result is not None
        assert result.result.tree.simulations == simulations
    ratio = found["seconds, W = 1"] / found["seconds, W = 8"]
    return found | {"speed-up of W = 8": round(ratio, 2), "pin": "≥ 4", "holds": ratio >= 4}


def quality(small: bool) -> dict[str, Any]:
    """True value of the chosen leaf, parallel against sequential, on the same random trees."""
    trees = 50 if small else 500
    values: dict[int, dict[str, float]] = {}
    for width in (1, 4, 8):
        values[width] = {}
        for seed in range(trees):
            world = RandomTree(seed)
            played = play(mcts(PROBLEM, ROOT, simulations=64, parallel=width), world)
            values[width][str(seed)] = world.true_value(played.result.state)
    base = sum(values[1].values()) / trees
    found: dict[str, Any] = {"trees": trees, "mean, W = 1": round(base, 4)}
    holds = True
    for width in (4, 8):
        difference = paired_difference(values[width], values[1])
        relative = difference.mean / base
        interval = [round(100 * difference.low / base, 2), round(100 * difference.high / base, 2)]
        found[f"difference, W = {width}"] = f"{100 * relative:+.2f} % {interval}"
        holds &= abs(relative) <= 0.01
    return found | {"pin": "within 1 %", "holds": holds}


def throughput(small: bool) -> dict[str, Any]:
    """Share of the wall time that the engine is at work, and that its recorded batches take alone."""
    problems, simulations = (8, 4) if small else (32, 16)
    policy = LatencyPolicy(token_s=0.001)
    agent = partial(mcts, simulations=simulations)
    started = time.perf_counter()
    driver = Driver(LatencyModel(), policy, batch_tokens=10**6)
    results = driver.run([Task(f"p{i}", agent) for i in range(problems)])
    search_s = time.perf_counter() - started
    tokens = sum(result.usage.tokens for result in results)
    recorded, replay = policy.batches, LatencyPolicy(token_s=0.001)
    started = time.perf_counter()
    for batch in recorded:
        replay.propose(batch)
    ratio = (time.perf_counter() - started) / search_s
    return {
        "problems": problems,
        "requests a batch": round(sum(map(len, recorded)) / len(recorded), 1),
        "tokens a second": round(tokens / search_s),
        "search ÷ open loop": round(ratio, 3),
        "pin": "≥ 0.95",
        "holds": ratio >= 0.95,
    }


SECTIONS = {
    "peers": peers,
    "growth": growth,
    "memory": memory,
    "parallel": parallel,
    "quality": quality,
    "throughput": throughput,
}


def main() -> None:
    """Runs the sections asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--small", action="store_true", help="sizes for a quick look")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for name in options.only:
        found = SECTIONS[name](options.small)
        if options.json:
            print(json.dumps({"section": name, **found}), flush=True)
            continue
        print(name)
        for key, value in found.items():
            print(f"  {key:<36} {value}", flush=True)


if __name__ == "__main__":
    main()
