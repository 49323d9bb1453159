"""From a finished task to the `SearchTree` that a run folder keeps."""

from __future__ import annotations

from dataclasses import replace

from o1coder_gym.agents.sweep import Recording
from o1coder_gym.agents.tasks import TaskResult
from o1coder_gym.agents.tree import Node, Tree
from o1coder_gym.search_tree import SearchTree
from o1coder_gym.types import Problem, Proposal, State, Transition


def tree_record(
    finished: TaskResult, problem: Problem, recording: Recording, *, seed: int, format: str
) -> SearchTree:
    """Returns the search tree of a task that is over.

    Args:
        finished: The task's result.
        problem: The task's problem.
        recording: What its search was answered; the tree of an agent that keeps none is read off it.
        seed: Seed of the run.
        format: Name of the step format.
    """
    found = finished.result
    root = State(problem.task_id)
    tree = found.tree if found is not None and isinstance(found.tree, Tree) else observed(recording, root)
    record = tree.record(problem, found.state if found is not None else None)
    return replace(record, agent=finished.task.name, seed=seed, format=format, usage=finished.usage)


def observed(recording: Recording, root: State) -> Tree:
    """Returns the tree of all steps that a search has taken, for agents that keep none.

    A rollout that has ended stands for a simulation; each end is evaluated once, as in a search.
    """
    tree = Tree(root)
    tree.simulations = 1
    places = {root: tree.root}
    samples = _samples(recording)
    for (state, action), transition in recording.transitions.items():
        equal = samples.get((state, action)) or [Proposal(action, 0)]
        above = _place(tree, places, state)
        child = tree.attach(above, equal[0], transition, len(equal)) if above is not None else None
        if child is None:
            continue
        places[transition.state] = child
        if transition.done:
            tree.end(child, transition)
            tree.simulations += 1
    for state, score in recording.scores.items():
        if state in places:
            places[state].score = score
    return tree


def _place(tree: Tree, places: dict[State, Node], state: State) -> Node | None:
    """Returns the node of a state; a step that the agent wrote itself (self-repair's notes) becomes one."""
    if state not in places and state.steps:
        above = _place(tree, places, State(state.problem_id, state.steps[:-1]))
        if above is not None:
            note = tree.attach(above, Proposal("", 0), Transition(state, 0.0, False, False), 1)
            if note is not None:
                places[state] = note
    return places.get(state)


def _samples(recording: Recording) -> dict[tuple[State, str], list[Proposal]]:
    """Returns the equal samples of each action taken in a state."""
    found: dict[tuple[State, str], list[Proposal]] = {}
    for (state, _), proposals in recording.samples.items():
        for proposal in proposals:
            found.setdefault((state, proposal.text), []).append(proposal)
    return found
