"""The finished search tree of one agent on one problem: what viewers and harvests read.

A run folder keeps them in ``trees.jsonl``, a row per tree, written when the agent ends.
N nodes, E evaluations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from o1coder_gym.errors import JournalError, O1CoderError
from o1coder_gym.problems.rows import ProblemRow, problem_row_from_json, problem_row_to_json
from o1coder_gym.runs.journal import read_rows
from o1coder_gym.types import ActionType, Author, Finish, Outcome, Problem, State, Step, Usage

SCHEMA = 1
"""Version of the rows that `SearchTree.to_row` writes."""

TREES = "trees"
"""Name of a run folder's file of search trees."""


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A state that the search has seen.

    Attributes:
        parent: Index of the node above, None for the root.
        step: The step that led here, None at the root.
        born: Simulations (for agents without a tree: finished rollouts) before the node was made.
        visits: N, evaluations at or below this node.
        value: v = W / N in [0, 1]; None before the first evaluation.
        tokens: Generated tokens of the step.
        count: Samples that led to this step; > 1 if identical ones were merged.
        prior: P(step | parent) in [0, 1]; 0 where no agent set one.
        logprob: Log-probability of the step, ≤ 0; None if not known.
        score: The step scorer's value in [0, 1]; None if not asked.
        end: v of a finished episode in [0, 1]; None for other nodes, where the judge failed and where there
            are no tests.
        outcome: Of committed code on the tests of the search; None without code.
        bits: One character per test of the search, ``"1"`` if passed; empty without code.
        author: The author of the step: the policy, or the agent (a note).
        finish: Why its sample ended; one that the budget cut is a leaf that was never taken.
        kept: Tokens that `logprob` sums over; None where these are all `tokens`, and in rows of earlier
            versions.
    """

    parent: int | None
    step: Step | None
    born: int = 0
    visits: int = 0
    value: float | None = None
    tokens: int = 0
    count: int = 1
    prior: float = 0.0
    logprob: float | None = None
    score: float | None = None
    end: float | None = None
    outcome: Outcome | None = None
    bits: str = ""
    author: Author = "policy"
    finish: Finish = "stop"
    kept: int | None = None


@dataclass(frozen=True, slots=True)
class NodeParting:
    """A `types.Parting` of a tree: the programs are nodes.

    Attributes:
        input: Literal of an argument list, or a standard input.
        outputs: The programs' behaviours there, each with the nodes and the number of its programs, which are
            more than the nodes where an agent keeps no node of each (a rollout of MCTS); None in trees of
            earlier versions, which did not tell.
        right: The one of these that is taken for right; None where that is open.
        confidence: Share of the votes behind it, in [0, 1].
    """

    input: str
    outputs: tuple[tuple[str, tuple[int, ...], int | None], ...]
    right: str | None
    confidence: float


@dataclass(frozen=True, slots=True)
class SearchTree:
    """A finished search.

    Attributes:
        problem: The question, public tests included; no hidden ones.
        agent: The agent's name with its parameters.
        seed: Seed of the run.
        format: Name of the step format.
        nodes: In order of creation, [N]; the root is the first, parents come before children.
        trace: The evaluations in order, [E]: (simulation, node, value); empty where none were kept.
        chosen: Index of the node that the agent answered with, None without an answer.
        usage: The cost of the search.
        completions: Of nodes that were completed by the policy once more after the search: the node, and v of
            each completion, in [0, 1]. They, and not its visits, are what such a prefix is worth.
        partings: Inputs on which an adversary saw programs part; who did what there.
    """

    problem: Problem
    agent: str
    seed: int
    format: str
    nodes: tuple[TreeNode, ...]
    trace: tuple[tuple[int, int, float], ...] = ()
    chosen: int | None = None
    usage: Usage = field(default_factory=Usage)
    completions: tuple[tuple[int, tuple[float, ...]], ...] = ()
    partings: tuple[NodeParting, ...] = ()

    @property
    def code(self) -> str | None:
        """The program that the agent answered with, its helpers first."""
        return self.state(self.chosen).code if self.chosen is not None else None

    def children(self) -> list[list[int]]:
        """Returns the children of each node, [N], in order of creation."""
        below: list[list[int]] = [[] for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            if node.parent is not None:
                below[node.parent].append(index)
        return below

    def path(self, index: int) -> list[int]:
        """Returns the nodes from the root down to a node."""
        path = [index]
        while (parent := self.nodes[path[-1]].parent) is not None:
            path.append(parent)
        return path[::-1]

    def state(self, index: int) -> State:
        """Returns the state of a node."""
        steps = (self.nodes[node].step for node in self.path(index))
        return State(self.problem.task_id, tuple(step for step in steps if step is not None))

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict, the nodes column by column; `from_row` is its inverse."""
        return {
            "schema": SCHEMA,
            "task_id": self.problem.task_id,
            "agent": self.agent,
            "seed": self.seed,
            "problem": problem_row_to_json(ProblemRow(self.problem, tests=())),
            "format": self.format,
            "usage": self.usage.to_row(),
            "chosen": self.chosen,
            # By columns: names are written once per row, not once per node.
            "trace": [list(column) for column in zip(*self.trace, strict=True)],
            "steps": [node.step and [int(node.step.type), node.step.text] for node in self.nodes],
            **{name: self._column(name) for name in _COLUMNS},
            **{name: self._column(name) for name, usual in _ORIGINS.items() if self._differs(name, usual)},
            **({"completions": list(map(list, self.completions))} if self.completions else {}),
            **(
                {"partings": [[p.input, p.outputs, p.right, p.confidence] for p in self.partings]}
                if self.partings
                else {}
            ),
        }

    def _column(self, name: str) -> list[Any]:
        return [getattr(node, name) for node in self.nodes]

    def _differs(self, name: str, usual: str | None) -> bool:
        return any(getattr(node, name) != usual for node in self.nodes)

    def _repr_html_(self) -> str | None:
        """Shows the tree in a notebook, if `reporting` is imported: it can draw trees."""
        return _views[-1](self) if _views else None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> SearchTree:
        """Reads what `to_row` wrote.

        Raises:
            JournalError: When the row is of another version or is not a tree.
        """
        if row.get("schema") != SCHEMA:
            raise JournalError(f"search tree: got schema {row.get('schema')}, expected {SCHEMA}")
        try:
            nodes, trace = _nodes(row), tuple(zip(*row["trace"], strict=True))
            # Earlier versions gave programs without tests the value 1; that evaluation is taken back on
            # reading.
            untested = {index for index, node in enumerate(nodes) if _valued_untested(node)}
            return cls(
                problem=problem_row_from_json(row["problem"]).problem,
                agent=row["agent"],
                seed=row["seed"],
                format=row["format"],
                nodes=_without_values(nodes, untested) if untested else nodes,
                trace=tuple(entry for entry in trace if entry[1] not in untested),
                chosen=row["chosen"],
                usage=Usage(**row["usage"]),
                completions=tuple((node, tuple(v)) for node, v in row.get("completions", ())),
                partings=tuple(
                    NodeParting(given, tuple(_behaviour(*output) for output in outputs), right, sure)
                    for given, outputs, right, sure in row.get("partings", ())
                ),
            )
        except (KeyError, TypeError, ValueError, O1CoderError) as error:
            raise JournalError(f"search tree: not a row of one: {type(error).__name__}: {error}") from error


