"""Each row format: told by its fields, read, documented, and judged with right and wrong programs."""

import json
from pathlib import Path

import pytest

from o1coder_gym.problems import load_rows, problem_row_from_json, problem_row_to_json
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.formats.row_format import Origin
from o1coder_gym.problems.formats.telling import converter_for, converter_named
from o1coder_gym.sandbox import default_judge
from o1coder_gym.specs import registry
from o1coder_gym.types import Outcome

ROWS = Path(__file__).parent / "rows"
FIXTURES = {path.stem: path for path in sorted(ROWS.glob("*.jsonl"))}
FORMATS = {"taco-verified": "taco"}
"""Formats of fixtures that have another name."""

DOCS = Path(__file__).parents[3] / "docs" / "data_formats.md"

ADD = "a, b = map(int, input().split())\nprint(a + b)\n"
THEATRE = "for _ in range(int(input())):\n    print(input().count('.'))\n"
PARTS = "n = int(input())\nprint(n - 1, 1)\n"
HALF = "print(int(input()) / 2)\n"
GAP = "def widest_gap(n):\n    n = sorted(n)\n    return max((b - a for a, b in zip(n, n[1:])), default=0)\n"
LABEL = "def label(word, times):\n    return '-'.join([word] * times)\n"
METHOD = (
    "class Solution:\n    def widestGap(self, nums: List[int]) -> int:\n"
    "        nums.sort()\n        return max((b - a for a, b in pairwise(nums)), default=0)\n"
)
PROGRAMS = {
    "acecode/a_2": "def total(a, b):\n    return a + b\n",
    "apps/3": THEATRE,
    "codecontests/3_C. Only C++": ADD,
    "codecontests+/3_C": ADD,
    "codecontests-o/1_A. Ferries": ADD,
    "codecontests-o/2_B. Theatre": THEATRE,
    "codecontests-o/4_D. Two parts": PARTS,
    "codeforces/9001/A": ADD,
    "codeforces/9001/B": PARTS,
    "codeforces/9001/C": HALF,
    "deepcoder/3": METHOD,
    "deepcoder/4": THEATRE,
    "livecodebench/ferries": ADD,
    "livecodebench/widest-gap": METHOD,
    "livecodebench/theatre": THEATRE,
    "nemo-gym/h0": ADD,
    "nemo-gym/h1": LABEL,
    "nemo-gym/h2": THEATRE,
    "prime-intellect/vfc_2": THEATRE,
    "rstar/seed_1": ADD,
    "rstar/seed_2": METHOD,
    "rstar/seed_3": THEATRE,
    "verl/1": LABEL,
    "verl/2": GAP,
}
"""Right programs of rows whose format has no reference, or whose row has none."""


def wrong_program(problem):
    """Returns a program that loads and answers everything with the same nonsense."""
    if problem.entry_point is None:
        return "print('nonsense')\n"
    return f"def {problem.entry_point}(*args, **kwargs):\n    return 'nonsense'\n"


@pytest.fixture(scope="module")
def verdicts():
    """Judges all in one batch: for each format its rows with the verdicts on a right and a wrong program."""
    rows = [(name, row) for name, path in FIXTURES.items() for row in load_rows(path)]
    asked = []
    for _, row in rows:
        right = row.reference or PROGRAMS[row.problem.task_id]
        asked += [submission(row.problem, code, row.tests) for code in (right, wrong_program(row.problem))]
    found = iter(default_judge().evaluate(asked))
    judged = {name: [] for name in FIXTURES}
    for name, row in rows:
        judged[name].append((row, next(found), next(found)))
    return judged


IN_USE = {
    **dict.fromkeys(["livecodebench", "livecodebench-verified", "bigcodebench", "humaneval-pro"]),
    **dict.fromkeys(["codecontests", "codecontests+", "codecontests-o", "codeforces", "acecode", "kodcode"]),
    **dict.fromkeys(["rstar", "deepcoder", "prime-intellect", "verl", "nemo-gym", "leetcode", "cruxeval"]),
    "mbpp-pro": "humaneval-pro",
    "taco-verified": "taco",
}
"""What this field trains and measures on, and the format of its rows where that is another's."""


@pytest.mark.parametrize("name", IN_USE)
def test_what_is_in_use_is_read(name):
    assert len(IN_USE) == 19
    row_format = IN_USE[name] or name
    assert registry.find("problems", row_format).object().fields
    assert name in FIXTURES or row_format in FIXTURES


def test_every_format_has_a_fixture():
    told = {name for name, row_format in registry.usable("problems") if row_format.fields}
    assert told <= FIXTURES.keys()


@pytest.mark.parametrize("name", FIXTURES)
def test_the_format_is_told_by_the_fields(name):
    for line in FIXTURES[name].read_text().splitlines():
        told = converter_for(json.loads(line))
        assert told is converter_named(FORMATS.get(name) or name)


@pytest.mark.parametrize("name", FIXTURES)
def test_right_programs_pass_and_wrong_ones_fail(name, verdicts):
    for row, right, wrong in verdicts[name]:
        assert right.outcome is Outcome.PASS, (row.problem.task_id, right)
        assert right.total == len(row.tests) > 0
        assert wrong.outcome in (Outcome.WRONG_ANSWER, Outcome.RUNTIME_ERROR), (row.problem.task_id, wrong)


@pytest.mark.parametrize("name", FIXTURES)
def test_rows_survive_the_way_to_this_project_s_own_file(name):
    for row in load_rows(FIXTURES[name]):
        assert problem_row_from_json(json.loads(json.dumps(problem_row_to_json(row)))) == row


@pytest.mark.parametrize("name", FIXTURES)
def test_the_public_part_tells_nothing_hidden(name):
    for row in load_rows(FIXTURES[name]):
        shown = repr(row.problem)
        assert row.reference is None or row.reference not in shown
        hidden = set(row.tests) - set(row.problem.public_tests)
        assert hidden or row.tests == row.problem.public_tests


@pytest.mark.parametrize("name", [name for name in registry.entries("problems") if name != "native"])
def test_each_format_has_a_line_in_the_documentation(name):
    (line,) = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{name}` |")]
    row_format = registry.find("problems", name).object()
    assert all(f"`{field}`" in line for field in row_format.fields)


def optional_fields():
    """Pairs of a format and a field that its rows may have null."""
    names = ("metadata", "starter_code", "difficulty", "solutions", "time_limit", "inferences", "test_info")
    for fixture, path in FIXTURES.items():
        row_format = registry.find("problems", FORMATS.get(fixture) or fixture).object()
        given = json.loads(path.read_text().splitlines()[0]).keys() & set(names) - row_format.fields
        yield from ((fixture, name) for name in sorted(given))


@pytest.mark.parametrize(("name", "field"), list(optional_fields()))
def test_null_is_none_in_optional_fields(name, field):
    first = json.loads(FIXTURES[name].read_text().splitlines()[0])
    convert = converter_named(FORMATS.get(name) or name)
    assert convert(first | {field: None}, Origin(name, 0)).tests
