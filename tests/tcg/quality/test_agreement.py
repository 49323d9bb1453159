"""How far votes can be trusted, with voters whose errors are known."""

import json
from pathlib import Path

import pytest

from o1coder_gym.errors import UsageError
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.sandbox import Judge
from o1coder_gym.tcg.checking.selection import by_all_tests, execute
from o1coder_gym.tcg.loading import load_generator
from o1coder_gym.tcg.mutation import MutationGenerator
from o1coder_gym.tcg.quality.agreement import (
    PACKAGED,
    VotedTest,
    agreement_bins,
    calibrated,
    fit_agreement,
    packaged_calibration,
    share_right,
    voted_tests,
    write_calibration,
)
from o1coder_gym.types import CallTest, Problem

RIGHT = "def double(n):\n    return 2 * n"
ODD = "def double(n):\n    return 2 * n if n % 2 else n"
DOUBLE = ProblemRow(Problem("double", "Doubles: double(3) is 6, double(4) is 8.", "double"), (), RIGHT)


def voters(*codes: str) -> MutationGenerator:
    return MutationGenerator(JUDGE[0], solutions=lambda problem: codes)


JUDGE: list[Judge] = []


@pytest.fixture(autouse=True)
def _judge(judge: Judge) -> None:
    JUDGE[:] = [judge]


def test_agreement_travels_with_the_test(judge: Judge) -> None:
    made = voters(RIGHT, RIGHT, ODD).generate(DOUBLE.problem, 6)
    assert made.tests
    assert made.weights == (2 / 3,) * len(made.tests)
    judged = voted_tests(judge, [DOUBLE], [made])
    assert [one.right for one in judged] == [True] * len(made.tests)
    wrong = voters(ODD, ODD, RIGHT).generate(DOUBLE.problem, 6)
    judged = voted_tests(judge, [DOUBLE], [wrong])
    assert {one.right for one in judged} == {True, False}


def test_a_calibration_turns_shares_into_chances() -> None:
    voted = [VotedTest(str(n), 0.4, n < 2) for n in range(10)] + [
        VotedTest(str(n), 0.9, n < 9) for n in range(10)
    ]
    chance = fit_agreement(voted)
    assert (chance(0.4), chance(0.9)) == (pytest.approx(0.2), pytest.approx(0.9))
    assert [(one.score, one.target) for one in agreement_bins(voted)] == [
        (pytest.approx(0.4), pytest.approx(0.2)), (pytest.approx(0.9), pytest.approx(0.9)),
    ]  # fmt: skip
    assert share_right(voted).value == pytest.approx(11 / 20)
    with pytest.raises(UsageError, match="references"):
        fit_agreement([])


def test_a_calibrated_generator_gives_chances(judge: Judge) -> None:
    codes = (RIGHT, RIGHT, ODD)
    calibrated = MutationGenerator(judge, solutions=lambda problem: codes, calibration=lambda share: share**2)
    made = calibrated.generate(DOUBLE.problem, 3)
    assert made.weights == (pytest.approx(4 / 9),) * 3
    in_mode_a = calibrated.generate(DOUBLE.problem, 3, RIGHT)
    assert in_mode_a.weights == (1.0,) * 3


def test_a_program_that_wavers_has_no_vote(judge: Judge) -> None:
    wavering = "calls = []\ndef double(n):\n    calls.append(n)\n    return len(calls)"
    made = voters(wavering, wavering, RIGHT).generate(DOUBLE.problem, 4)
    assert {test.expected for test in made.tests if isinstance(test, CallTest)} <= {
        str(2 * n) for n in range(-2000, 2000)
    }
    assert made.weights == (1 / 3,) * len(made.tests)


def test_weights_count_in_the_choice(judge: Judge) -> None:
    tests = (CallTest("[1]", "2"), CallTest("[2]", "2"), CallTest("[4]", "4"))
    plain = execute(judge, DOUBLE.problem, [RIGHT, ODD], tests)
    assert by_all_tests(plain) == [1 / 3, 1.0]
    weighted = execute(judge, DOUBLE.problem, [RIGHT, ODD], tests, (1.0, 0.1, 0.1))
    assert by_all_tests(weighted) == [pytest.approx(1 / 1.2), 1.0]


def test_the_calibration_of_the_package_is_what_generators_use(judge: Judge) -> None:
    chance = packaged_calibration()
    found = [chance(votes / 8) for votes in range(9)]
    assert found == sorted(found)
    assert 0 <= found[0] <= found[-1] <= 1
    generator = load_generator("mutation", judge, solutions=lambda problem: (RIGHT, RIGHT, ODD))
    made = generator.generate(DOUBLE.problem, 3)
    assert made.weights == (pytest.approx(chance(2 / 3)),) * 3
    assert json.loads(PACKAGED.read_text()).keys() == {"share_to_chance", "fitted_on"}


def test_a_calibration_is_kept(tmp_path: Path) -> None:
    voted = [VotedTest(str(n), share, n < right) for share, right in ((0.5, 4), (1.0, 9)) for n in range(10)]
    fitted, path = fit_agreement(voted), tmp_path / "agreement.json"
    write_calibration(fitted, ["votes.jsonl"], 10, path)
    kept = packaged_calibration(path)
    assert [kept(share) for share in (0.2, 0.5, 0.75, 1.0)] == pytest.approx([0.4, 0.4, 0.65, 0.9])
    assert json.loads(path.read_text())["fitted_on"] == {"programs": ["votes.jsonl"], "problems": 10}
    assert sorted({one.weight for one in calibrated(voted, kept)}) == pytest.approx([0.4, 0.9])
