"""Answers of a run on other tests: what is judged anew, what stays, and what is left out and told."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.errors import JournalError, UsageError
from o1coder_gym.experiments.benchmark import JUDGE_FAILED
from o1coder_gym.experiments.measures.rejudging import rejudge
from o1coder_gym.problems.loading import problem_row_to_json
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.comparison import comparisons
from o1coder_gym.reporting.results import FAILURES, RESULTS, ResultRow, read_results
from o1coder_gym.runs.budget import Budget
from o1coder_gym.sandbox import default_judge
from o1coder_gym.types import AssertTest, Outcome, Problem, Submission, Usage, Verdict

RIGHT, NEARLY = "def double(x):\n    return x + x", "def double(x):\n    return 2 * abs(x)"
"""Both pass the tests of the run; the second fails on what is below 0."""

BUDGETS = (Budget(flops=4e11), Budget(flops=2e12))


def row(task_id: str, agent: str, code: str | None, **other: Any) -> ResultRow:
    """A row of a run in which each program passed its one hidden test."""
    outcome = Outcome.PASS if code else None
    found = ResultRow(
        task_id, agent, 0, outcome, int(bool(code)), 1, 0.5, code, 2, Usage(tokens=7), problems="base"
    )
    return replace(found, run="a run", policy="hf:p", format="vanilla", version="0.1", **other)


def of_run(folder: Path, *rows: ResultRow) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in (RESULTS, FAILURES):
        lines = [json.dumps(one.to_row()) + "\n" for one in rows if bool(one.error) == (name == FAILURES)]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture
def plus(tmp_path: Path) -> str:
    """The plus set: two tests of each problem, but not all problems."""
    tests = (AssertTest("assert double(2) == 4"), AssertTest("assert double(-2) == -4"))
    rows = [ProblemRow(Problem(f"p/{number}", "Double x.", "double"), tests=tests) for number in range(8)]
    path = tmp_path / "plus.jsonl"
    path.write_text("".join(json.dumps(problem_row_to_json(one)) + "\n" for one in rows))
    return str(path)


def test_rows_keep_all_but_what_tests_say(tmp_path: Path, plus: str) -> None:
    rows = [
        row("p/0", "greedy", RIGHT, budget=BUDGETS[0], capped=True, parameters=5),
        row("p/0", "greedy", NEARLY, budget=BUDGETS[1]),
        row("p/1", "greedy", None, budget=BUDGETS[0], cut=True),
    ]
    made = rejudge(of_run(tmp_path / "run", *rows), tmp_path / "out", plus)
    assert read_results(tmp_path / "out") == list(made.results)
    assert [(one.outcome, one.passed, one.total) for one in made.results] == [
        (Outcome.PASS, 2, 2),
        (Outcome.WRONG_ANSWER, 1, 2),
        (None, 0, 2),
    ]
    decided = ("outcome", "passed", "total", "problems", "run", "version")
    kept = [{name: value for name, value in one.to_row().items() if name not in decided} for one in rows]
    found = [one.to_row() for one in made.results]
    assert [{name: one[name] for name in kept[place]} for place, one in enumerate(found)] == [
        one | {"solved": place == 0} for place, one in enumerate(kept)
    ]
    assert {one.problems for one in made.results} == {plus}
    assert made.notes == ("1 row without a program, not solved",)
    assert (tmp_path / "out" / "report.html").exists()


def test_results_on_other_tests_compare_in_pairs_over_all_problems(tmp_path: Path, plus: str) -> None:
    tasks = [f"p/{number}" for number in range(8)]
    rows = [row(task, "mcts", RIGHT) for task in tasks[:6]]
    rows += [row(task, "mcts", None) for task in tasks[6:]]
    rows += [row(task, "greedy", NEARLY) for task in tasks]
    made = rejudge(of_run(tmp_path / "run", *rows), tmp_path / "out", plus)
    (one,) = comparisons(made.results, "greedy").values()
    # The two without a program are still problems: 6 of 8, and not 6 of 6.
    assert (one.difference.count, one.solved_a, one.solved_b, one.differing) == (8, 0.75, 0.0, 6)


def test_problems_that_the_set_lacks_and_the_oracle_are_left_out_and_told(tmp_path: Path, plus: str) -> None:
    rows = [row(task, "greedy", RIGHT) for task in ("p/0", "q/1", "q/2")]
    rows += [row("q/1", "oracle", RIGHT), row("p/0", "oracle", RIGHT)]
    made = rejudge(of_run(tmp_path / "run", *rows), tmp_path / "out", plus)
    assert [(one.task_id, one.agent) for one in made.results] == [("p/0", "greedy")]
    assert made.unknown == {"base": ("q/1", "q/2")}
    assert made.notes == (
        "left out: 3 rows on problems that are not in the set: 2 problems of base (q/1, q/2)",
        "left out: 1 row of the oracle, which chose by the run's own hidden tests",
    )
    assert made.notes[0] in (tmp_path / "out" / "report.md").read_text()
    with pytest.raises(UsageError, match="none of its problems"):
        rejudge(of_run(tmp_path / "other", rows[1]), tmp_path / "nothing", plus)
    assert not (tmp_path / "nothing").exists()


def test_rows_of_two_runs_with_one_setting_stay_two(tmp_path: Path, plus: str) -> None:
    rows = [row("p/0", "greedy", RIGHT), replace(row("p/0", "greedy", NEARLY), run="another run")]
    for place, one in enumerate(rows):
        of_run(tmp_path / "suite" / str(place), one)
    made = rejudge(tmp_path / "suite", tmp_path / "out", plus)
    assert [one.solved for one in made.results] == [True, False]
    assert len(read_results(tmp_path / "out")) == 2


def test_failures_stay_apart_and_are_written_once(tmp_path: Path, plus: str) -> None:
    failed = row("p/1", "greedy", None, error="PolicyError: gone")
    run = of_run(tmp_path / "run", row("p/0", "greedy", RIGHT), failed)
    for resume in (False, True):
        made = rejudge(run, tmp_path / "out", plus, resume=resume)
        assert [one.error for one in made.results] == ["", "PolicyError: gone"]
        assert made.notes == ("1 row without an answer, for the search failed",)
        for name in (RESULTS, FAILURES):
            assert len((tmp_path / "out" / f"{name}.jsonl").read_text().splitlines()) == 1
    of_run(tmp_path / "run", row("p/0", "greedy", RIGHT), row("p/1", "greedy", RIGHT))  # it was tried again
    made = rejudge(run, tmp_path / "out", plus, resume=True)
    assert [one.solved for one in read_results(tmp_path / "out")] == [True, True]


class Failing:
    """Fails on a program."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.asked = 0

    def evaluate(self, submissions: Sequence[Submission], **options: Any) -> list[Verdict]:
        self.asked += len(submissions)
        found = default_judge().evaluate(submissions)
        return [
            Verdict(Outcome.INFRASTRUCTURE) if one.code == self.code else verdict
            for one, verdict in zip(submissions, found, strict=True)
        ]


