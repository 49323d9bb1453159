"""What a platform runs around programs: names for annotations, nested lists for lists and trees."""

import builtins

import pytest

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.formats.reading.platform import IMPORTS, platform_of


def run(platform, program):
    namespace = {}
    exec(platform.prelude, namespace)
    exec(program, namespace)
    return namespace["Solution"]()


def test_the_imports_hide_no_builtin_name():
    namespace = {}
    exec(IMPORTS, namespace)
    assert namespace["List"]
    assert namespace["deque"]
    assert not (set(dir(builtins)) - {"__builtins__"}) & (set(namespace) - {"__builtins__"})


def test_starter_code_without_nodes_is_converted_nowhere():
    platform = platform_of("class Solution:\n    def f(self, a: List[int], b: int) -> int:\n        ", "f")
    assert (platform.prelude, platform.parameters) == (IMPORTS, ("a", "b"))
    assert platform_of("def other(): pass", "f").parameters == ()


LISTS = (
    "class Solution:\n    def join(self, lists: List[Optional[ListNode]]) -> Optional[ListNode]:\n        "
)


def test_lists_of_linked_lists_come_as_nested_lists():
    program = """
class Solution:
    def join(self, lists: List[Optional[ListNode]]) -> Optional[ListNode]:
        head = end = ListNode()
        for one in lists:
            while one:
                end.next = ListNode(one.val)
                end, one = end.next, one.next
        return head.next
"""
    join = run(platform_of(LISTS, "join"), program).join
    assert join([[1, 2], [], [3]]) == [1, 2, 3]
    assert join([]) == []


TREE = "class Solution:\n    def same(self, root: Optional[TreeNode]) -> Optional[TreeNode]:\n        "


@pytest.mark.parametrize(
    "tree", [[], [1], [1, None, 2, 3], [5, 4, 8, 11, None, 13, 4, 7, 2, None, None, None, 1]]
)
def test_trees_survive_the_way_in_and_out(tree):
    program = "class Solution:\n    def same(self, root):\n        return root\n"
    assert run(platform_of(TREE, "same"), program).same(tree) == tree


def test_a_method_that_calls_itself_is_given_nodes():
    program = """
class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val, self.left, self.right = val, left, right

class Solution:
    def same(self, root):
        assert root is None or isinstance(root, TreeNode)
        return root and TreeNode(root.val, self.same(root.right), self.same(root.left))
"""
    solution = run(platform_of(TREE, "same"), program)
    assert solution.same([1, 2, None, 3]) == [1, None, 2, None, 3]
    failing = run(platform_of(TREE, "same"), program.replace("root is None or", ""))
    for _ in range(2):  # what was raised does not leave the conversion off
        with pytest.raises(AssertionError):
            failing.same([1])


def test_trees_are_built_level_by_level():
    program = (
        "class Solution:\n    def same(self, root):\n        assert root.left is None\n"
        "        assert (root.right.val, root.right.left.val) == (2, 3)\n        return root.right\n"
    )
    assert run(platform_of(TREE, "same"), program).same([1, None, 2, 3]) == [2, 3]


def test_classes_of_the_data_set_are_kept():
    own = "from typing import *\nclass TreeNode:\n    kind = 'own'\n"
    assert platform_of(TREE, "same", own).prelude.count("class TreeNode") == 1
    assert platform_of(TREE, "same").prelude.count("class TreeNode") == 1


def test_changes_in_place_are_refused():
    with pytest.raises(ProblemFileError, match="field 'starter_code': flatten changes its TreeNode in place"):
        platform_of("class Solution:\n    def flatten(self, root: Optional[TreeNode]) -> None:\n", "flatten")
