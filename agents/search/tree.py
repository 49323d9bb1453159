"""The search tree: nodes, their statistics, and which of them are closed.

Invariants, whatever the order of calls:

- N(S) = own(S) + Σ N(children): each evaluation is counted once, at the node where it was made, and in
  all nodes above it.
- v(S) = W(S) / N(S) lies in [0, 1] (the authors' normalisation, their issue #3), terminals included.
- A terminal node is evaluated once, when it is found; then it is closed and never selected again.
- No other node is ever exhausted, because the next sample of a policy may be new; only its width can be used
  up. Samples beyond the width are drawn on the most valuable path (`simulation.select`).

A flight is the path of one simulation, counted as unobserved until the simulation completes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import Any

from o1coder_gym.errors import UsageError
from o1coder_gym.process_data.search_tree import SearchTree, TreeNode
from o1coder_gym.rewards import end_value, passes, standing
from o1coder_gym.types import (
    ActionType,
    Author,
    Finish,
    Outcome,
    Problem,
    Proposal,
    SearchResult,
    State,
    Step,
    Transition,
)

SCHEMA = 1
"""Version of the rows that `Tree.to_row` writes."""

_MANY = 32
"""Number of children from which on equal steps are found by hash lookup instead of a linear scan."""


class Node:
    """A state in the tree. Mutable; compact (slots, no dict).

    Attributes:
        index: Place in `Tree.nodes`, the order of creation.
        parent: The node above, None for the root.
        state: S^{1:t}.
        children: In order of creation, identical steps merged.
        visits: N, evaluations at or below this node.
        own: Evaluations made at this node itself.
        total: W, the sum of their values.
        unobserved: O, simulations in flight through this node (WU-UCT, arXiv 1810.11755).
        asked: Samples requested from this node, those in flight included.
        pending: Samples in flight.
        count: Samples that led to this step; > 1 if identical ones were merged.
        tokens: Generated tokens of the first of them.
        logprob: Log-probability of the first of them, ≤ 0, None if not known.
        kept: Tokens that `logprob` sums over; fewer than `tokens` where some only showed the end of the step.
        prior: P(step | parent) in [0, 1], 0 where no agent set one.
        score: The step scorer's value in [0, 1], None if not asked.
        value: v of an end in [0, 1]; None for other nodes, where the judge failed, and without tests.
        verdict: The outcome of committed code, None without code.
        bits: One character per test, ``"1"`` if passed; empty without code.
        ended: Whether the episode ends here; a step that cannot be read is an end of value 0.
        closed: Whether nothing can follow: it has ended, or the prompt is longer than the policy's context.
        born: Simulations that had begun when the node was made.
        author: The author of the step.
        finish: Why the sample ended that the step is.
    """

    __slots__ = (
        "asked", "author", "bits", "born", "children", "closed", "count", "ended", "finish", "index",
        "kept", "logprob", "own", "parent", "pending", "prior", "score", "state", "tokens", "total",
        "unobserved", "value", "verdict", "visits",
    )  # fmt: skip

    def __init__(self, state: State, parent: Node | None, index: int, born: int) -> None:
        """Makes a node that was never visited."""
        self.state = state
        self.parent = parent
        self.index = index
        self.born = born
        self.children: list[Node] = []
        self.visits = self.own = self.unobserved = self.asked = self.pending = self.tokens = self.kept = 0
        self.total = self.prior = 0.0
        self.count = 1
        self.logprob: float | None = None
        self.score: float | None = None
        self.value: float | None = None
        self.verdict: Outcome | None = None
        self.bits = ""
        self.ended = self.closed = False
        self.author: Author = "policy"
        self.finish: Finish = "stop"

    @property
    def step(self) -> Step | None:
        """The step that led here, None at the root."""
        return self.state.steps[-1] if self.parent is not None else None

    @property
    def mean(self) -> float:
        """The value v^j = W / N, in [0, 1]; 0 before the first visit."""
        return self.total / self.visits if self.visits else 0.0

    def path(self) -> Iterator[Node]:
        """Yields this node and all above it."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def mean_logprob(self) -> float:
        """Mean log-probability per token of the steps from the root, −inf if not known."""
        total, tokens = 0.0, 0
        for node in self.path():
            if node.parent is None:
                break
            if node.logprob is None:
                return float("-inf")
            total += node.logprob
            tokens += node.kept
        return total / max(tokens, 1)


