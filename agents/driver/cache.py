"""Content-addressed caches around a policy and a scorer: equal requests are computed once.

A cache saves time, never budget: its answers are charged as if they had been computed, so that equal
budgets stay equal. With a run folder it persists.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Generic, TypeVar

from o1coder_gym.agents.driver.guards import check_reply
from o1coder_gym.agents.driver.replies import read_proposals, read_score, write_proposals, write_score
from o1coder_gym.errors import O1CoderError
from o1coder_gym.problems.rows import case_to_json
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.types import PolicyRequest, Problem, Proposal, State
from o1coder_gym.types.protocols import Policy, StepScorer

Q = TypeVar("Q")
A = TypeVar("A")


class _Store(Generic[Q, A]):
    """Answers by the content of their question. Mutable; used by several threads."""

    def __init__(
        self,
        name: str,
        folder: RunFolder | None,
        describe: Callable[[Q], Any],
        write: Callable[[A], Any],
        read: Callable[[Any], A],
    ) -> None:
        self._name = name
        self._folder = folder
        self._describe = describe
        self._write = write
        self._lock = threading.Lock()
        self._answers: dict[str, A] = {}
        self._away: dict[str, Future[A]] = {}
        self.hits = 0
        for row in folder.rows(name) if folder is not None else ():
            self._answers[row["key"]] = read(row["answer"])

    def ask(self, questions: Sequence[Q], compute: Callable[[list[Q]], Sequence[A]]) -> list[A]:
        """Returns the answers, in order; only new and distinct questions are computed, in one batch.

        Waits for a question that another thread is computing, and computes it here if that thread fails.
        """
        keys = [content_hash(self._describe(question), 16) for question in questions]
        asked = dict(zip(keys, questions, strict=True))
        found: dict[str, A] = {}
        # Usually one round. Another, where a thread that computed some of these questions has failed.
        while left := {key: question for key, question in asked.items() if key not in found}:
            known, mine, others = self._divide(left)
            found |= known
            if mine:
                found |= self._computed(mine, compute)
            # After computing the own ones: two threads that wait for each other first would deadlock.
            for key, future in others.items():
                with suppress(CancelledError):
                    found[key] = future.result()
        with self._lock:
            self.hits += len(keys)
        return [found[key] for key in keys]

    def unknown(self, questions: Sequence[Q]) -> list[Q]:
        """Returns the distinct questions that have no answer yet, in order."""
        asked = {content_hash(self._describe(question), 16): question for question in questions}
        with self._lock:
            return [question for key, question in asked.items() if key not in self._answers]

    def _divide(self, asked: dict[str, Q]) -> tuple[dict[str, A], dict[str, Q], dict[str, Future[A]]]:
        """Returns known answers, this thread's questions, and futures of those that other threads compute."""
        with self._lock:
            known = {key: self._answers[key] for key in asked if key in self._answers}
            others = {key: self._away[key] for key in asked if key in self._away}
            mine = {key: q for key, q in asked.items() if key not in known and key not in others}
            self._away.update((key, Future()) for key in mine)
            return known, mine, others

    def _computed(self, mine: dict[str, Q], compute: Callable[[list[Q]], Sequence[A]]) -> dict[str, A]:
        """Computes questions, stores their answers and passes them to waiting threads."""
        try:
            fresh = dict(zip(mine, compute(list(mine.values())), strict=True))
            self._keep(mine, fresh)
        except BaseException:
            with self._lock:
                # Cancelled, not failed: the threads that wait compute the questions themselves, with their
                # own error.
                futures = [self._away.pop(key) for key in mine]
            for future in futures:
                future.cancel()
            raise
        with self._lock:
            # `ask` counts every key as a hit afterwards; those computed here are taken off in advance.
            self.hits -= len(mine)
            futures = {key: self._away.pop(key) for key in mine}
        for key, future in futures.items():
            future.set_result(fresh[key])
        return fresh

    def _keep(self, mine: dict[str, Q], fresh: dict[str, A]) -> None:
        """Reads fresh answers as the driver does, a lazy one once, and stores them."""
        kept: dict[str, A] = {}
        for key, answer in fresh.items():
            # What breaks the contract is returned, so that the driver names the fault, but it is not kept
            # for later runs.
            with suppress(O1CoderError):
                kept[key] = check_reply(mine[key], answer)  # pyright: ignore[reportArgumentType]
        fresh |= kept
        with self._lock:
            if self._folder is not None:
                rows = ({"key": key, "answer": self._write(answer)} for key, answer in kept.items())
                self._folder.append(self._name, *rows)
            self._answers |= kept


