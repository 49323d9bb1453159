from hypothesis import given
from hypothesis import strategies as st

from o1coder_gym.policies.hf.prefix_tree import PrefixTree

PROMPTS = st.lists(st.lists(st.integers(0, 2), max_size=12).map(tuple), max_size=8)


def text_tree(capacity: int = 10**6) -> PrefixTree[tuple[int, ...]]:
    """A tree whose payloads are the tokens themselves, so that every payload can be checked."""
    return PrefixTree(capacity, lambda payload, at: (payload[:at], payload[at:]))


def compute(tree: PrefixTree[tuple[int, ...]], tokens: tuple[int, ...]) -> int:
    """Fills what is missing on the way to `tokens`; returns how many tokens that were."""
    missing = [node for node in tree.insert(tokens).path() if node.payload is None]
    for node in missing:
        node.payload = node.tokens
    return sum(len(node.tokens) for node in missing)


@given(PROMPTS)
def test_each_distinct_prefix_is_computed_once(prompts):
    tree = text_tree()
    computed = sum(compute(tree, tokens) for tokens in prompts)
    prefixes = {tokens[:end] for tokens in prompts for end in range(1, len(tokens) + 1)}
    assert computed == len(prefixes) == tree.size


@given(PROMPTS)
def test_payloads_spell_the_prompt_however_it_was_split(prompts):
    tree = text_tree()
    for tokens in prompts:
        compute(tree, tokens)
    for tokens in prompts:
        path = tree.insert(tokens).path()
        assert sum((node.payload or () for node in path), ()) == tokens
        assert all(node.payload == node.tokens for node in path)


@given(PROMPTS)
def test_nodes_handed_out_stay_the_ends_of_their_prompts(prompts):
    tree = text_tree()
    ends = [tree.insert(tokens) for tokens in prompts]
    for tokens, end in zip(prompts, ends, strict=True):
        assert sum((node.tokens for node in end.path()), ()) == tokens


@given(PROMPTS, st.integers(0, 20))
def test_eviction_keeps_the_capacity_and_only_whole_prefixes(prompts, capacity):
    tree = text_tree(capacity)
    for tokens in prompts:
        compute(tree, tokens)
    tree.evict()
    nodes = list(tree)
    assert tree.size == sum(len(node.tokens) for node in nodes) <= max(capacity, 0)
    assert all(node.payload is not None for node in nodes)
    assert all(parent in nodes for node in nodes for parent in node.path())


def test_the_least_recently_used_leaf_goes_first():
    tree = text_tree(capacity=6)
    for tokens in ((1, 1, 1), (2, 2, 2), (1, 1, 1), (3, 3, 3)):
        compute(tree, tokens)
    tree.evict()
    assert compute(tree, (1, 1, 1)) == 0
    assert compute(tree, (2, 2, 2)) == 3


def test_clear_forgets_everything():
    tree = text_tree()
    compute(tree, (1, 2))
    tree.clear()
    assert tree.size == 0
    assert compute(tree, (1, 2)) == 2
