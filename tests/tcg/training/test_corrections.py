"""Pairs of a model's own mistakes: the same inputs, its outputs against those of the reference."""

from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.sandbox import Judge
from o1coder_gym.tcg.training.corrections import build_corrections
from o1coder_gym.tcg.training.dataset import DatasetSettings
from o1coder_gym.types import AssertTest, CallTest, Problem, TestCase

SETTINGS = DatasetSettings(cases=2, rows_per_problem=2, validation=0.0)


def row(task_id: str, code: str | None = "def double(n):\n    return 2 * n") -> ProblemRow:
    return ProblemRow(Problem(task_id, "Double it.", "double"), (), code)


def case(n: int, output: int) -> CallTest:
    return CallTest(f"[{n}]", str(output))


def test_the_reference_corrects_what_was_written(judge: Judge) -> None:
    tests: tuple[TestCase, ...] = (
        case(1, 2),
        CallTest("[]", "0"),  # the reference fails on it
        case(2, 5),
        case(1, 9),  # an input that came before
        AssertTest("assert double(7)"),  # no case that can be read
        case(3, 6),
        case(4, 8),
        case(5, 10),
    )
    found = build_corrections(judge, [row("a"), row("b"), row("c", None)], {"a": tests}, SETTINGS)
    answers = [one["completion"][0]["content"] for one in found.sft]
    assert answers == [
        "assert double(1) == 2\nassert double(2) == 4\n",
        "assert double(3) == 6\nassert double(4) == 8\n",
    ]
    (pair,) = found.dpo
    assert pair["chosen"][0]["content"] == answers[0]
    assert pair["rejected"][0]["content"] == "assert double(1) == 2\nassert double(2) == 5\n"
    assert pair["prompt"] == found.sft[0]["prompt"]
    assert dict(found.drops) == {
        "case: the solution fails on its input": 1,
        "pair: all outputs are right": 1,
        "problem: nothing was written that can be read": 1,
        "problem: no solution": 1,
    }
