"""Contest rows: several right answers by a checker; what cannot be judged here is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.formats.contests import codecontests, codecontests_plus, codeforces
from o1coder_gym.problems.formats.row_format import Origin
from o1coder_gym.sandbox import default_judge
from o1coder_gym.types import CheckerTest, Limits, Outcome, StdioTest, Submission

ROWS = Path(__file__).parent / "rows"
ORIGIN = Origin("mine", 0)


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ROWS / f"{name}.jsonl").read_text().splitlines()]


PLAIN, PARTS, _ = rows("codeforces")
PERMUTATION = """
def check(input, output, expected):
    n = int(input)
    words = output.split()
    if sorted(words, key=int) != [str(k) for k in range(1, n + 1)]:
        return False
    return all(abs(int(a) - int(b)) != 1 for a, b in zip(words, words[1:]))
"""
NEIGHBOURS = PARTS | {
    "id": "9001/D",
    "examples": [{"input": "4\n", "output": "2 4 1 3\n"}],
    "official_tests": [{"input": "4\n", "output": "2 4 1 3\n"}, {"input": "6\n", "output": "2 4 6 1 3 5\n"}],
    "generated_checker": PERMUTATION,
}


@pytest.mark.parametrize(
    ("row", "code", "right"),
    [
        (PARTS, "n = int(input())\nprint(n, 0)", True),
        (PARTS, "n = int(input())\nprint(0)\nprint(n)", True),
        (PARTS, "n = int(input())\nprint(n + 1000, -1000)", True),
        (PARTS, "n = int(input())\nprint(n // 2, n - n // 2)", True),
        (PARTS, "n = int(input())\nprint(n, 1)", False),
        (PARTS, "n = int(input())\nprint(n)", False),
        (PARTS, "n = int(input())\nprint(n, 0, 0)", False),
        (PARTS, "print('2 3')", False),
        (NEIGHBOURS, "n = int(input())\nprint(*range(2, n + 1, 2), *range(1, n + 1, 2))", True),
        (NEIGHBOURS, "n = int(input())\nprint(*range(n - 1, 0, -2), *range(n, 0, -2))", True),
        (NEIGHBOURS, "n = int(input())\nprint(*range(1, n + 1))", False),
        (NEIGHBOURS, "n = int(input())\nprint(*range(2, n + 1, 2), *range(2, n + 1, 2))", False),
        (NEIGHBOURS, "print('2 4 1 3')", False),
    ],
)
def test_every_right_answer_is_accepted_and_no_wrong_one(row: dict[str, Any], code: str, right: bool) -> None:
    found = codeforces(row, ORIGIN)
    exact = tuple(StdioTest(one["input"], one["output"], "codeforces") for one in row["official_tests"])
    checked, compared = default_judge().evaluate(
        [submission(found.problem, code, found.tests), Submission(code, None, exact)]
    )
    assert checked.outcome is (Outcome.PASS if right else Outcome.WRONG_ANSWER), checked
    if "range(2, n + 1, 2), *range(1" not in code:  # which is the answer of the row
        assert compared.outcome is Outcome.WRONG_ANSWER


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"interaction_format": "Ask with ? and read."}, "'interaction_format': interactive problems"),
        ({"interaction_format": "Print a guess, flush.", "input_mode": None}, "interactive problems are not"),
        ({"input_mode": "file"}, "'input_mode': 'file' is not supported"),
        ({"generated_checker": "def check("}, "'generated_checker': not Python"),
        ({"generated_checker": "#include <cstdio>\nint main() {}"}, "'generated_checker': not Python"),
        ({"official_tests": None, "examples": None}, "'official_tests': has no tests"),
        ({"official_tests": [], "examples": []}, "'official_tests': has no tests"),
        ({"official_tests": [{"input": "1"}]}, "official_tests"),
    ],
)
def test_what_cannot_be_judged_is_refused_by_name(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ProblemFileError, match=complaint):
        codeforces(PLAIN | changes, ORIGIN)


@pytest.mark.parametrize("changes", [{"input_file": "in.txt"}, {"output_file": "out.txt"}])
def test_programs_that_read_files_by_name_are_refused(changes: dict[str, str]) -> None:
    with pytest.raises(ProblemFileError, match="read or write files by name"):
        codecontests(rows("codecontests")[0] | changes, ORIGIN)


@pytest.mark.parametrize(
    ("checker", "kind"),
    [
        ("#include <testlib.h>\nint main() {}\n", StdioTest),
        ("# int main\n", StdioTest),
        (None, StdioTest),
        (PERMUTATION, CheckerTest),
    ],
)
def test_checkers_in_another_language_are_not_run(checker: str | None, kind: type) -> None:
    row = codecontests_plus(rows("codecontests+")[0] | {"checker": checker}, ORIGIN)
    assert {type(test) for test in row.tests} == {kind}


@pytest.mark.parametrize(
    ("time_limit", "memory_limit", "cpu_s", "mebibytes"),
    [(2.0, 256.0, 2.0, 512), (7.5, 1024.0, 7.5, 1024), (None, None, 2.0, 512), (4, 2048, 4.0, 2048)],
)
def test_limits_are_those_of_the_row_where_they_are_more_than_usual(
    time_limit: float | None, memory_limit: float | None, cpu_s: float, mebibytes: int
) -> None:
    row = codeforces(PLAIN | {"time_limit": time_limit, "memory_limit": memory_limit}, ORIGIN)
    limits = submission(row.problem, "", row.tests).limits
    assert (limits.cpu_s, limits.memory_bytes >> 20) == (cpu_s, mebibytes)
    assert limits.wall_s >= Limits().wall_s
