"""Measures a language-model engine: batching, prefix reuse, trees, search, and HTTP beside it.

    python benchmarks/speed/models/engine.py [--policy hf:qwen2.5-coder-0.5b] [--against SPEC] [--tokens 48]
                                      [--rounds 3] [--only SECTION …] [--json]

Sections:
  samples   one prompt of 300 tokens: 8 samples in one call, and 8 calls of one sample
  prefix    32 prompts of 620 tokens that share 600, and 32 of the same length that share nothing
  chain     12 growing prompts, 4 samples each: prompt tokens computed ÷ unique tokens
  trees     8 trees in common batches, and one alone, each grown by one node of 4 samples at a time
  score     steps of 4 growing trees scored from what was computed before, and from the first token
  search    mcts on 8 starter problems, judged, ÷ the requests that it made, replayed on the engine alone
  against   the 8 trees on the engine of --against ÷ on the engine measured, e.g. a server of the same model

The two sides of a ratio take turns in one process; the best of the rounds counts. Prefixes are forgotten
before each turn, except what the workload itself computes. Each section prints its pin and whether it holds.
Timings need a quiet machine; the counters do not. docs/policies.md says how vLLM is started on a CPU, and how
a server for --against.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from o1coder_gym.agents import Driver, Task, mcts
from o1coder_gym.envs import ReasoningModel
from o1coder_gym.errors import UsageError
from o1coder_gym.models.lookup import model_path
from o1coder_gym.policies import (
    Completion,
    Counters,
    Engine,
    Generate,
    HFEngine,
    LanguageModelPolicy,
    VLLMEngine,
    load_policy,
)
from o1coder_gym.policies.vllm.engine import BLOCK
from o1coder_gym.prm.step_text import EncodedSteps
from o1coder_gym.problems.loading import load_problems
from o1coder_gym.runs.budget import Budget
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import Prompt
from o1coder_gym.types import Sampling, Submission

WORDS = ("list", "value", "sorted", "index", "tree", "merge", "sum", "count", "left", "right", "if", "while")
Ids = tuple[int, ...]
Workload = Callable[[], object]


class Bench:
    """One engine, prompts of exact lengths for it, and its counters around each turn."""

    def __init__(self, spec: str, tokens: int, rounds: int) -> None:
        self.engine = engine_of(spec)
        self.model = spec.partition(":")[2].partition("?")[0]
        self.tokens = tokens
        self.rounds = rounds
        self._fresh = itertools.count()

    def ids(self, length: int) -> Ids:
        """Returns a prompt of `length` tokens that shares no beginning with any other."""
        generator = random.Random(next(self._fresh))
        ids: Ids = ()
        while len(ids) < length:
            ids += self.engine.encode_more(f" {generator.randrange(10**6)} {generator.choice(WORDS)}")
        return ids[:length]

    def generate(self, prompts: Sequence[Ids], n: int) -> list[tuple[Ids, ...]]:
        """Samples `n` continuations of each prompt; returns their ids."""
        # Without top-p, for which vLLM's servers sort the vocabulary: no property of an engine's batching.
        sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=self.tokens)
        empty = Prompt((("user", ""),), "", "")
        requests = [
            Generate(empty, ids, n, sampling, seed, lambda action: None) for seed, ids in enumerate(prompts)
        ]
        answers = self.engine.generate(requests)
        return [tuple(one.token_ids for one in group) for group in answers]

    def turn(self, workload: Workload) -> tuple[float, Counters]:
        """Runs a workload on a forgetful engine; returns generated tokens a second, and what was done."""
        if isinstance(self.engine, HFEngine | VLLMEngine):
            self.engine.forget()
        before, begun = self.engine.counters, time.perf_counter()
        workload()
        seconds = time.perf_counter() - begun
        done = self.engine.counters - before
        return done.generated_tokens / seconds, done

    def ratio(self, fast: Workload, slow: Workload) -> tuple[float, float]:
        """Returns the best speeds of two workloads, turn about."""
        speeds = [(self.turn(fast)[0], self.turn(slow)[0]) for _ in range(self.rounds)]
        return max(speed for speed, _ in speeds), max(speed for _, speed in speeds)

    def trees(self, count: int) -> None:
        """Grows trees as sequential search does, a node of 4 samples at a time each, 3 deep."""
        level = [self.ids(300) for _ in range(count)]
        opening = self.engine.encode_more("\n\n### Step 2 (")
        for _ in range(3):
            answers = self.generate(level, 4)
            level = [parent + group[0] + opening for parent, group in zip(level, answers, strict=True)]


def samples(bench: Bench) -> dict[str, Any]:
    """Eight samples in one call ÷ 8 calls."""
    prompt = bench.ids(300)
    one, eight = bench.ratio(
        lambda: bench.generate([prompt], 8), lambda: [bench.generate([prompt], 1) for _ in range(8)]
    )
    return _report("tok/s, 8 in one call", one, "tok/s, 8 calls", eight, at_least=4.0)


def prefix(bench: Bench) -> dict[str, Any]:
    """Prefix reuse on ÷ off."""

    def shared() -> None:
        beginning = bench.ids(600)
        bench.generate([beginning + bench.ids(20) for _ in range(32)], 1)

    reused, computed = bench.ratio(shared, lambda: bench.generate([bench.ids(620) for _ in range(32)], 1))
    return _report("tok/s, 600 of 620 shared", reused, "tok/s, nothing shared", computed, at_least=2.0)


def chain(bench: Bench) -> dict[str, Any]:
    """Prompt tokens computed ÷ unique tokens of the chain's tree."""
    prompts: list[Ids] = []

    def grow() -> None:
        prompt = bench.ids(300)
        for _ in range(12):
            prompts.append(prompt)
            child = bench.generate([prompt], 4)[0][0]
            prompt += child + bench.engine.encode_more("\n\n### Step 2 (")

    speed, done = bench.turn(grow)
    unique = len({ids[:end] for ids in prompts for end in range(1, len(ids) + 1)})
    ratio = done.prompt_tokens / unique
    figures = {"tok/s": speed, "prompt tokens": done.prompt_tokens, "cached": done.cached_tokens}
    pin, at_most = "≤ 1.10", 1.10
    if isinstance(bench.engine, VLLMEngine):
        # Each continuation computes for itself what lies beyond the last full block of its prompt.
        at_most = 1 + 4 * BLOCK * len(prompts) / unique
        pin = f"≤ 1 + n · block ÷ new tokens a prompt = {at_most:.2f}"
    return figures | {"unique": unique, "ratio": ratio, "pin": pin, "holds": ratio <= at_most}


