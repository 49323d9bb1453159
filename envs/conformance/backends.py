"""The part of the conformance kit that checks what an environment or a driver calls: policies and scorers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from o1coder_gym.envs.conformance.clauses import require, require_nothing_hidden
from o1coder_gym.types import ActionType, PolicyRequest, Problem, Proposal, Sampling, State, Step
from o1coder_gym.types.protocols import Policy, StepScorer

MAX_TOKENS = 48
"""Token limit of the requests made."""

ROUNDING = 1e-6
"""How far above 0 a log-probability may come out of floating point."""


def check_policy(
    policy: Policy, problems: Sequence[Problem], *, exact: bool = True, hidden: Sequence[str] = ()
) -> None:
    """Checks a policy.

    Args:
        policy: The policy.
        problems: At least one; the first three are used.
        exact: Whether equal requests must be answered equally, whatever the batch. Engines in low
            precision cannot promise that.
        hidden: Texts that must not be reachable from the policy.

    Raises:
        ConformanceError: For the first clause that does not hold.
    """
    requests = _requests(problems[:3])
    answers = _propose(policy, requests)
    if exact:
        require(_propose(policy, requests) == answers, "policy.seed")
        # Batches form by chance: answers that depend on them could not be reproduced.
        alone = [_propose(policy, [request])[0] for request in requests]
        require(alone == answers, "policy.batch", "a request alone is answered differently")
        backwards = _propose(policy, requests[::-1])[::-1]
        require(backwards == answers, "policy.batch", "a batch in another order is answered differently")
    require_nothing_hidden([policy, answers], hidden)


def check_scorer(scorer: StepScorer, problems: Sequence[Problem], *, hidden: Sequence[str] = ()) -> None:
    """Checks a step scorer.

    Args:
        scorer: The scorer.
        problems: At least one; the first three are used.
        hidden: Texts that must not be reachable from the scorer.

    Raises:
        ConformanceError: For the first clause that does not hold.
    """
    items = [(request.problem, request.state) for request in _requests(problems[:3]) if request.state.steps]
    scores = _score(scorer, items)
    require(_score(scorer, items) == scores, "scorer.pure", "a second call scores differently")
    require(_score(scorer, items[::-1])[::-1] == scores, "scorer.pure", "another order scores differently")
    alone = [_score(scorer, [item])[0] for item in items]
    require(alone == scores, "scorer.pure", "an item alone is scored differently")
    require_nothing_hidden([scorer], hidden)


def _requests(problems: Sequence[Problem]) -> list[PolicyRequest]:
    """Returns requests in roots and later states, for one action and several, sampled and greedy."""
    requests = []
    for number, problem in enumerate(problems):
        root = State(problem.task_id)
        plan = root.then(Step(ActionType.DEFINE, "return the input"))
        failed = plan.then(Step(ActionType.MALFORMED, "no step at all"))
        sampled, greedy = Sampling(max_tokens=MAX_TOKENS), Sampling(0.0, 1.0, 0, MAX_TOKENS)
        requests += [
            PolicyRequest(problem, root, 3, sampled, seed=number),
            PolicyRequest(problem, root, 1, greedy, seed=number),
            PolicyRequest(problem, plan, 2, sampled, seed=number + 1),
            PolicyRequest(problem, failed, 1, sampled, seed=number + 2),
        ]
    return requests


def _propose(policy: Policy, requests: Sequence[PolicyRequest]) -> list[tuple[Proposal, ...]]:
    answers = [tuple(proposals) for proposals in policy.propose(requests)]
    counts, asked = [len(proposals) for proposals in answers], [request.n for request in requests]
    require(counts == asked, "policy.count", f"asked for {asked}, got {counts}")
    for proposals in answers:
        for proposal in proposals:
            _check_proposal(proposal)
    return answers


def _check_proposal(proposal: Any) -> None:
    ours = isinstance(proposal, Proposal) and isinstance(proposal.text, str)
    require(ours, "policy.text", f"got {proposal!r:.200}")
    require(0 <= proposal.tokens <= MAX_TOKENS, "policy.tokens", f"got {proposal.tokens} of {MAX_TOKENS}")
    logprob = proposal.logprob
    known = logprob is None or -math.inf < logprob <= ROUNDING
    require(known, "policy.logprob", f"got {logprob}")


def _score(scorer: StepScorer, items: Sequence[tuple[Problem, State]]) -> list[float]:
    scores = list(scorer.score(items))
    require(len(scores) == len(items), "scorer.count", f"asked for {len(items)}, got {len(scores)}")
    for score in scores:
        number = isinstance(score, int | float) and 0.0 <= score <= 1.0
        require(number, "scorer.range", f"got {score!r}")
    return scores
