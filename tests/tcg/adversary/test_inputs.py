"""What attackers propose: seeds of draws, none of which is another one's."""

from itertools import islice

import pytest

from o1coder_gym.tcg.adversary import inputs
from o1coder_gym.tcg.adversary.inputs import by_mutation
from o1coder_gym.types import CallTest, Problem

SHOWN = Problem("p", "def f(xs): ...", "f", (CallTest("[[1, 2]]", "3"),))
PROGRAMS = tuple(f"def f(xs):\n    return {number}" for number in range(3))


def drawn(monkeypatch: pytest.MonkeyPatch, problem: Problem, seed: int, turns: int) -> list[int]:
    """Returns the seeds of the draws of some turns."""
    seeds: list[int] = []

    def propose(problem: Problem, program: str | None, size: int, seed: int) -> tuple[tuple[str, ...], ...]:
        seeds.append(seed)
        return (tuple(f"[{seed}, {place}]" for place in range(size)),)

    def print_them(problem: Problem, size: int, seed: int) -> tuple[str, ...]:
        return propose(problem, None, size, seed)[0]

    monkeypatch.setattr(inputs, "propose_inputs", propose)
    monkeypatch.setattr(inputs, "propose_wider_inputs", propose)
    monkeypatch.setattr(inputs, "propose_stdin", print_them)
    list(islice(by_mutation(problem, PROGRAMS, seed), turns))
    return seeds


@pytest.mark.parametrize(
    ("problem", "draws"),
    [
        (SHOWN, 4),  # of three programs, and a wider one
        (Problem("p", "Add two numbers."), 1),
    ],
)
def test_seeds_turns_and_views_share_no_draw(
    monkeypatch: pytest.MonkeyPatch, problem: Problem, draws: int
) -> None:
    found = [seed for run in range(4) for seed in drawn(monkeypatch, problem, run, turns=3)]
    assert len(found) == 4 * 3 * draws
    assert len(set(found)) == len(found)
