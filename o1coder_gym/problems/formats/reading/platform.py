"""What a platform runs before each program: imports that starter code leans on, its lists and trees.

LeetCode and its kin hand out ``class Solution`` whose annotations nobody imports, and pass linked lists and
binary trees where a data set has nested lists. The prelude brings the names, and wraps the method so that
nested lists come in and go out. It runs in the program's own process, like the program.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from o1coder_gym.problems.formats.reading.fields import wrong

IMPORTS = """\
import bisect, collections, copy, datetime, functools, heapq, itertools
import math, operator, random, re, string, sys
from bisect import bisect, bisect_left, bisect_right, insort
from collections import Counter, OrderedDict, defaultdict, deque
from functools import cache, cmp_to_key, lru_cache, reduce
from heapq import heapify, heappop, heappush, heappushpop, heapreplace, nlargest, nsmallest
from itertools import accumulate, chain, combinations, count, cycle, groupby, islice, pairwise
from itertools import permutations, product, repeat, starmap, zip_longest
from math import ceil, comb, factorial, floor, gcd, inf, isqrt, lcm, log, log2, pi, sqrt
from typing import *
"""
"""No name here hides a builtin one: ``from math import *`` would take ``pow`` away."""

_LIST = """\
class ListNode:
    def __init__(self, val=0, next=None):
        self.val = val
        self.next = next
"""
_TREE = """\
class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val = val
        self.left = left
        self.right = right
"""
_CONVERSIONS = {
    "ListNode": """\
def _to_ListNode(values):
    head = None
    for value in reversed(values or []):
        head = ListNode(value, head)
    return head


def _from_ListNode(node):
    values = []
    while node is not None:
        values.append(node.val)
        node = node.next
    return values
""",
    "TreeNode": """\
def _to_TreeNode(values):
    if not values or values[0] is None:
        return None
    nodes = [None if value is None else TreeNode(value) for value in values]
    children = iter(nodes[1:])
    for node in nodes:
        if node is not None:
            node.left, node.right = next(children, None), next(children, None)
    return nodes[0]


def _from_TreeNode(node):
    level, values = [node], []
    for node in level:
        values.append(None if node is None else node.val)
        if node is not None:
            level += [node.left, node.right]
    while values and values[-1] is None:
        values.pop()
    return values
""",
}

_HOOK = """\
import builtins as _builtins


def _build_class(body, name, *bases, **options):
    made = _builtins.__build_class__(body, name, *bases, **options)
    if name == "Solution" and hasattr(made, "{method}"):
        made.{method} = _converting(made.{method})
    return made


def _converting(method, outermost=[True]):
    given, answer = [{given}], {answer}

    def converted(self, *args, **named):
        if not outermost[0]:
            return method(self, *args, **named)
        outermost[0] = False
        try:
            return answer(method(self, *(convert(value) for convert, value in zip(given, args)), **named))
        finally:
            outermost[0] = True

    return converted


__builtins__ = {{**vars(_builtins), "__build_class__": _build_class}}
"""
"""Put where the ``class`` statement looks for what makes a class."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What a program finds.

    Attributes:
        prelude: Code that is run before it.
        parameters: Names of the method's parameters, without ``self``.
    """

    prelude: str
    parameters: tuple[str, ...]


def platform_of(starter: str, method: str, prelude: str = IMPORTS) -> Platform:
    """Returns the platform that some starter code leans on.

    Args:
        starter: ``class Solution`` with a method, or a function; bodies may be missing.
        method: The name that the tests call.
        prelude: The platform's own imports and classes, where a data set has them.

    Raises:
        ProblemFileError: When the method hands back a node in place, which no comparison of results shows.
    """
    signature = _signature(starter, method)
    if signature is None:
        return Platform(prelude, ())
    arguments = [argument for argument in signature.args.args if argument.arg not in ("self", "cls")]
    names = tuple(argument.arg for argument in arguments)
    kinds = [_node_kind(argument.annotation) for argument in arguments]
    answer = _node_kind(signature.returns)
    used = sorted({kind for kind, _ in (*kinds, answer) if kind})
    if not used:
        return Platform(prelude, names)
    if isinstance(signature.returns, ast.Constant) and signature.returns.value is None:
        raise wrong("starter_code", f"{method} changes its {used[0]} in place, which is not supported")
    for kind, code in (("ListNode", _LIST), ("TreeNode", _TREE)):
        if kind in used and not re.search(rf"^class {kind}\b", prelude, re.M):
            prelude += "\n\n" + code
    parts = (prelude, *(_CONVERSIONS[kind] for kind in used), _hook(method, kinds, answer))
    return Platform("\n\n".join(parts), names)


def _hook(method: str, given: Sequence[tuple[str, bool]], answer: tuple[str, bool]) -> str:
    """Returns code that wraps a method of the program's ``class Solution`` as soon as the class is made.

    Only the outermost call is converted, for a method may call itself with nodes.
    """
    return _HOOK.format(
        method=method,
        given=", ".join(_conversion("to", *kind) for kind in given),
        answer=_conversion("from", *answer),
    )


def _conversion(way: str, kind: str, many: bool) -> str:
    """Returns a function's source: a node of nested lists, or back; of a list of them if `many`."""
    function = f"_{way}_{kind}({{}})"
    body = function.format("one") if kind else "one"
    return f"lambda value: [{body} for one in value]" if many else f"lambda one: {body}"


def _signature(starter: str, method: str) -> ast.FunctionDef | None:
    """Returns the head of a function, read alone, for the bodies of starter code are missing."""
    pattern = rf"^[ \t]*def[ \t]+{re.escape(method)}[ \t]*\(.*?\)[^\n]*?:"
    match = re.search(pattern, starter, re.M | re.S)
    if match is None:
        return None
    try:
        node = ast.parse(match.group().strip() + " pass").body[0]
    except SyntaxError:
        return None
    return node if isinstance(node, ast.FunctionDef) else None


def _node_kind(annotation: ast.expr | None) -> tuple[str, bool]:
    """Returns which node an annotation names, and whether it is a list of them."""
    text = ast.unparse(annotation) if annotation else ""
    kind = next((kind for kind in _CONVERSIONS if kind in text), "")
    return kind, bool(kind) and text.lower().startswith("list[")
