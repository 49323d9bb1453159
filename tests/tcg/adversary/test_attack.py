"""Attacks: what parts programs, what is noise, and what it costs."""

from collections.abc import Sequence
from typing import Any

import pytest

from o1coder_gym.sandbox import Judge
from o1coder_gym.tcg.adversary.attack import Attack, attack, attacked, parted
from o1coder_gym.tcg.adversary.inputs import by_mutation
from o1coder_gym.tcg.checking.execution import Observation
from o1coder_gym.tcg.checking.question_comparison import same_of
from o1coder_gym.types import CallTest, Outcome, Problem

PROBLEM = Problem(
    "p", "def f(xs):\n    'The sum of a list.'\n", "f", (CallTest("[[1, 2]]", "3"), CallTest("[[]]", "0"))
)
RIGHT = "def f(xs):\n    return sum(xs)"
INPUTS = ("[[1, 2]]", "[[3, 3]]", "[[-5, 2]]", "[[7]]")


def on(judge: Judge, *codes: str, inputs: Sequence[str] = INPUTS, **options: Any) -> Attack:
    return attacked(judge, PROBLEM, codes, [inputs], same=same_of(PROBLEM), **options)


def test_an_input_that_parts_two_programs_is_found(judge: Judge) -> None:
    found = on(judge, RIGHT, "def f(xs):\n    return sum(map(abs, xs))", "def f(a):\n    return sum(a, 0)")
    assert [found.inputs[place] for place in found.parting] == ["[[-5, 2]]"]
    assert found.partition.classes == ((0, 2), (1,))
    assert parted(found, 0, 1) == ("[[-5, 2]]",)
    assert parted(found, 0, 2) == ()
    # all inputs once; in each of two other surroundings that one four times, behind the three others
    assert found.executions == 3 * 4 + 3 * 2 * (3 + 4)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import random\ndef f(xs):\n    return sum(xs) + random.random()", "otherwise"),
        ("import random\nrandom.seed(7)\ndef f(xs):\n    return random.randrange(10**9)", "otherwise"),
        ("n = []\ndef f(xs):\n    n.append(0)\n    return len(n)", "otherwise"),
        ("import time\ndef f(xs):\n    return time.perf_counter_ns()", "otherwise"),
        ("import time\ndef f(xs):\n    return time.time()", "otherwise"),
        ("import random\ndef f(xs):\n    return random.random() < 0.5", "otherwise"),
        ("import random\ndef f(xs):\n    return random.sample(xs, 1)", "otherwise"),
        ("import time\ndef f(xs):\n    return int(time.time())", "otherwise"),
        ("import datetime\ndef f(xs):\n    return datetime.datetime.now().year", "otherwise"),
        ("def f(xs):\n    return id(f)", "otherwise"),
        ("def f(xs):\n    return hex(id(f))", "otherwise"),
        ("def f(xs):\n    return str(object())", "address"),
        ("def f(xs):\n    return [repr(lambda: 0)]", "address"),
    ],
)
def test_noise_is_reported_and_parts_nobody(judge: Judge, code: str, why: str) -> None:
    found = on(judge, RIGHT, code, "def f(xs):\n    return 0 + sum(xs)")
    assert why in found.noisy[1]
    assert found.parting == ()
    assert found.partition.classes == ((0, 2),)


def test_a_program_that_seldom_draws_otherwise_is_noise_too(judge: Judge) -> None:
    code = "import random\ndef f(xs):\n    return random.random() < 0.1"
    inputs = [f"[[{number}]]" for number in range(40)]
    found = on(judge, "def f(xs):\n    return True", code, "def f(xs):\n    return not False", inputs=inputs)
    assert (tuple(found.noisy), found.parting) == ((1,), ())


def test_a_whole_program_that_draws_lots_is_noise(judge: Judge) -> None:
    codes = ["print(6)", "import random\nprint(6 if random.random() < 0.5 else 7)", "print('6')"]
    found = attacked(judge, Problem("p", "Six."), codes, [("1\n", "2\n")], same=same_of(PROBLEM))
    assert (tuple(found.noisy), found.parting) == ((1,), ())


def test_one_that_only_measures_time_is_none(judge: Judge) -> None:
    code = (
        "import time\ndef f(xs):\n    start = time.time()\n    found = sum(map(abs, xs))\n"
        "    print(time.time() - start, time.strftime('%c'))\n    return found"
    )
    found = on(judge, RIGHT, code)
    assert (dict(found.noisy), found.partition.classes) == ({}, ((0,), (1,)))


