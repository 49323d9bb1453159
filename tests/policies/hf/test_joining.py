"""Calls of several threads share the batch of the transformers engine."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from o1coder_gym.errors import PolicyError  # noqa: E402
from o1coder_gym.policies import Generate, HFEngine, HFSettings  # noqa: E402
from o1coder_gym.policies.engine import Completion  # noqa: E402
from o1coder_gym.policies.hf.causal_model import CausalModel  # noqa: E402
from o1coder_gym.policies.hf.decoding import LEAD, MORE  # noqa: E402
from o1coder_gym.steps.formats import Prompt  # noqa: E402
from o1coder_gym.types import Sampling  # noqa: E402

Boundary = Callable[[str], int | None]


def joining(tiny: Any, *, endless: bool = False, **settings: Any) -> HFEngine:
    """An engine whose calls join: of float32 weights, so that draws can be compared.

    Endless: without an end of text, so that only boundaries and limits end a row.
    """

    def load() -> CausalModel:
        causal = CausalModel(*tiny)
        if endless:
            causal.end_tokens = frozenset()
        return causal

    return HFEngine(load, HFSettings(dtype="bfloat16", **settings), exact=False)


def request(
    engine: HFEngine, text: str, n: int = 1, seed: int = 0, tokens: int = 24, boundary: Boundary | None = None
) -> Generate:
    prompt = Prompt((("user", text),), "", "")
    sampling = replace(Sampling(), max_tokens=tokens)
    return Generate(prompt, engine.encode(prompt), n, sampling, seed, boundary or (lambda text: None))


def ask(engine: HFEngine, asked: Generate) -> tuple[Completion, ...]:
    return engine.generate([asked])[0]


def until(event: threading.Event) -> Boundary:
    """Ends a row when an event is set; the tokens before it take their time."""

    def boundary(text: str) -> int | None:
        time.sleep(0.001)
        return len(text) if event.is_set() else None

    return boundary


def test_a_short_call_joins_a_long_one_and_does_not_wait_for_it(tiny: Any) -> None:
    engine, begun, may_end = joining(tiny, endless=True), threading.Event(), threading.Event()

    def boundary(text: str) -> int | None:
        begun.set()
        return until(may_end)(text)

    with ThreadPoolExecutor() as pool:
        long = pool.submit(ask, engine, request(engine, "long", 2, tokens=3000, boundary=boundary))
        assert begun.wait(30)
        short = pool.submit(ask, engine, request(engine, "short", tokens=3))
        try:
            assert short.result(timeout=30)[0].tokens <= 3
            assert not long.done()
        finally:
            may_end.set()
        assert len(long.result(timeout=30)) == 2


def test_draws_are_those_of_calls_one_after_the_other(tiny: Any) -> None:
    engine, alone = joining(tiny), HFEngine.from_model(*tiny)
    asked = [
        request(engine, "x" * (7 * place % 90), 1 + place % 3, place, 4 + 5 * place % 37)
        for place in range(40)
    ]
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda one: ask(engine, one), asked))
    for one, completions in zip(asked, found, strict=True):
        expected = ask(alone, one)
        assert [c.token_ids for c in completions] == [c.token_ids for c in expected]
        assert [c.logprob for c in completions] == pytest.approx([c.logprob for c in expected], abs=1e-4)
    counters = engine.counters
    assert (counters.requests, counters.generated_tokens) == (40, sum(c.tokens for g in found for c in g))
    assert counters.prompt_tokens + counters.cached_tokens == sum(len(one.prompt_ids) for one in asked)
    assert sum(size * count for size, count in counters.batch_sizes) == sum(one.n for one in asked)


def test_what_does_not_fit_waits_for_the_next_batch(tiny: Any) -> None:
    engine, alone, may_end = joining(tiny, max_rows=9), HFEngine.from_model(*tiny), threading.Event()
    begun = threading.Event()

    def boundary(text: str) -> int | None:
        begun.set()
        return until(may_end)(text)

    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask, engine, request(engine, "first", 8, tokens=MORE // 2, boundary=boundary))
        assert begun.wait(30)
        # Longer than what begins before the running batch, more rows than are free, more tokens than it has.
        wide, deep = request(engine, "wide", 9), request(engine, "deep", tokens=MORE + 400)
        long = request(engine, "x" * (LEAD + MORE))
        rest = [pool.submit(ask, engine, one) for one in (long, wide, deep)]
        may_end.set()
        found = [one.result(timeout=60) for one in rest]
        assert len(first.result(timeout=60)) == 8
    for one, completions in zip((long, wide, deep), found, strict=True):
        assert [c.token_ids for c in completions] == [c.token_ids for c in ask(alone, one)]


def test_a_failure_is_that_of_all_calls_inside_and_the_engine_goes_on(tiny: Any) -> None:
    engine, begun = joining(tiny), threading.Event()

    def failing(text: str) -> int | None:
        begun.wait(30)
        raise RuntimeError("out of memory")

    with ThreadPoolExecutor() as pool:
        calls = [
            pool.submit(ask, engine, request(engine, f"{place}", boundary=failing)) for place in range(4)
        ]
        begun.set()
        for call in calls:
            with pytest.raises(PolicyError, match="generation failed: out of memory"):
                call.result(timeout=30)
    assert ask(engine, request(engine, "again"))


def test_calls_are_answered_one_by_one_where_draws_are_exact(tiny: Any) -> None:
    assert HFEngine.from_model(*tiny).parallel == 1
    assert HFEngine.from_name("tiny", HFSettings(dtype="float32")).parallel == 1
    assert HFEngine.from_name("tiny", HFSettings(dtype="bfloat16", max_rows=5)).parallel == 5