def _behaviour(
    told: str, nodes: Sequence[int], programs: int | None = None
) -> tuple[str, tuple[int, ...], int | None]:
    """Reads one behaviour of a parting; rows of earlier versions do not count its programs."""
    return told, tuple(nodes), programs


_ORIGINS: Mapping[str, str | None] = {"author": "policy", "finish": "stop", "kept": None}
"""Columns that a row has only where a node differs from this, as rows of earlier versions do."""

NotebookView: TypeAlias = Callable[[SearchTree], str]
"""Draws a tree as HTML."""

_views: list[NotebookView] = []


def show_in_notebooks_by(view: NotebookView) -> None:
    """Has notebooks show trees by this function from now on."""
    _views.append(view)


_COLUMNS = tuple(name for name in TreeNode.__slots__ if name not in ("step", *_ORIGINS))


def _nodes(row: Mapping[str, Any]) -> tuple[TreeNode, ...]:
    nodes = []
    names = (*_COLUMNS, *(name for name in _ORIGINS if name in row))
    for step, *cells in zip(row["steps"], *(row[name] for name in names), strict=True):
        fields = dict(zip(names, cells, strict=True))
        outcome = Outcome(fields["outcome"]).after(len(fields["bits"])) if fields["outcome"] else None
        fields["outcome"] = outcome
        nodes.append(TreeNode(step=Step(ActionType(step[0]), step[1]) if step else None, **fields))
    root, *parents = (node.parent for node in nodes)
    # Checked, since who follows parents to the root would otherwise never come there.
    if root is not None or not all(0 <= parent < place for place, parent in enumerate(parents, start=1)):
        raise ValueError("a node stands before its parent")
    if row["chosen"] is not None and not 0 <= row["chosen"] < len(nodes):
        raise ValueError(f"chosen: {row['chosen']} of {len(nodes)} nodes")
    return tuple(nodes)


def _valued_untested(node: TreeNode) -> bool:
    """Whether an end without tests was counted as a success, as earlier versions did."""
    return node.outcome is Outcome.NO_TESTS and node.end is not None


def _without_values(nodes: Sequence[TreeNode], untested: Iterable[int]) -> tuple[TreeNode, ...]:
    """Takes the one evaluation of each of these ends back, from it and from the nodes above: N − 1, W − v."""
    found = list(nodes)
    for end in untested:
        lost = nodes[end].end or 0.0
        place: int | None = end
        while place is not None:
            node = found[place]
            visits = node.visits - 1
            total = (node.value or 0.0) * node.visits - lost
            value = min(1.0, max(0.0, total / visits)) if visits > 0 else None  # within [0, 1] after rounding
            found[place] = replace(node, visits=visits, value=value, end=None if place == end else node.end)
            place = node.parent
    return tuple(found)


def tree_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows of a run's trees, unread; a tree written twice (a resumed run) comes once, the last.

    Raises:
        JournalError: When the file is damaged.
    """
    path = folder / f"{TREES}.jsonl"
    try:
        rows = {(row["task_id"], row["agent"], row["seed"]): row for row in read_rows(path)}
    except (KeyError, TypeError) as error:
        raise JournalError(f"{path}: not rows of search trees: {error}") from error
    yield from rows.values()
