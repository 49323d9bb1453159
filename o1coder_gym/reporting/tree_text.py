"""Search trees as text: for the terminal, for Mermaid and for Graphviz."""

from __future__ import annotations

import heapq

from rich.text import Text
from rich.tree import Tree as Branches

from o1coder_gym.process_data.search_tree import SearchTree, TreeNode
from o1coder_gym.reporting.colours import value_colour
from o1coder_gym.reporting.results import counted
from o1coder_gym.types import ActionType, Author, Finish, Outcome

LINES = 60
"""Nodes that the terminal shows at most, unless more are asked for."""


def terminal_tree(tree: SearchTree, *, most: int = LINES, title: str | None = None) -> Branches:
    """Returns the tree for the terminal: the path of the answer, and the most visited other nodes.

    Args:
        tree: The tree.
        most: Nodes shown at most, ≥ 1; the path of the answer is shown in any case.
        title: The label of the root; None names the problem and the agent.
    """
    kept = _most_visited(tree, most)
    answer = set(tree.path(tree.chosen)) if tree.chosen is not None else set()
    if title is None:
        size = f"{counted(len(tree.nodes), 'node')}, {counted(tree.usage.tokens, 'token')}"
        title = f"{tree.problem.task_id} · {tree.agent}: {size}"
    branches = {0: Branches(Text(title, style="bold"), guide_style="dim")}
    for index, below in enumerate(tree.children()):
        if index not in branches:
            continue
        for child in below:
            if child in kept:
                line = _line(tree.nodes[child], child in answer)
                branches[child] = branches[index].add(line)
        if hidden := sum(child not in kept for child in below):
            branches[index].add(Text(f"… {hidden:,} more", style="dim"))
    return branches[0]


_STYLES = {Outcome.PASS: "green", Outcome.NO_TESTS: "dim", Outcome.UNSUPPORTED: "dim"}
_STYLES |= {Outcome.INFRASTRUCTURE: "dim"}
"""Colours of outcomes; failures of programs are red."""


def origin(author: Author, finish: Finish, tokens: int) -> str:
    """Describes a step's origin; empty for a complete step of the policy.

    Args:
        author: The author of the step.
        finish: Why its sample ended.
        tokens: Generated tokens of it.
    """
    if author == "agent":
        return "note of the agent"
    if finish == "budget":
        return "cut by the budget"
    if finish == "length":
        return f"cut at {tokens:,} tokens" if tokens else "no room in the context"
    return ""


_MERMAID = str.maketrans(
    {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;", "\n": "<br/>"}
)


def mermaid(tree: SearchTree) -> str:
    """Returns the tree as a Mermaid flowchart."""
    answer = tree.path(tree.chosen) if tree.chosen is not None else []
    lines = ["flowchart LR"]
    for index, node in enumerate(tree.nodes):
        label = _label(tree, node).translate(_MERMAID)
        start, end = ("[", "]") if node.outcome is not None else ("(", ")")
        lines.append(f'  n{index}{start}"{label}"{end}')
        lines.append(f"  style n{index} fill:{value_colour(node.value)},color:{_ink(node)}")
        if node.parent is not None:
            lines.append(f"  n{node.parent} {'==>' if index in answer else '-->'} n{index}")
    return "\n".join(lines) + "\n"


def dot(tree: SearchTree) -> str:
    """Returns the tree in Graphviz' language."""
    answer = tree.path(tree.chosen) if tree.chosen is not None else []
    lines = [
        "digraph search {",
        "  rankdir=LR; nodesep=0.15;",
        '  node [style="filled,rounded", shape=box, fontname="Helvetica", fontsize=10, color="#00000033"];',
        '  edge [color="#888888", arrowsize=0.6];',
    ]
    for index, node in enumerate(tree.nodes):
        label = _label(tree, node).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        fill = f'fillcolor="{value_colour(node.value)}", fontcolor="{_ink(node)}"'
        lines.append(f'  n{index} [label="{label}", {fill}];')
        if node.parent is not None:
            bold = ' [penwidth=2.5, color="#3a56c5"]' if index in answer else ""
            lines.append(f"  n{node.parent} -> n{index}{bold};")
    return "\n".join([*lines, "}"]) + "\n"


def _most_visited(tree: SearchTree, most: int) -> set[int]:
    """Returns the nodes of the answer, and the most visited ones that hang together with the root."""
    kept = set(tree.path(tree.chosen)) if tree.chosen is not None else {0}
    below = tree.children()
    # Best first over the border of what is kept: a node is shown only below a shown parent.
    waiting = [(-tree.nodes[child].visits, child) for index in kept for child in below[index]]
    heapq.heapify(waiting)
    while waiting and len(kept) < most:
        _, index = heapq.heappop(waiting)
        if index not in kept:
            kept.add(index)
            for child in below[index]:
                heapq.heappush(waiting, (-tree.nodes[child].visits, child))
    return kept


def _line(node: TreeNode, in_answer: bool) -> Text:
    mark = "■" if node.outcome is not None else "●"
    line = Text(f"{mark} ", style=value_colour(node.value))
    line.append(_kind(node), style="bold" if in_answer else "")
    if told := _origin(node):
        line.append(f"  {told}", style="yellow")
    if node.finish != "budget":
        line.append(f"  v {_number(node.value)}  N {node.visits}", style="cyan")
    if node.score is not None:
        line.append(f"  PRM {node.score:.2f}", style="magenta")
    if node.outcome is not None:
        line.append(f"  {_tests(node)}", style=_STYLES.get(node.outcome, "red"))
    line.append(f"  {_headline(node)}", style="bold" if in_answer else "dim")
    line.no_wrap = True
    line.overflow = "ellipsis"
    return line


def _label(tree: SearchTree, node: TreeNode) -> str:
    if node.step is None:
        return f"{tree.problem.task_id}\nN {node.visits}, v {_number(node.value)}"
    if node.finish == "budget":
        return f"{_kind(node)}: {_headline(node)[:40]}\n{_origin(node)}"
    tests = "".join(f"\n{words}" for words in (_origin(node), _tests(node)) if words)
    return f"{_kind(node)}: {_headline(node)[:40]}\nN {node.visits}, v {_number(node.value)}{tests}"


def _kind(node: TreeNode) -> str:
    return ActionType(node.step.type).name.lower() if node.step else "question"


def _origin(node: TreeNode) -> str:
    return origin(node.author, node.finish, node.tokens)


def _tests(node: TreeNode) -> str:
    if node.outcome is None:
        return ""
    passed = f", {node.bits.count('1')}/{len(node.bits)} tests" if node.bits else ""
    return node.outcome.replace("_", " ") + passed


_HEADS = ("def ", "class ", "import ", "from ", "#", "@", '"""', "'''")
"""How lines begin that most programs of a problem share."""


def _headline(node: TreeNode) -> str:
    """Returns the line that distinguishes a step; for a program its first line with an effect."""
    lines = [line.strip() for line in (node.step.text if node.step else "").splitlines()]
    lines = [line for line in lines if line]
    if node.step is not None and node.step.type is ActionType.CODE:
        lines = [line for line in lines if not line.startswith(_HEADS)] or lines
    return lines[0] if lines else "(empty)"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _ink(node: TreeNode) -> str:
    """Black or white, whichever is read better on the node's colour."""
    return "#ffffff" if node.value is not None and (node.value < 0.2 or node.value > 0.8) else "#1d1c1a"
