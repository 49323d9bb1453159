"""Micro-problems: ordinary rows whose hidden tests tell right programs from slips."""

import random
from pathlib import Path

from o1coder_gym.experiments.micro.operations import OPERATIONS, Stage, program, run
from o1coder_gym.experiments.micro.problems import draw_pipelines, micro_rows, write_rows
from o1coder_gym.experiments.micro.traces import trace
from o1coder_gym.problems.loading import load_problems, load_rows
from o1coder_gym.sandbox import Judge
from o1coder_gym.types import ActionType, Outcome, Submission

PIPELINE = (Stage("odd"), Stage("add", 3), Stage("largest"))


def test_a_pipeline_by_hand() -> None:
    # odd of [4, 5, -3, 8] is [5, -3]; plus 3 is [8, 0]; the largest is 8
    assert run(PIPELINE, [4, 5, -3, 8]) == 8
    assert run(PIPELINE, []) == 0
    assert program(PIPELINE).splitlines() == [
        "def solve(values):",
        "    values = [v for v in values if v % 2 == 1]",
        "    values = [v + 3 for v in values]",
        "    return max(values, default=0)",
    ]


def test_every_confusion_is_an_operation_of_the_same_kind() -> None:
    for operation in OPERATIONS.values():
        other = OPERATIONS[operation.confusion]
        assert other is not operation
        assert other.numbered == operation.numbered


def test_rows_make_a_problem_file_with_splits_apart(tmp_path: Path) -> None:
    rows = micro_rows({"train": 5, "test": 3}, seed=1)
    assert rows == micro_rows({"train": 5, "test": 3}, seed=1)
    assert rows != micro_rows({"train": 5, "test": 3}, seed=2)
    write_rows(rows, tmp_path / "problems.jsonl")
    assert list(load_rows(tmp_path / "problems.jsonl")) == rows
    assert len(load_problems(tmp_path / "problems.jsonl", split="test")) == 3
    assert len({row.problem.prompt for row in rows}) == 8
    assert draw_pipelines(8, 1)[:5] == draw_pipelines(5, 1)


def test_hidden_tests_pass_the_reference_and_fail_a_slip() -> None:
    rows = micro_rows({"train": 6}, seed=3)
    slips = [
        (*pipeline[:-1], pipeline[-1].mistaken())
        if pipeline[-1].name != "list"
        else (pipeline[0].mistaken(), *pipeline[1:])
        for pipeline in draw_pipelines(6, 3)
    ]
    with Judge(2) as judge:
        right = judge.evaluate([Submission(row.reference or "", "solve", row.tests) for row in rows])
        pairs = zip(rows, slips, strict=True)
        wrong = judge.evaluate([Submission(program(slip), "solve", row.tests) for row, slip in pairs])
        shown = judge.evaluate(
            [Submission(row.reference or "", "solve", row.problem.public_tests) for row in rows]
        )
    assert {verdict.outcome for verdict in (*right, *shown)} == {Outcome.PASS}
    assert Outcome.PASS not in {verdict.outcome for verdict in wrong}


def test_a_slip_is_made_in_the_refine_step_and_the_code_follows_it() -> None:
    define, refine, code = trace(PIPELINE)
    assert define.text == "keep odd\nadd 3\nreturn largest"
    assert refine.text == "keep odd: v % 2 == 1\nadd 3: v + 3\nreturn largest: max(values, default=0)"
    assert (code.type, code.text) == (ActionType.CODE, program(PIPELINE))
    generator = random.Random(0)
    traces = [trace(PIPELINE, generator) for _ in range(400)]
    assert {steps[0] for steps in traces} == {define}
    odd = sum("v % 2 == 1" in steps[-1].text for steps in traces) / len(traces)
    assert 0.3 < odd < 0.5  # 1 − 0.6
    assert all(steps[1].text.split("\n")[0][-10:] in steps[2].text for steps in traces if len(steps) == 3)