def test_what_the_judge_failed_on_is_tried_again_and_nothing_else(tmp_path: Path, plus: str) -> None:
    run = of_run(tmp_path / "run", row("p/0", "greedy", RIGHT), row("p/1", "greedy", NEARLY))
    made = rejudge(run, tmp_path / "out", plus, judge=Failing(NEARLY))
    assert [one.error for one in made.results] == ["", JUDGE_FAILED]
    assert made.undecided == 1
    again = Failing("none")
    made = rejudge(run, tmp_path / "out", plus, judge=again, resume=True)
    assert (again.asked, made.undecided) == (1, 0)
    assert [one.outcome for one in read_results(tmp_path / "out")] == [Outcome.PASS, Outcome.WRONG_ANSWER]


def test_a_row_that_the_judge_of_the_run_failed_on_is_judged(tmp_path: Path, plus: str) -> None:
    undecided = replace(row("p/0", "greedy", RIGHT, error=JUDGE_FAILED), outcome=Outcome.INFRASTRUCTURE)
    made = rejudge(of_run(tmp_path / "run", undecided), tmp_path / "out", plus)
    assert [(one.outcome, one.error) for one in made.results] == [(Outcome.PASS, "")]


def test_an_answer_that_the_run_has_no_longer_is_not_judged_by_what_was_said_of_it(
    tmp_path: Path, plus: str
) -> None:
    run = of_run(tmp_path / "run", row("p/0", "greedy", RIGHT), row("p/1", "greedy", RIGHT))
    rejudge(run, tmp_path / "out", plus)
    of_run(run, row("p/0", "greedy", NEARLY))  # sampled again, and the other one not yet
    made = rejudge(run, tmp_path / "out", plus, resume=True)
    assert [(one.task_id, one.outcome) for one in made.results] == [("p/0", Outcome.WRONG_ANSWER)]
    assert read_results(tmp_path / "out") == list(made.results)


def test_folders_are_kept_apart(tmp_path: Path, plus: str) -> None:
    run = of_run(tmp_path / "run", row("p/0", "greedy", RIGHT))
    for out in (run, run / "plus", tmp_path):
        with pytest.raises(UsageError, match="one is in the other"):
            rejudge(run, out, plus)
    rejudge(run, tmp_path / "out", plus)
    with pytest.raises(JournalError):
        rejudge(run, tmp_path / "out", plus)
