"""Training data: real derangements, verified cases, splits by problem, counted drops."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o1coder_gym.errors import O1CoderError
from o1coder_gym.problems.likeness.identity import split_of
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.sandbox import Judge
from o1coder_gym.tcg.reading.parsing import parse_tests
from o1coder_gym.tcg.training.data_card import read_split, write_dataset
from o1coder_gym.tcg.training.dataset import DatasetSettings, build_dataset, cases_of
from o1coder_gym.tcg.training.shuffled_outputs import derange, mismatched
from o1coder_gym.types import AssertTest, CallTest, CheckTest, Outcome, Problem, StdioTest, Submission

CODE = "def double(n):\n    return 2 * n"


def row(task_id: str, *tests: tuple[str, str], code: str | None = CODE) -> ProblemRow:
    cases = tuple(CallTest(args, expected) for args, expected in tests)
    return ProblemRow(Problem(task_id, f"Double it ({task_id}).", "double"), cases, code)


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=5), st.integers(0, 99))
def test_a_derangement_moves_every_output_to_another_one(outputs: list[str], seed: int) -> None:
    found = derange(outputs, str.__eq__, random.Random(seed))
    most = max(outputs.count(output) for output in outputs)
    assert (found is None) == (2 * most > len(outputs))
    if found is not None:
        assert sorted(found) == sorted(outputs)
        assert all(new != old for new, old in zip(found, outputs, strict=True))


@pytest.mark.parametrize(
    "outputs",
    [
        ("1", "1.0", "1"),
        ("True", "True", "False"),
        ("{1, 2}", "{2, 1}", "{1, 2}"),
        ("0.5", "0.5", "0"),
    ],
)
def test_outputs_that_the_judge_takes_for_equal_do_not_mismatch(outputs: tuple[str, ...]) -> None:
    cases = [CallTest(f"[{index}]", output) for index, output in enumerate(outputs)]
    assert mismatched(cases, "f", random.Random(0)) is None


def test_exchanged_cases_keep_their_inputs() -> None:
    cases = [CallTest("[1]", "2"), CallTest("[2]", "4"), CallTest("[3]", "6")]
    exchanged = mismatched(cases, "double", random.Random(0))
    assert exchanged is not None
    assert [case.args for case in exchanged if isinstance(case, CallTest)] == ["[1]", "[2]", "[3]"]
    programs = [StdioTest("1\n", "2\n"), StdioTest("2\n", "4\n")]
    assert mismatched(programs, None, random.Random(0)) == (StdioTest("1\n", "4\n"), StdioTest("2\n", "2\n"))


def test_cases_are_read_from_all_kinds_of_tests() -> None:
    tests = (
        AssertTest("assert f(1) == 2\nassert sorted(f(3)) == [1]"),
        CheckTest("def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(1) == 2"),
        CallTest("[3]", "6"),
        StdioTest("1\n", "2\n"),
    )
    assert cases_of(tests, "f") == [CallTest("[1]", "2"), CallTest("[2]", "4"), tests[2], tests[3]]


def test_rows_and_pairs_are_verified_by_running(judge: Judge) -> None:
    rows = [row("good", ("[1]", "2"), ("[2]", "4"), ("[3]", "6"), ("[4]", "9"), ("[5]", "10"))]
    dataset = build_dataset(judge, rows, settings=DatasetSettings(rows_per_problem=3))
    assert len(dataset.sft) == len(dataset.dpo) == 3
    assert dataset.drops["case: fails on the solution"] == 1
    for pair in dataset.dpo:
        answers = [parse_tests(pair[side][0]["content"], "double").tests for side in ("chosen", "rejected")]
        verdicts = judge.evaluate([Submission(CODE, "double", tests) for tests in answers])
        assert [one.outcome for one in verdicts[0].tests] == [Outcome.PASS] * 3
        assert [one.outcome for one in verdicts[1].tests] == [Outcome.WRONG_ANSWER] * 3
    texts = {row["completion"][0]["content"] for row in dataset.sft}
    assert len(texts) == 3
    assert "[4]" not in "".join(texts)
    assert "### Code Part\ndef double(n):" in dataset.sft[0]["prompt"][0]["content"]


def test_reasons_for_drops_are_counted(judge: Judge) -> None:
    rows = [
        row("no solution", ("[1]", "2"), ("[2]", "4"), ("[3]", "6"), code=None),
        row("few", ("[1]", "2"), ("[1]", "2"), ("[2]", "4")),
        row("broken", ("[1]", "2"), ("[2]", "4"), ("[3]", "6"), code="def double(n:"),
        row("alike", ("[0]", "0"), ("[0.0]", "0.0"), ("[-0.0]", "0.0")),
    ]
    dataset = build_dataset(judge, rows)
    assert {reason: count for reason, count in dataset.drops.items() if count} == {
        "problem: no solution": 1,
        "problem: too few cases": 1,
        "case: fails on the solution": 3,
        "problem: too few cases pass on the solution": 1,
        "pair: no order of the outputs mismatches": 1,
    }
    assert [one["task_id"] for one in dataset.sft] == ["alike"]
    assert dataset.dpo == []


def test_mode_b_shows_no_code_and_solutions_are_drawn(judge: Judge) -> None:
    rows = [row("good", ("[1]", "2"), ("[2]", "4"), ("[3]", "6"), code=None)]
    dataset = build_dataset(
        judge,
        rows,
        solutions={"good": ["def double(n):\n    return n + n"]},
        settings=DatasetSettings(with_code=False),
    )
    assert "Code Part" not in dataset.sft[0]["prompt"][0]["content"]


def test_further_tests_give_further_rows(judge: Judge) -> None:
    rows = [row("good", ("[1]", "2"), ("[2]", "4"))]
    assert build_dataset(judge, rows).sft == []
    further = {"good": (CallTest("[7]", "14"), CallTest("[8]", "16"))}
    assert len(build_dataset(judge, rows, further_tests=further).sft) == 4


def test_a_problem_is_in_one_split_whatever_else_is_there() -> None:
    problems = [Problem("p", f"Return the {index} smallest numbers of a list.") for index in range(2000)]
    validation = [problem for problem in problems if split_of(problem, 0.1) == "validation"]
    assert 150 < len(validation) < 250
    assert {split_of(problem, 0.3) for problem in validation} == {"validation"}
    assert {split_of(problem, 0.0) for problem in problems} == {"train"}


def test_files_and_card(judge: Judge, tmp_path: Path) -> None:
    tests = tuple((f"[{n}]", str(2 * n)) for n in range(5))
    rows = [row(f"task/{index}", *tests) for index in range(12)]
    dataset = build_dataset(judge, rows, settings=DatasetSettings(validation=0.4))
    written = write_dataset(tmp_path, dataset, ["mine"])
    assert [path.name for path in written] == [
        "sft-train.jsonl", "sft-validation.jsonl", "dpo-train.jsonl", "dpo-validation.jsonl", "README.md",
    ]  # fmt: skip
    train, validation = (read_split(tmp_path, "sft", split) for split in ("train", "validation"))
    assert train + validation == sorted(dataset.sft, key=lambda one: one["split"])
    assert not {one["task_id"] for one in train} & {one["task_id"] for one in validation}
    card = written[-1].read_text()
    assert f"| sft-train.jsonl | {len(train)} | {len(train) // 4} |" in card
    assert json.dumps({"cases": 3})[1:-1] in card


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(O1CoderError, match="o1coder tcg data"):
        read_split(tmp_path, "sft", "train")


def test_no_target_stands_in_the_prompt(judge: Judge) -> None:
    cases = (("[1]", "2"), ("[2]", "4"), ("[3]", "6"), ("[4]", "8"), ("[5]", "10"))
    shown = Problem("p", "Double it: double(3) is 6.", "double", (CallTest("[1]", "2"),))
    rows = [ProblemRow(shown, tuple(CallTest(*case) for case in cases), CODE)]
    dataset = build_dataset(judge, rows)
    assert dataset.drops["case: the question shows it"] == 2
    text = "".join(one["completion"][0]["content"] for one in dataset.sft)
    assert "double(2)" in text
    assert "double(1)" not in text
    assert "double(3)" not in text


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("Add 100.\n\nSample Input\n2\n\nSample Output\n102\n", ()),
        ("Add 100.\n\nInput:\n2\nOutput:\n102", ()),
        ("Add 100.", (StdioTest("2", "102"),)),
    ],
)
def test_no_target_of_a_program_stands_in_the_prompt(
    judge: Judge, prompt: str, shown: tuple[StdioTest, ...]
) -> None:
    tests = tuple(StdioTest(f"{n}\n", f"{n + 100}\n") for n in range(2, 6))
    rows = [ProblemRow(Problem("p", prompt, None, shown), tests, "print(int(input()) + 100)")]
    dataset = build_dataset(judge, rows)
    assert dataset.drops["case: the question shows it"] == 1
    assert len(dataset.sft) == 1


def test_tolerances_are_kept_and_rows_pass_as_they_were_written(judge: Judge) -> None:
    third = Problem("third", "A third of it, nearly.", "third")
    tests = tuple(CallTest(f"[{n}]", f"{n / 3:.3f}", 0.01) for n in (1, 2, 4, 5))
    dataset = build_dataset(judge, [ProblemRow(third, tests, "def third(n):\n    return n / 3")])
    assert len(dataset.sft) == 4
    text = dataset.sft[0]["completion"][0]["content"]
    assert text.count("assert abs(third(") == 3
    for one in dataset.sft:
        written = parse_tests(one["completion"][0]["content"], "third").tests
        code = "def third(n):\n    return n / 3"
        assert judge.evaluate([Submission(code, "third", written)])[0].outcome is Outcome.PASS


def test_what_cannot_be_written_is_left_out_and_counted(judge: Judge) -> None:
    halves = Problem("halves", "Halves of them, nearly.", "halves")
    code = "def halves(values):\n    return [value / 2 for value in values]"
    near = tuple(CallTest(f"[[{n}]]", f"[{n / 2}]", 0.1) for n in (1, 2, 3))
    dataset = build_dataset(judge, [ProblemRow(halves, near, code)])
    assert dataset.sft == []
    assert dataset.drops["case: its comparison cannot be written"] == 3
