"""A radix tree of token sequences: which prefixes are computed, and their payload per segment.

Zheng et al., SGLang (arXiv 2312.07104, RadixAttention), without its scheduler: prompts that share a
prefix share its nodes, a node is split where two prompts part, and the least recently used leaves go
first when the tree is full.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

Payload = TypeVar("Payload")


class PrefixNode(Generic[Payload]):
    """One segment of token ids that is not split among the prompts seen.

    Attributes:
        tokens: The segment.
        payload: The computed state of the segment, None until it is computed.
        parent: The segment before it, None for the root.
        children: Segments after it by their first token.
        used: When it was last on a path, in ticks of the tree.
    """

    __slots__ = ("children", "parent", "payload", "tokens", "used")

    def __init__(self, tokens: tuple[int, ...], parent: PrefixNode[Payload] | None) -> None:
        self.tokens = tokens
        self.parent = parent
        self.payload: Payload | None = None
        self.children: dict[int, PrefixNode[Payload]] = {}
        self.used = 0

    def path(self) -> list[PrefixNode[Payload]]:
        """Returns the segments from the first to this one, without the empty root."""
        nodes: list[PrefixNode[Payload]] = []
        node = self
        while node.parent is not None:
            nodes.append(node)
            node = node.parent
        return nodes[::-1]


class PrefixTree(Generic[Payload]):
    """Known prefixes and their payloads, at most `capacity` tokens after `evict`."""

    def __init__(self, capacity: int, split: Callable[[Payload, int], tuple[Payload, Payload]]) -> None:
        """Starts empty.

        Args:
            capacity: Tokens to keep, ≥ 0.
            split: Cuts a payload after its first k tokens.
        """
        self.capacity = capacity
        self._split_payload = split
        self._tick = 0
        self.clear()

    def clear(self) -> None:
        """Drops everything."""
        self.size = 0
        self._root: PrefixNode[Payload] = PrefixNode((), None)

    def insert(self, tokens: Sequence[int]) -> PrefixNode[Payload]:
        """Returns the node at which `tokens` end; creates missing nodes without payload."""
        # A logical clock: every node on a path gets the tick of its last use.
        self._tick += 1
        node, at = self._root, 0
        while at < len(tokens):
            child = node.children.get(tokens[at])
            if child is None:
                child = PrefixNode(tuple(tokens[at:]), node)
                node.children[tokens[at]] = child
                self.size += len(child.tokens)
            else:
                common = _common_length(child.tokens, tokens, at)
                if common < len(child.tokens):
                    child = self._split(child, common)
            child.used = self._tick
            at += len(child.tokens)
            node = child
        return node

    def evict(self) -> None:
        """Drops the least recently used leaves until at most `capacity` tokens are left."""
        if self.size <= self.capacity:
            return
        # Leaves only: an inner node is needed by its children. Its own turn comes when the last of them is
        # gone.
        leaves = [(node.used, id(node), node) for node in self if not node.children]
        heapq.heapify(leaves)
        while self.size > self.capacity:
            leaf = heapq.heappop(leaves)[2]
            parent = leaf.parent
            assert parent is not None, "the root is not among the leaves"
            del parent.children[leaf.tokens[0]]
            self.size -= len(leaf.tokens)
            if not parent.children and parent.parent is not None:
                heapq.heappush(leaves, (parent.used, id(parent), parent))

    def __iter__(self) -> Iterator[PrefixNode[Payload]]:
        """Walks all nodes but the root."""
        stack = list(self._root.children.values())
        while stack:
            node = stack.pop()
            yield node
            stack.extend(node.children.values())

    def _split(self, node: PrefixNode[Payload], at: int) -> PrefixNode[Payload]:
        """Cuts `node` after `at` tokens; returns the new node of the first part."""
        parent = node.parent
        assert parent is not None, "the root has no tokens to split"
        # The old node keeps the tail, so ends that callers hold still name the whole prefix.
        head: PrefixNode[Payload] = PrefixNode(node.tokens[:at], parent)
        parent.children[node.tokens[0]] = head
        node.tokens, node.parent = node.tokens[at:], head
        head.children[node.tokens[0]] = node
        if node.payload is not None:
            head.payload, node.payload = self._split_payload(node.payload, at)
        return head


def _common_length(segment: Sequence[int], tokens: Sequence[int], at: int) -> int:
    """Returns how many tokens `segment` and ``tokens[at:]`` share from their start."""
    limit = min(len(segment), len(tokens) - at)
    for index in range(limit):
        if segment[index] != tokens[at + index]:
            return index
    return limit
