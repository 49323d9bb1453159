"""Self-repair: a program that fails is shown to the policy again, with what its tests said."""

from __future__ import annotations

from contextlib import suppress

from o1coder_gym.agents.best_of_n import ROLLOUTS, by_tests, chosen
from o1coder_gym.agents.search.rollouts import Rollout, follow
from o1coder_gym.errors import BudgetExhausted, UsageError
from o1coder_gym.runs.context import ALONE, SearchContext
from o1coder_gym.specs.parameters import AtLeastOne, Count
from o1coder_gym.types import ActionType, Problem, Sampling, State, Step
from o1coder_gym.types.queries import Part, Search


def self_repair(
    problem: Problem,
    root: State,
    *,
    starts: AtLeastOne | None = None,
    repairs: Count = 2,
    early_stop: bool = False,
    sampling: Sampling = Sampling(),
    context: SearchContext = ALONE,
) -> Search:
    """Samples a program and lets the policy correct it; starts afresh when that does not help.

    After Chen et al. 2023 (arXiv 2304.05128); that repair should be compared at equal tokens is from
    Olausson et al. 2023 (arXiv 2306.09896). The feedback quotes tests that the search may see, never
    hidden ones. The note that carries it is a step of its own in the state, written by this agent: it
    costs no tokens, but one of the model's steps, so episodes need at least two.

    Args:
        problem: The question.
        root: Where to start.
        starts: Programs written from nothing, ≥ 1; by default as many as the budget pays for, 8 without one.
        repairs: Corrections of each, one after the other, ≥ 0; none of one that passes.
        early_stop: End at the first program that passes all tests that the search may see.
        sampling: How steps are drawn.
        context: Of the task.

    Returns:
        The best program by the tests that the search may see, ties by mean log-probability per token; its
        value is its pass ratio.
    """
    if starts is not None and starts < 1:
        raise UsageError(f"starts must be at least 1, got {starts}")
    rollouts: list[Rollout] = []
    with suppress(BudgetExhausted):
        for _ in context.rounds(starts, ROLLOUTS):
            latest = yield from _attempt(rollouts, root, sampling)
            for _ in range(repairs):
                if latest.solved or (note := repair_note(latest)) is None:
                    break
                # From the root, not behind the failed program: code ends an episode, so the note carries it
                # instead.
                latest = yield from _attempt(rollouts, root.then(note), sampling)
            if early_stop and latest.solved:
                break
    return chosen(rollouts, by_tests)


def repair_note(failed: Rollout) -> Step | None:
    """Returns the step that shows a program and its test feedback; None without program or feedback."""
    code = failed.state.code
    if code is None or failed.value is None or failed.last is None or not failed.last.feedback:
        return None
    text = (
        f"An earlier program was\n```python\n{code}\n```\n"
        f"It is wrong:\n{failed.last.feedback}\n"
        "The next program corrects this."
    )
    return Step(ActionType.REFINE, text)


def _attempt(rollouts: list[Rollout], start: State, sampling: Sampling) -> Part[Rollout]:
    """Follows the policy from `start` to an end."""
    rollout = Rollout(start)
    rollouts.append(rollout)
    yield from follow([rollout], sampling)
    return rollout