class Tree:
    """A tree of states. Mutable; the caller may keep it, save it and continue a search on it.

    Attributes:
        nodes: All nodes in order of creation; the root is the first.
        width: Samples per node, ≥ 1; exceeded only where a path has no other node left to sample.
        simulations: Simulations begun.
        solution: The first end that passes all tests of the search, None before.
    """

    def __init__(self, root: State, *, width: int = 4, alpha_compile: float = 0.0) -> None:
        """Plants a tree.

        Args:
            root: The root's state.
            width: Samples of one node.
            alpha_compile: α_c of the terminal value, in [0, 1].

        Raises:
            UsageError: When one is out of its range.
        """
        if width < 1:
            raise UsageError(f"width must be at least 1, got {width}")
        if not 0.0 <= alpha_compile <= 1.0:
            raise UsageError(f"alpha_compile must lie in [0, 1], got {alpha_compile}")
        self.width = width
        self.alpha_compile = alpha_compile
        self.simulations = 0
        self.solution: Node | None = None
        self.nodes: list[Node] = [Node(root, None, 0, 0)]
        self._steps: dict[Node, dict[Step, Node]] = {}
        # Three flat arrays, one entry per evaluation: tuples would take several times the memory.
        self._trace_node = array("i")
        self._trace_value = array("d")
        self._trace_simulation = array("i")

    @property
    def root(self) -> Node:
        """The first node."""
        return self.nodes[0]

    @property
    def trace(self) -> list[tuple[int, int, float]]:
        """All evaluations in order: (simulation, node index, value)."""
        return list(zip(self._trace_simulation, self._trace_node, self._trace_value, strict=True))

    def add(self, parent: Node, proposal: Proposal, transition: Transition, count: int = 1) -> Node | None:
        """Adds the state that a proposal led to; evaluates and closes it if it is terminal.

        Args:
            parent: Where the step was taken.
            proposal: The sampled action.
            transition: Result of taking it.
            count: Number of equal samples merged into this one.

        Returns:
            The new node, or None if an identical step existed already; its count is increased instead.
        """
        child = self.attach(parent, proposal, transition, count)
        # A step that cannot be read is an end of value 0 to the search, also where the model lets the episode
        # continue.
        if child is not None and (transition.done or transition.state.steps[-1].type is ActionType.MALFORMED):
            self.end(child, transition)
        return child

    def attach(self, parent: Node, proposal: Proposal, transition: Transition, count: int = 1) -> Node | None:
        """Adds a state as `add` does, but leaves the evaluation of a terminal state to the caller."""
        # By the parsed step, not the text: two texts that mean the same step lead to one state.
        known = self.child(parent, transition.state.steps[-1])
        if known is not None:
            known.count += count
            return None
        child = Node(transition.state, parent, len(self.nodes), self.simulations)
        child.count = count
        child.tokens = proposal.tokens
        child.kept = proposal.kept_tokens
        child.logprob = proposal.logprob
        child.author = transition.author
        child.finish = proposal.finish
        self.nodes.append(child)
        parent.children.append(child)
        return child

    def child(self, parent: Node, step: Step) -> Node | None:
        """Returns the child reached by a step, None if there is none."""
        children = parent.children
        if len(children) < _MANY:
            return next((child for child in children if child.state.steps[-1] == step), None)
        # The table is built lazily and extended by the children that were added since the last lookup.
        known = self._steps.setdefault(parent, {})
        for child in children[len(known) :]:
            known[child.state.steps[-1]] = child
        return known.get(step)

    def end(self, node: Node, transition: Transition) -> None:
        """Closes a node that was just attached and backs up the terminal value of `transition`."""
        node.ended = node.closed = True
        node.value = end_value(transition, self.alpha_compile) if transition.done else 0.0
        if (verdict := transition.verdict) is not None:
            node.verdict = verdict.outcome
            node.bits = "".join("01"[test.outcome is Outcome.PASS] for test in verdict.tests)
        if self.solution is None and passes(transition):
            self.solution = node
        if node.value is not None:
            # None: the judge failed or there are no tests. A 0 would be averaged into W / N as a failed
            # program.
            self.backward(node, node.value)

    def backward(self, node: Node, value: float) -> None:
        """Adds an evaluation of `node` to it and all its ancestors: N += 1, W += v."""
        self._trace_simulation.append(self.simulations)
        self._trace_node.append(node.index)
        self._trace_value.append(value)
        node.own += 1
        above: Node | None = node
        while above is not None:
            above.visits += 1
            above.total += value
            above = above.parent

    def best(self) -> Node | None:
        """Returns the program of highest value, ties by mean log-probability; unjudged ones come last."""
        # Only what was judged: an unreadable step is an end as well, but no program to answer with.
        ends = [node for node in self.nodes if node.verdict is not None]
        return max(ends, key=_rank, default=None)

    def result(self) -> SearchResult:
        """Returns the best end as a search result that carries the tree."""
        best = self.best()
        if best is None:
            return SearchResult(None, tree=self)
        return SearchResult(best.state, best.value or 0.0, self)

    def subtree(self, state: State) -> Tree:
        """Returns the tree below `state`, to continue the search after a step was taken. Moves its nodes.

        The visits of the new root stay, those of its merged past count as its own. The trace is empty.

        Raises:
            KeyError: When no node has this state.
        """
        nodes = [node for node in self.nodes if node.state == state]
        if not nodes:
            raise KeyError(f"{state.problem_id}: no node at depth {state.depth} has this state")
        # The nodes move with their statistics: what was learned below `state` is as true of it as of the
        # whole tree.
        tree = Tree(state, width=self.width, alpha_compile=self.alpha_compile)
        tree.nodes = list(_below(nodes[0]))
        # Parents before children, in the order of creation, as `from_row` and ties by index rely on.
        tree.nodes.sort(key=lambda node: node.index)
        for index, node in enumerate(tree.nodes):
            node.index = index
        tree.root.parent = None
        tree.simulations = self.simulations
        kept = self.solution
        # Nodes are compared by identity here: a solution outside of the subtree is none of it.
        tree.solution = kept if kept is not None and kept in tree.nodes else None
        return tree

    def record(self, problem: Problem, chosen: State | None) -> SearchTree:
        """Returns the record of a finished search that a run folder keeps.

        Args:
            problem: The question.
            chosen: The state that the agent answered with, None if it had no answer.
        """
        return SearchTree(
            problem=problem,
            agent="search",
            seed=0,
            format="",
            nodes=tuple(_recorded(node) for node in self.nodes),
            trace=tuple(self.trace),
            chosen=next((node.index for node in self.nodes if node.state == chosen), None),
        )

    def look(self, problem: Problem) -> SearchTree:
        """Returns the record of a search as far as it is, as if it ended now."""
        best = self.best()
        return self.record(problem, best.state if best is not None else None)

    def _repr_html_(self) -> str:
        """Shows the tree in a notebook."""
        from o1coder_gym.reporting.pages.tree_page import notebook_cell

        return notebook_cell(self.look(Problem(self.root.state.problem_id, "")))

    def to_row(self) -> dict[str, Any]:
        """Returns the tree as a JSON-able dict; `from_row` is its inverse."""
        return {
            "schema": SCHEMA,
            "root": self.root.state.to_row(),
            "width": self.width,
            "alpha_compile": self.alpha_compile,
            "simulations": self.simulations,
            "solution": self.solution.index if self.solution else None,
            "nodes": [_node_to_row(node) for node in self.nodes],
            "trace": [list(self._trace_simulation), list(self._trace_node), list(self._trace_value)],
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Tree:
        """Reads what `to_row` wrote.

        Raises:
            ValueError: When the row is of another schema version.
            KeyError, TypeError: When it is not a tree's row.
        """
        if row["schema"] != SCHEMA:
            raise ValueError(f"tree: got schema {row['schema']}, expected {SCHEMA}")
        tree = cls(State.from_row(row["root"]), width=row["width"], alpha_compile=row["alpha_compile"])
        tree.simulations = row["simulations"]
        for index, fields in enumerate(row["nodes"]):
            if index:
                parent = tree.nodes[fields["parent"]]
                kind, text = fields["step"]
                # Rows hold one step per node: the state is its parent's and this step.
                node = Node(parent.state.then(Step(ActionType(kind), text)), parent, index, fields["born"])
                parent.children.append(node)
                tree.nodes.append(node)
            _fill(tree.nodes[index], fields)
        tree.solution = None if row["solution"] is None else tree.nodes[row["solution"]]
        simulations, nodes, values = row["trace"]
        tree._trace_simulation.extend(simulations)
        tree._trace_node.extend(nodes)
        tree._trace_value.extend(values)
        return tree


def _recorded(node: Node) -> TreeNode:
    return TreeNode(
        parent=node.parent.index if node.parent is not None else None,
        step=node.step,
        born=node.born,
        visits=node.visits,
        value=node.mean if node.visits else None,
        tokens=node.tokens,
        count=node.count,
        prior=node.prior,
        logprob=node.logprob,
        score=node.score,
        end=node.value,
        outcome=node.verdict,
        bits=node.bits,
        author=node.author,
        finish=node.finish,
        kept=node.kept if node.kept != node.tokens else None,
    )


_PLAIN = ("visits", "own", "total", "asked", "count", "tokens", "logprob", "prior", "score", "value", "bits")
_FLAGS = ("ended", "closed")
_ORIGINS = {"author": "policy", "finish": "stop"}
"""Fields that a row has only where they differ from these defaults: rows of earlier versions lack them."""


def _node_to_row(node: Node) -> dict[str, Any]:
    row: dict[str, Any] = {"parent": node.parent.index if node.parent else None, "born": node.born}
    if (step := node.step) is not None:
        row["step"] = [int(step.type), step.text]
    row |= {name: getattr(node, name) for name in (*_PLAIN, *_FLAGS)}
    row["verdict"] = node.verdict.value if node.verdict else None
    row |= {name: getattr(node, name) for name, usual in _ORIGINS.items() if getattr(node, name) != usual}
    if node.kept != node.tokens:
        row["kept"] = node.kept
    return row


def _fill(node: Node, row: Mapping[str, Any]) -> None:
    for name in (*_PLAIN, *_FLAGS):
        setattr(node, name, row[name])
    for name, usual in _ORIGINS.items():
        setattr(node, name, row.get(name, usual))
    node.closed = node.ended  # earlier versions closed nodes whose width was spent, too
    node.kept = row.get("kept", node.tokens)
    node.verdict = Outcome(row["verdict"]).after(len(node.bits)) if row["verdict"] else None
    node.value = None if node.verdict is Outcome.NO_TESTS else node.value  # 1.0 in rows of earlier versions


def _below(node: Node) -> Iterator[Node]:
    # A stack instead of recursion: chains may be deeper than Python's recursion limit.
    stack: list[Node] = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.children)


def _rank(node: Node) -> tuple[float, float, int]:
    # Among equals the oldest node wins: results do not depend on the order of a dict or of batches.
    return (standing(node.value, node.verdict), node.mean_logprob(), -node.index)


class Flight:
    """The path of a simulation in flight, root first. Mutable; call `leave` exactly once.

    Attributes:
        node: The last node entered.
    """

    __slots__ = ("_path", "node")

    def __init__(self, path: list[Node]) -> None:
        """Enters the nodes of a path, root first, ≥ 1 of them."""
        # O is raised before the first request leaves, so a simulation that starts meanwhile already avoids
        # this path.
        self.node = path[-1]
        self._path = path
        for node in path:
            node.unobserved += 1

    def enter(self, node: Node) -> None:
        """Extends the path by a child."""
        self.node = node
        self._path.append(node)
        node.unobserved += 1

    def leave(self) -> None:
        """Removes the simulation from the unobserved counts of its path."""
        for node in self._path:
            node.unobserved -= 1
