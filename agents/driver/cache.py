"""Content-addressed caches around a policy and a scorer: equal questions are answered once.

A cache saves time, never budget: what it answers is counted as if it had been computed, so that equal
budgets stay equal. With a run folder it outlives the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Generic, TypeVar

from o1coder_gym.agents.driver.replies import read_proposals, write_proposals
from o1coder_gym.protocols import Policy, StepScorer
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.types import PolicyRequest, Problem, Proposal, State

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
        self.hits = 0
        for row in folder.rows(name) if folder is not None else ():
            self._answers[row["key"]] = read(row["answer"])

    def ask(
        self, questions: Sequence[Q], compute: Callable[[list[Q]], list[A]], keep: Callable[[A], bool]
    ) -> list[A]:
        """Returns the answers, in order; only new and distinct questions are computed, in one batch."""
        keys = [content_hash(self._describe(question), 16) for question in questions]
        with self._lock:
            new = {k: q for k, q in zip(keys, questions, strict=True) if k not in self._answers}
            self.hits += len(keys) - len(new)
        fresh = dict(zip(new, compute(list(new.values())), strict=True)) if new else {}
        kept = {key: answer for key, answer in fresh.items() if keep(answer)}
        with self._lock:
            if self._folder is not None:
                rows = ({"key": key, "answer": self._write(answer)} for key, answer in kept.items())
                self._folder.append(self._name, *rows)
            self._answers |= kept
            return [fresh[key] if key in fresh else self._answers[key] for key in keys]


class CachedPolicy:
    """A policy that answers an equal request (problem, state, n, sampling, seed) from its cache.

    Attributes:
        parallel: That of the policy inside.
        batch_tokens: Likewise.
    """

    def __init__(self, policy: Policy, folder: RunFolder | None = None) -> None:
        """Wraps a policy.

        Args:
            policy: Answers what is new.
            folder: Keeps the answers; open it with a config that names the policy.
        """
        self._policy = policy
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
        """Samples actions, or returns what was sampled for an equal request."""
        return self._store.ask(requests, self._policy.propose, lambda answer: True)


class CachedScorer:
    """A scorer that scores each state of a problem once; what is no score is passed on, not kept."""

    def __init__(self, scorer: StepScorer, folder: RunFolder | None = None) -> None:
        """Wraps a scorer.

        Args:
            scorer: Scores what is new.
            folder: Keeps the scores; open it with a config that names the scorer.
        """
        self._scorer = scorer
        self._store: _Store[tuple[Problem, State], float] = _Store(
            "scores", folder, _describe_state, float, float
        )

    @property
    def hits(self) -> int:
        """States answered from the cache so far."""
        return self._store.hits

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        """Scores states, or returns what equal ones got."""
        return self._store.ask(
            items, self._scorer.score, lambda score: isinstance(score, int | float) and 0 <= score <= 1
        )


def _describe_state(item: tuple[Problem, State]) -> Any:
    problem, state = item
    return [[problem.task_id, problem.prompt, problem.entry_point], state.to_row()]


def _describe_request(request: PolicyRequest) -> Any:
    drawn = [request.n, request.seed, asdict(request.sampling)]
    return [*_describe_state((request.problem, request.state)), drawn]
