import math

import pytest

from o1coder_gym.agents.search.expansion import all_at_once, progressive
from o1coder_gym.agents.search.selection import Select, puct, uct, uct_virtual_loss
from o1coder_gym.agents.search.tree import Node
from o1coder_gym.types import State


def family(
    *children: tuple[int, float], unobserved: tuple[int, ...] = (), priors: tuple[float, ...] = ()
) -> Node:
    """A node whose children have these (N, W), O and P."""
    root = Node(State("p"), None, 0, 0)
    for index, (visits, total) in enumerate(children):
        child = Node(State("p"), root, index + 1, 0)
        child.visits, child.total = visits, total
        child.unobserved = unobserved[index] if unobserved else 0
        child.prior = priors[index] if priors else 0.0
        root.children.append(child)
    root.visits = sum(visits for visits, _ in children)
    root.total = sum(total for _, total in children)
    root.unobserved = sum(unobserved)
    return root


def chosen(select: Select, node: Node) -> int | None:
    child = select(node)
    return None if child is None else node.children.index(child)


def test_uct_by_hand() -> None:
    # N = 10, ln 10 = 2.3026
    # first: 6/8 + c √(2.3026/8) = 0.75 + 0.5365 c; second: 0/2 + c √(2.3026/2) = 1.0730 c
    # equal at c = 0.75 / 0.5365 = 1.398
    node = family((8, 6.0), (2, 0.0))
    assert chosen(lambda n: uct(n, c=1.39), node) == 0
    assert chosen(lambda n: uct(n, c=1.41), node) == 1


@pytest.mark.parametrize("select", [uct, uct_virtual_loss])
def test_the_usual_constant_of_uct(select: Select) -> None:
    # as above: equal at c = 0.75 / 0.5365 = 1.398, and for a first child of mean 0.875 at 1.631
    assert chosen(select, family((8, 6.0), (2, 0.0))) == 1
    assert chosen(select, family((8, 7.0), (2, 0.0))) == 0


def test_the_usual_constant_of_puct() -> None:
    # N = 8; first: its mean; second: c √8 / (1 + 4) = 0.5657 c, which is 0.7071 for c = 1.25
    assert chosen(puct, family((4, 2.8), (4, 0.0), priors=(0.0, 1.0))) == 1
    assert chosen(puct, family((4, 2.9), (4, 0.0), priors=(0.0, 1.0))) == 0


def test_puct_counts_what_is_in_flight_in_both_places() -> None:
    # N + O = 9; first: 1; second: c √9 / (1 + 4 + 1) = c / 2
    node = family((4, 4.0), (4, 0.0), unobserved=(0, 1), priors=(0.0, 1.0))
    assert chosen(lambda n: puct(n, c=1.9), node) == 0
    assert chosen(lambda n: puct(n, c=2.1), node) == 1


def test_uct_tries_every_child_in_order_first() -> None:
    assert chosen(uct, family((5, 5.0), (0, 0.0), (0, 0.0))) == 1


def test_closed_children_are_never_chosen() -> None:
    node = family((1, 1.0), (1, 0.0))
    node.children[0].closed = True
    for select in (uct, uct_virtual_loss, puct):
        assert chosen(select, node) == 1
    node.children[1].closed = True
    for select in (uct, uct_virtual_loss, puct):
        assert chosen(select, node) is None


def test_wu_uct_widens_the_denominator_but_not_the_mean() -> None:
    # N + O = 4 + 8 = 12, ln 12 = 2.4849
    # first: 1/2 + √(2.4849/10) = 0.9985; second: 0/2 + √(2.4849/2) = 1.1147
    assert chosen(lambda n: uct(n, c=1.0), family((2, 1.0), (2, 0.0), unobserved=(8, 0))) == 1
    # without what is in flight: 1/2 + √(1.3863/2) = 1.3326 against 0.8326
    assert chosen(lambda n: uct(n, c=1.0), family((2, 1.0), (2, 0.0))) == 0


def test_a_child_in_flight_has_the_mean_of_its_parent() -> None:
    # the untried child in flight has Q = 1/2, n = 1; the other Q = 1/2, n = 2: fewer visits win
    assert chosen(lambda n: uct(n, c=1.0), family((2, 1.0), (0, 0.0), unobserved=(0, 1))) == 1
    # with three in flight it loses
    assert chosen(lambda n: uct(n, c=1.0), family((2, 1.0), (0, 0.0), unobserved=(0, 3))) == 0


def test_virtual_loss_lowers_the_mean() -> None:
    # c = 0: 2/2 = 1 against 1/2; with two lost visits in flight 2/(2 + 2) = 1/2 against 1.5/2
    assert chosen(lambda n: uct_virtual_loss(n, c=0.0), family((2, 2.0), (2, 1.5))) == 0
    assert chosen(lambda n: uct_virtual_loss(n, c=0.0), family((2, 2.0), (2, 1.5), unobserved=(2, 0))) == 1
    # the unobserved counts of WU-UCT leave the mean alone
    assert chosen(lambda n: uct(n, c=0.0), family((2, 2.0), (2, 1.5), unobserved=(2, 0))) == 0


def test_virtual_loss_without_flights_is_uct() -> None:
    for numbers in ([(3, 2.0), (5, 1.0), (1, 0.5)], [(9, 1.0), (2, 1.9)], [(0, 0.0), (1, 1.0)]):
        assert uct(family(*numbers)) is not None
        assert chosen(uct, family(*numbers)) == chosen(uct_virtual_loss, family(*numbers))


def test_puct_by_hand() -> None:
    # N = 9, √9 = 3
    # first: 4/8 + c·0.2·3/9 = 0.5 + 0.0667 c; second: 0/1 + c·0.8·3/2 = 1.2 c; equal at c = 0.441
    node = family((8, 4.0), (1, 0.0), priors=(0.2, 0.8))
    assert chosen(lambda n: puct(n, c=0.43), node) == 0
    assert chosen(lambda n: puct(n, c=0.45), node) == 1


def test_puct_counts_what_is_in_flight() -> None:
    # equal in all but the flights
    assert chosen(puct, family((2, 1.0), (2, 1.0), unobserved=(1, 0), priors=(0.5, 0.5))) == 1


@pytest.mark.parametrize("select", [uct, uct_virtual_loss, puct])
def test_the_first_of_equals_is_chosen(select: Select) -> None:
    assert chosen(select, family((2, 1.0), (2, 1.0), priors=(0.5, 0.5))) == 0


@pytest.mark.parametrize("select", [uct, puct])
@pytest.mark.parametrize(("mean", "choice"), [(0.5, 0), (-0.5, 1)])
def test_under_a_node_without_visits_what_was_never_tried_is_worth_nothing(
    select: Select, mean: float, choice: int
) -> None:
    node = family((1, mean), (0, 0.0), unobserved=(0, 1))
    node.visits, node.total, node.unobserved = 0, 0.0, 1  # ln 1 = 0; no priors: exploration adds nothing
    assert chosen(select, node) == choice


def test_widening_by_hand() -> None:
    assert all_at_once(0, 4) == 4
    # ⌈√N⌉ for N = 0, 1, 2, 4, 5, 100, within 1 and 8
    assert [progressive(n, 8) for n in (0, 1, 2, 4, 5, 100)] == [1, 1, 2, 2, 3, 8]
    assert progressive(9, 8, k=2.0) == 6
    assert progressive(8, 8, alpha=1 / 3) == math.ceil(8 ** (1 / 3)) == pytest.approx(2)
