"""From a finished task to the `SearchTree` that a run folder keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from o1coder_gym.agents.driver.recordings import Recording
from o1coder_gym.agents.driver.tasks import TaskResult
from o1coder_gym.agents.search.tree import Node, Tree
from o1coder_gym.process_data.search_tree import NodeParting, SearchTree, TreeNode
from o1coder_gym.steps.formats import FORMATS
from o1coder_gym.types import ActionType, Parting, Problem, Proposal, State, Step, Transition


def tree_record(
    finished: TaskResult, problem: Problem, recording: Recording, *, seed: int, format: str
) -> SearchTree:
    """Returns the search tree of a finished task; samples that the budget cut are leaves of it.

    Args:
        finished: The task's result.
        problem: The task's problem.
        recording: The answers of its search; they give the tree of an agent that keeps none.
        seed: Seed of the run.
        format: Name of the step format.
    """
    found = finished.result
    root = State(problem.task_id)
    # The agent's own tree has priors and visit counts; one rebuilt from its answers has only what was taken.
    tree = found.tree if found is not None and isinstance(found.tree, Tree) else observed(recording, root)
    record = tree.record(problem, found.state if found is not None else None)
    record = replace(record, nodes=(*record.nodes, *_cut_leaves(tree, recording, format)))
    if found is not None and found.partings:
        places = {node.state: node.index for node in tree.nodes}
        record = replace(record, partings=tuple(_placed(one, places) for one in found.partings))
    return replace(record, agent=finished.task.name, seed=seed, format=format, usage=finished.usage)


def _placed(parting: Parting, places: Mapping[State, int]) -> NodeParting:
    """Returns a parting whose programs are nodes; those that the tree does not hold are counted alone."""
    outputs = (
        (output, tuple(places[state] for state in states if state in places), len(states))
        for output, states in parting.outputs
    )
    return NodeParting(parting.input, tuple(outputs), parting.right, parting.confidence)


def observed(recording: Recording, root: State) -> Tree:
    """Returns the tree of all steps that a search took, for agents that keep none.

    Each finished rollout counts as a simulation; each terminal state is evaluated once, as in a search.
    """
    tree = Tree(root)
    tree.simulations = 1
    places = {root: tree.root}
    samples = _samples(recording)
    for (state, action), transition in recording.transitions.items():
        # No sample of this text: the agent wrote the step itself (self-repair), at no tokens.
        equal = samples.get((state, action)) or [Proposal(action, 0)]
        above = _place(tree, places, state)
        child = tree.attach(above, equal[0], transition, len(equal)) if above is not None else None
        if child is None:
            continue
        places[transition.state] = child
        # As in `Tree.add`, but by `done` alone: for an agent without a tree a malformed step need not be an
        # end.
        if transition.done:
            tree.end(child, transition)
            tree.simulations += 1
    for state, score in recording.scores.items():
        if state in places:
            places[state].score = score
    return tree


def _cut_leaves(tree: Tree, recording: Recording, format: str) -> list[TreeNode]:
    """Returns a leaf per sample that the budget cut, and the nodes between the tree and these leaves.

    They are parsed for the record alone: the model never took them, and no statistic counts them.
    """
    if not recording.cut:
        return []
    places = {node.state: node.index for node in tree.nodes}
    leaves: list[TreeNode] = []

    def place(state: State) -> int:
        """Returns the node of a state; a note of the agent below which nothing was taken becomes one."""
        if state not in places and state.steps:
            note = TreeNode(place(_parent(state)), state.steps[-1], born=tree.simulations, author="agent")
            leaves.append(note)
            places[state] = len(tree.nodes) + len(leaves) - 1
        return places.get(state, 0)

    for state, sample in recording.cut:
        leaf = TreeNode(place(state), _read(sample.text, format), born=tree.simulations, tokens=sample.tokens)
        kept = sample.kept_tokens if sample.kept_tokens != sample.tokens else None
        leaves.append(replace(leaf, logprob=sample.logprob, finish=sample.finish, kept=kept))
    return leaves


def _parent(state: State) -> State:
    return State(state.problem_id, state.steps[:-1])


def _read(text: str, format: str) -> Step:
    """Reads a step in a format; a step of an unknown format is kept as text."""
    step_format = FORMATS.get(format)
    return Step(ActionType.MALFORMED, text) if step_format is None else step_format.parse(text)


def _place(tree: Tree, places: dict[State, Node], state: State) -> Node | None:
    """Returns the node of a state; a step that the agent wrote itself (self-repair's notes) becomes one."""
    if state not in places and state.steps:
        above = _place(tree, places, _parent(state))
        if above is not None:
            taken = Transition(state, 0.0, False, False, author="agent")
            note = tree.attach(above, Proposal("", 0), taken)
            if note is not None:
                places[state] = note
    return places.get(state)


def _samples(recording: Recording) -> dict[tuple[State, str], list[Proposal]]:
    """Returns the equal samples of each action taken in a state, without those that the budget cut."""
    found: dict[tuple[State, str], list[Proposal]] = {}
    for (state, _), proposals in recording.samples.items():
        for proposal in proposals:
            if proposal.finish == "budget":
                continue
            found.setdefault((state, proposal.text), []).append(proposal)
    return found
