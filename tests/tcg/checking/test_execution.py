"""What programs are seen to do: what ran has its own outcome, and what did not run is run again."""

import pytest

from o1coder_gym.sandbox import Judge
from o1coder_gym.tcg.adversary.report import attack_programs
from o1coder_gym.tcg.checking.execution import UNFINISHED, Observation, Program, observe
from o1coder_gym.types import CallTest, Outcome, Problem
from tests.tcg.conftest import HastyJudge

PROBLEM = Problem("p", "def f(x):\n    'Return x.'\n", "f", (CallTest("[3]", "3"),))
INPUTS = ("[1]", "[-1]", "[-2]", "[2]", "[-3]")
EXITS = "import os\ndef f(x):\n    if x < 0:\n        os._exit(0)\n    return x"
KILLED = "import os\ndef f(x):\n    if x < 0:\n        os.kill(os.getpid(), 9)\n    return x"
LARGE = "def f(x):\n    return len([0] * 10**11) if x < 0 else x"


def outcomes(judge: Judge | HastyJudge, code: str, *, rounds: int = 1) -> list[Observation]:
    return observe(judge, [Program(PROBLEM, code, INPUTS)], rounds=rounds)[0]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(EXITS, Outcome.RUNTIME_ERROR), (KILLED, Outcome.RUNTIME_ERROR), (LARGE, Outcome.MEMORY)],
)
def test_each_input_has_the_outcome_that_it_has_alone(judge: Judge, code: str, outcome: Outcome) -> None:
    seen = outcomes(judge, code)
    assert [one.output for one in seen] == ["1", None, None, "2", None]
    assert [seen[place].outcome for place in (1, 2, 4)] == [outcome] * 3


@pytest.mark.parametrize("code", [EXITS, KILLED, LARGE])
def test_a_program_that_ends_its_process_is_parted_and_is_no_noise(judge: Judge, code: str) -> None:
    codes = ["def f(x):\n    return x", "def f(x):\n    return x + 0", code]
    _, found, ruled = attack_programs(judge, PROBLEM, codes)
    assert (found.partition.classes, found.noisy) == (((0, 1), (2,)), {})
    assert ruled[0].output == ruled[0].input[1:-1]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("def f(x:\n", Outcome.COMPILE_ERROR),
        ("raise ValueError\ndef f(x):\n    return x", Outcome.RUNTIME_ERROR),
        ("rows = [0] * 10**11\ndef f(x):\n    return x", Outcome.MEMORY),
        ("import os\nos._exit(3)", Outcome.RUNTIME_ERROR),
    ],
)
def test_a_program_that_does_not_load_fails_on_each_input(judge: Judge, code: str, outcome: Outcome) -> None:
    assert [(one.output, one.outcome) for one in outcomes(judge, code)] == [(None, outcome)] * len(INPUTS)


def test_only_hanging_is_given_up(hasty: HastyJudge) -> None:
    code = "def f(x):\n    while x < 0:\n        pass\n    return x"
    once = outcomes(hasty, code)
    assert [one.output for one in once] == ["1", *[None] * 4]
    assert (once[1].outcome, once[2:]) == (Outcome.TIMEOUT, [UNFINISHED] * 3)
    twice = outcomes(hasty, code, rounds=2)
    assert twice[2] != UNFINISHED
    assert twice[3:] == [UNFINISHED] * 2
    assert [one.output for one in outcomes(hasty, code, rounds=3)] == ["1", None, None, "2", None]


def test_results_that_are_too_large_together_are_each_taken_alone(judge: Judge) -> None:
    code = "def f(x):\n    return 'a' * 600_000"  # of 1 MiB that one process may answer
    assert {one.outcome for one in outcomes(judge, code)} == {Outcome.PASS}


def test_programs_that_print_have_a_process_an_input(hasty: HastyJudge) -> None:
    program = Program(
        Problem("p", "Echo."), "x = int(input())\nwhile x < 0:\n    pass\nprint(x)", ("1\n", "-1\n")
    )
    first, second = observe(hasty, [program])[0]
    assert (first.output, second.outcome) == ("1\n", Outcome.TIMEOUT)
    assert second != UNFINISHED