def test_two_noisy_programs_leave_nothing_to_part(judge: Judge) -> None:
    code = "import random\ndef f(xs):\n    return random.random() * {}"
    found = on(judge, code.format(1), code.format(2))
    assert set(found.noisy) == {0, 1}
    assert found.partition.classes == ()


def test_rounding_parts_nobody(judge: Judge) -> None:
    found = on(judge, "def f(xs):\n    return 0.1 + 0.2", "def f(xs):\n    return 0.3")
    assert (found.parting, found.noisy) == ((), {})
    assert found.rounded == len(INPUTS)


def test_a_program_that_hangs_costs_one_time_limit(judge: Judge) -> None:
    code = "def f(xs):\n    while xs[0] > 2:\n        pass\n    return sum(xs)"
    found = on(judge, RIGHT, code)
    assert found.hanging == (1,)
    assert found.partition.classes == ((0,), (1,))
    assert [column[1] for column in found.columns] == ["=3", "timeout", "not run", "not run"]


def test_a_crash_is_a_behaviour_of_its_own(judge: Judge) -> None:
    found = on(judge, RIGHT, "def f(xs):\n    return xs[0] + xs[1]", "def f(xs:\n")
    assert found.partition.classes == ((0,), (1,), (2,))
    assert found.columns[3] == ("=7", "runtime_error", "compile_error")


def test_programs_that_print(judge: Judge) -> None:
    problem = Problem("p", "Add two numbers.")
    codes = ["a, b = map(int, input().split())\nprint(a + b)", "print(3)", "print('3 ')"]
    found = attacked(judge, problem, codes, [("1 2\n", "4 4\n")], same=same_of(problem))
    assert found.partition.classes == ((1, 2), (0,))  # blanks at the end of a line are nothing


def replay(limit: int, table: Sequence[Sequence[str]]) -> Attack:
    """An attack on programs that do what a table says, without a judge."""
    inputs = tuple(f"[{number}]" for number in range(len(table[0])))
    running = attack([1.0] * len(table), [inputs], same=str.__eq__, executions=limit)
    try:
        asked = next(running)
        while True:
            asked = running.send(
                [
                    [
                        Observation(table[one.program][inputs.index(given)], Outcome.PASS)
                        for given in one.inputs
                    ]
                    for one in asked
                ]
            )
    except StopIteration as end:
        return end.value


@pytest.mark.parametrize("limit", range(0, 60, 7))
def test_no_attack_costs_more_than_it_may(limit: int) -> None:
    assert replay(limit, ["aaab", "aaba", "abaa"]).executions <= limit


def test_only_inputs_that_split_a_class_are_kept() -> None:
    found = replay(100, ["aabbc", "aabbd", "aacce"])
    assert found.parting == (2, 4)  # 3 parts nobody whom 2 leaves together
    assert found.partition.entropy == pytest.approx(1.584962500721156)  # log2 3


def test_weights_decide_which_class_is_the_largest() -> None:
    running = attack([1.0, 5.0, 1.0], [("[0]",)], same=str.__eq__)
    next(running)
    seen = [[Observation(output, Outcome.PASS)] for output in "aba"]
    running.send(seen)
    with pytest.raises(StopIteration) as end:
        running.send([one * 4 for one in seen] * 2)
    classes = end.value.value.partition
    assert (classes.classes, classes.weights) == (((1,), (0, 2)), (5.0, 2.0))


def test_mutation_uses_what_programs_mention(judge: Judge) -> None:
    problem = Problem("p", "def f(n):\n    'Return n.'\n", "f", (CallTest("[1]", "1"), CallTest("[2]", "2")))
    codes = ["def f(n):\n    return n", "def f(n):\n    return n if n != 9173 else 0"]
    found = attacked(judge, problem, codes, by_mutation(problem, codes, 0), same=same_of(problem))
    assert [found.inputs[place] for place in found.parting] == ["[9173]"]


def test_batches_of_a_problem_without_known_inputs_end_or_go_on() -> None:
    whole = Problem("p", "Print something.")
    assert list(by_mutation(whole, ["print(1)"], 0)) == []
    assert len(next(by_mutation(Problem("p", "def f(x): ...", "f"), ["def f(x):\n    return x"], 0))) > 8


def test_where_all_hang_nobody_is_given_up(judge: Judge) -> None:
    code = "def f(xs):\n    while xs == [3, 3]:\n        pass\n    return {}"
    found = on(judge, code.format("sum(xs)"), code.format("sum(map(abs, xs))"))
    assert (found.hanging, [found.inputs[place] for place in found.parting]) == ((), ["[[-5, 2]]"])
    assert found.columns[1] == ("timeout", "timeout")