def trees(bench: Bench) -> dict[str, Any]:
    """8 trees in one batch ÷ 1 tree."""
    eight, one = bench.ratio(lambda: bench.trees(8), lambda: bench.trees(1))
    return _report("tok/s, 8 trees", eight, "tok/s, 1 tree", one, at_least=2.5)


def score(bench: Bench) -> dict[str, Any]:
    """Scoring with prefixes kept ÷ without, by the engine's weights under a random head."""
    import torch

    from o1coder_gym.prm.model import ScalarHead, StepModel, load_backbone

    backbone = load_backbone(model_path(bench.model), "bfloat16")
    head = ScalarHead(torch.randn(1, backbone.config.hidden_size), None)  # pyright: ignore
    plain, keeping = StepModel(backbone, head, 0), StepModel(backbone, head, 0)
    keeping.keep_prefixes(1024)

    def grow(model: StepModel) -> float:
        model.forget()
        trees, scored = [EncodedSteps(bench.ids(300), ()) for _ in range(4)], 0
        begun = time.perf_counter()
        for _ in range(6):
            level = [[_longer(tree, bench.ids(40)) for _ in range(4)] for tree in trees]
            model.logits([child for children in level for child in children])
            trees = [children[0] for children in level]
            scored += sum(map(len, level))
        return scored / (time.perf_counter() - begun)

    speeds = [(grow(keeping), grow(plain)) for _ in range(bench.rounds)]
    kept, again = (max(column) for column in zip(*speeds, strict=True))
    return _report("steps/s, prefixes kept", kept, "steps/s, from the start", again, at_least=2.5)


def _longer(steps: EncodedSteps, ids: Ids) -> EncodedSteps:
    return EncodedSteps(steps.ids + ids, (*steps.marks, len(steps.ids + ids) - 1))


