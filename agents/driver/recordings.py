"""Recordings of searches: all answers that a search received, kept by an observer of the driver."""

from __future__ import annotations

from dataclasses import dataclass, field

from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.types import Proposal, Sampling, State, Transition, Usage
from o1coder_gym.types.queries import Advance, Answer, Ask, Execute, Executed, Propose, Query


@dataclass(slots=True)
class Recording:
    """All answers that one search received. Mutable; an observer of a driver fills it.

    Attributes:
        samples: Drawn proposals by state and sampling, in order; those that the budget cut are among them.
        transitions: By state and action.
        answers: Of the policy's language model, by question and sampling, in order.
        scores: By state, with the tokens that they cost.
        executions: By query, in order; a repeated one shows whether a result is noise.
    """

    samples: dict[tuple[State, Sampling], list[Proposal]] = field(default_factory=dict)
    transitions: dict[tuple[State, str], Transition] = field(default_factory=dict)
    answers: dict[tuple[str, Sampling], list[Proposal]] = field(default_factory=dict)
    scores: dict[State, float] = field(default_factory=dict)
    executions: dict[Execute, list[Executed]] = field(default_factory=dict)

    def add(self, query: Query, answer: Answer) -> None:
        """Records an answer."""
        if isinstance(query, Propose):
            assert isinstance(answer, tuple)
            # Equal requests continue one list: the order of drawing is what `sweep` needs to draw them again.
            self.samples.setdefault((query.state, query.sampling), []).extend(answer)
        elif isinstance(query, Ask):
            assert isinstance(answer, tuple)
            self.answers.setdefault((query.question, query.sampling), []).extend(answer)
        elif isinstance(query, Advance):
            assert isinstance(answer, Transition)
            # A masked answer (the budget could not pay) returns the state itself; nothing was taken.
            if answer.state is not query.state:
                self.transitions[query.state, query.action] = answer
        elif isinstance(query, Execute):
            assert isinstance(answer, Executed)
            # Empty: the budget did not pay for it, so it says nothing of the program.
            if answer.results:
                self.executions.setdefault(query, []).append(answer)
        else:
            assert isinstance(answer, float)
            self.scores[query.state] = answer

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """All samples, in the order in which their places were first asked."""
        return tuple(proposal for drawn in self.samples.values() for proposal in drawn)

    @property
    def sampling(self) -> Sampling:
        """The sampling settings of the first request that is not greedy; the default if there is none."""
        return next((drawn for _, drawn in self.samples if drawn.temperature), Sampling())

    @property
    def cut(self) -> list[tuple[State, Proposal]]:
        """The samples that the budget cut, with the states in which they were drawn."""
        return [
            (state, proposal)
            for (state, _), proposals in self.samples.items()
            for proposal in proposals
            if proposal.finish == "budget"
        ]

    def programs(self) -> list[State]:
        """Returns the terminal states whose programs were judged, in order."""
        return [found.state for found in self.transitions.values() if found.verdict is not None]


class Recorder:
    """Records the searches of a driver, by task key; pass it as `observer`."""

    def __init__(self) -> None:
        """Starts empty."""
        self.recordings: dict[str, Recording] = {}

    def __call__(self, task: Task, query: Query, answer: Answer, usage: Usage) -> None:
        """Records an answered query; called by the driver."""
        self.recordings.setdefault(task.key, Recording()).add(query, answer)
