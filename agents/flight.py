"""A flight: the path of one simulation, marked as unobserved until the simulation is back."""

from __future__ import annotations

from o1coder_gym.agents.search.tree import Node


class Flight:
    """The nodes that a simulation has entered, root first. Mutable; `leave` must be called once.

    Attributes:
        node: The last node entered.
    """

    __slots__ = ("_path", "node")

    def __init__(self, path: list[Node]) -> None:
        """Enters the nodes of a path, root first, ≥ 1 of them."""
        self.node = path[-1]
        self._path = path
        for node in path:
            node.unobserved += 1

    def enter(self, node: Node) -> None:
        """Goes on to a child."""
        self.node = node
        self._path.append(node)
        node.unobserved += 1

    def leave(self) -> None:
        """Takes the marks back."""
        for node in self._path:
            node.unobserved -= 1