class Recorder:
    """An engine that remembers what it was asked, batch by batch."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.parallel = engine.parallel
        self.encode = engine.encode
        self.encode_more = engine.encode_more
        self.batches: list[Sequence[Generate]] = []

    @property
    def counters(self) -> Counters:
        """Those of the engine inside."""
        return self._engine.counters

    def generate(self, requests: Sequence[Generate], /) -> list[tuple[Completion, ...]]:
        """Passes a batch on."""
        self.batches.append(requests)
        return self._engine.generate(requests)


def search(bench: Bench) -> dict[str, Any]:
    """Search with everything around it ÷ the engine alone on the same requests in the same batches."""
    problems = load_problems("starter")[:8]
    agent = partial(mcts, sampling=Sampling(max_tokens=4 * bench.tokens))
    tasks = [Task(problem.task_id, agent, Budget(tokens=512)) for problem in problems]
    recorder = Recorder(bench.engine)

    def run() -> None:
        recorder.batches.clear()
        model = ReasoningModel(problems, default_judge())
        for result in Driver(model, LanguageModelPolicy(recorder)).run(tasks):
            if result.error is not None:
                raise result.error

    def replay() -> None:
        for batch in recorder.batches:
            bench.engine.generate(batch)

    default_judge().evaluate([Submission("", None, ())])  # starts its processes
    searching, raw = bench.ratio(run, replay)
    figures = _report("tok/s, search", searching, "tok/s, requests replayed", raw, at_least=0.90)
    return {"requests": sum(map(len, recorder.batches)), "batches": len(recorder.batches), **figures}


def against(bench: Bench, other: Bench) -> dict[str, Any]:
    """8 trees on another engine ÷ on this one."""
    speeds = [
        (other.turn(lambda: other.trees(8))[0], bench.turn(lambda: bench.trees(8))[0])
        for _ in range(bench.rounds)
    ]
    theirs, ours = (max(column) for column in zip(*speeds, strict=True))
    return _report("tok/s, other engine", theirs, "tok/s, this engine", ours, at_least=0.8)


def _report(fast_title: str, fast: float, slow_title: str, slow: float, at_least: float) -> dict[str, Any]:
    ratio = fast / slow
    pin = {"ratio": ratio, "pin": f"≥ {at_least:.2f}", "holds": ratio >= at_least}
    return {fast_title: fast, slow_title: slow, **pin}


SECTIONS = {
    "samples": samples,
    "prefix": prefix,
    "chain": chain,
    "trees": trees,
    "score": score,
    "search": search,
}


def engine_of(spec: str) -> Engine:
    """Returns the engine that a policy's string names."""
    policy = load_policy(spec)
    if not isinstance(policy, LanguageModelPolicy) or not policy.engine.encode_more("a"):
        raise UsageError(f"{spec} has no engine that speaks token ids")
    return policy.engine


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policy", default="hf:qwen2.5-coder-0.5b", help="the engine measured")
    parser.add_argument("--against", metavar="SPEC", help="a second engine")
    parser.add_argument("--tokens", type=int, default=48, help="tokens per continuation at most")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--only", nargs="+", choices=[*SECTIONS, "against"], metavar="SECTION")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    bench = Bench(options.policy, options.tokens, options.rounds)
    bench.turn(lambda: bench.generate([bench.ids(32)], 2))  # loads weights, warms up
    figures: dict[str, Any] = {}
    for name, section in SECTIONS.items():
        if not options.only or name in options.only:
            figures[name] = section(bench)
            if not options.json:
                show(name, figures[name])
    if options.against and (not options.only or "against" in options.only):
        figures["against"] = against(bench, Bench(options.against, options.tokens, options.rounds))
        if not options.json:
            show("against", figures["against"])
    if options.json:
        print(json.dumps({"policy": options.policy, **figures}, indent=2))


def show(name: str, figures: dict[str, Any]) -> None:
    """Prints one section."""
    print(name)
    for title, value in figures.items():
        print(f"  {title:28} {f'{value:.2f}' if isinstance(value, float) else value}", flush=True)


if __name__ == "__main__":
    main()