class CachedPolicy:
    """A policy that answers an equal request (problem, state, history, n, sampling, seed) from its cache.

    Attributes:
        policy: The policy inside.
        parallel: That of the policy inside.
        batch_tokens: Likewise.
    """

    def __init__(self, policy: Policy, folder: RunFolder | None = None) -> None:
        """Wraps a policy.

        Args:
            policy: Answers new requests.
            folder: Stores the answers; open it with a config that names the policy.
        """
        self.policy = policy
        self.parallel: int = getattr(policy, "parallel", 1)
        self.batch_tokens: int | None = getattr(policy, "batch_tokens", None)
        self._store: _Store[PolicyRequest, tuple[Proposal, ...]] = _Store(
            "proposals", folder, _describe_request, write_proposals, read_proposals
        )

    @property
    def hits(self) -> int:
        """Requests answered from the cache so far."""
        return self._store.hits

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        """Samples actions, or returns the samples of an equal earlier request."""
        return self._store.ask(requests, self.policy.propose)


class CachedScorer:
    """A scorer that scores each state of a problem once. Values outside [0, 1] are not cached."""

    def __init__(self, scorer: StepScorer, folder: RunFolder | None = None) -> None:
        """Wraps a scorer.

        Args:
            scorer: Scores new states.
            folder: Stores the scores; open it with a config that names the scorer.
        """
        self._scorer = scorer
        self._store: _Store[tuple[Problem, State], float] = _Store(
            "scores", folder, _describe_state, write_score, read_score
        )

    @property
    def hits(self) -> int:
        """States answered from the cache so far."""
        return self._store.hits

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        """Scores states; returns the cached score where an equal state has one."""
        return self._store.ask(items, self._scorer.score)

    def unknown(self, items: Sequence[tuple[Problem, State]]) -> list[tuple[Problem, State]]:
        """Returns the distinct states that have no score yet, in order."""
        return self._store.unknown(items)

    def keep(self, items: Sequence[tuple[Problem, State]], scores: Sequence[float]) -> None:
        """Stores scores that were computed elsewhere."""
        known = dict(zip(items, scores, strict=True))
        self._store.ask(items, lambda asked: [known[item] for item in asked])


def _describe_state(item: tuple[Problem, State]) -> Any:
    """Returns the steps and all parts of the problem that a prompt may show, public tests included."""
    problem, state = item
    return [_describe_problem(problem), state.to_row()]


def _describe_request(request: PolicyRequest) -> Any:
    # With the seed: the same state asked twice in a search must give two different samples.
    drawn = [request.n, request.seed, asdict(request.sampling)]
    asked = [] if request.question is None else [request.question]
    # And with the tokens that the steps were sampled in, where they are known: a model is shown these.
    shown = [one and one.token_ids for one in request.history]
    sampled = [shown] if any(shown) else []
    return [*_describe_state((request.problem, request.state)), drawn, *asked, *sampled]


# Prompts with their tests are long, and every request of a search hashes the same one.
@lru_cache(maxsize=1024)
def _describe_problem(problem: Problem) -> str:
    tests = [case_to_json(test) for test in problem.public_tests]
    shown = [problem.task_id, problem.prompt, problem.entry_point, tests, repr(sorted(problem.meta.items()))]
    return content_hash(shown, 16)
