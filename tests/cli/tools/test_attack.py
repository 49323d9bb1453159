import json
import re
from pathlib import Path

import pytest

from o1coder_gym.tcg.store import read_generated
from o1coder_gym.types import CallTest

SOLUTIONS = [
    {"task_id": "toy/square", "code": "def square(x):\n    return x * x"},
    {"task_id": "toy/square", "solution_id": "twice", "code": "def square(x):\n    return 2 * x"},
    {"task_id": "toy/square", "solution_id": "power", "code": "def square(x):\n    return x ** 2"},
    {
        "task_id": "toy/square",
        "solution_id": "random",
        "code": "import random\nsquare = lambda x: random.random()",
    },
    {"task_id": "toy/double", "solution_id": "alone", "code": "def double(x):\n    return 2 * x"},
]


@pytest.fixture
def solutions(tmp_path: Path) -> Path:
    path = tmp_path / "solutions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in SOLUTIONS))
    return path


def test_inputs_that_part_programs_are_printed_and_kept(o1coder, problems, solutions, tmp_path):
    kept = tmp_path / "hard.jsonl"
    done = o1coder("attack", "--problems", problems, "--solutions", solutions, "--json", "--keep", kept)
    assert done.returncode == 0, done.stderr
    square, double = (json.loads(line) for line in done.stdout.splitlines())
    assert square["classes"] == [["1", "power"], ["twice"]]
    assert list(square["noisy"]) == ["random"]
    assert square["attacks"][0]["outputs"] == {"1": ["1", "power"], "2": ["twice"]}
    assert (double["programs"], double["attacks"], double["entropy"]) == (1, [], 0.0)
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert rows[0]["tests"] == [{"kind": "call", "args": "[1]", "expected": "1"}]


def test_it_reads_for_people(o1coder, problems, solutions):
    done = o1coder("attack", "--problems", problems, "--solutions", solutions)
    assert "toy/square: 4 programs, 4 distinct, 2 behaviours (entropy 0.92 bits)" in done.stdout
    assert "1: 1, power   ← right? 67%" in done.stdout
    assert "noisy: random" in done.stdout
    first, second = (line for line in done.stdout.splitlines() if line.startswith("toy/"))
    assert re.fullmatch(r".*, \d+ executions, \d+ to make inputs small", first)
    assert second == "toy/double: 1 program, 1 distinct, 1 behaviour (entropy 0.00 bits), 0 executions"


def test_programs_that_were_run_on_nothing_are_not_said_to_behave_alike(o1coder, problems, solutions):
    attack = ("attack", "--problems", problems, "--solutions", solutions, "--executions", "4")
    square = o1coder(*attack).stdout.splitlines()[0]
    assert square == ("toy/square: 4 programs, 4 distinct, not attacked: the executions pay for no input")
    row = json.loads(o1coder(*attack, "--json").stdout.splitlines()[0])
    assert (row["classes"], row["entropy"], row["executions"]) == ([], None, 0)
    assert row["untried"] == "the executions pay for no input"


def test_classes_have_no_inputs_that_could_be_made(o1coder, tmp_path):
    problem = {"task_id": "own", "prompt": "class A: ...", "entry_point": "A", "public_tests": ["A().x == 1"]}
    rows = [{"task_id": "own", "code": f"class A:\n    x = {number}"} for number in (1, 2)]
    for name, lines in (("problems", [problem | {"tests": []}]), ("solutions", rows)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = o1coder(
        *("attack", "--problems", tmp_path / "problems.jsonl", "--solutions", tmp_path / "solutions.jsonl")
    )
    assert done.stdout == "own: 2 programs, 2 distinct, not attacked: no input could be made\n"


def test_names_are_no_commands_to_the_terminal_and_lists_of_them_end(o1coder, problems, solutions):
    codes = (
        f"def square(x):\n    return {where} * x"
        for where in ("x", "2", *(f"0 + {n} * x // {n}" for n in range(1, 40)))
    )
    names = ("\x1b[31mred\n", "twice", *(f"{'long' * 8}-{number}" for number in range(1, 40)))
    rows = [
        {"task_id": "toy/square", "solution_id": name, "code": code}
        for name, code in zip(names, codes, strict=True)
    ]
    solutions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = o1coder("attack", "--problems", problems, "--solutions", solutions).stdout
    assert "\x1b" not in shown
    assert re.search(r"1: '\\x1b\[31mred\\n', longlong.* and \d+ more   ← right\?", shown)
    assert max(map(len, shown.splitlines())) < 150


def test_what_is_kept_is_kept_once_and_stays(o1coder, problems, solutions, tmp_path):
    kept = tmp_path / "hard.jsonl"
    attack = ("attack", "--problems", problems, "--solutions", solutions, "--keep", kept)
    held = {"task_id": "toy/square", "tests": [{"kind": "call", "args": "[9]", "expected": "81"}]}
    kept.write_text(json.dumps(held) + "\n")
    for _ in range(2):
        assert o1coder(*attack).returncode == 0
    assert len(kept.read_text().splitlines()) == 2
    made = read_generated(kept)["toy/square"]
    weights = dict(zip(made.tests, made.weights, strict=True))
    assert weights == {CallTest("[9]", "81"): 1.0, CallTest("[1]", "1"): 0.6667}


def test_a_file_that_cannot_be_written_is_told_before_programs_are_attacked(
    o1coder, problems, solutions, tmp_path
):
    nowhere = tmp_path / "no" / "hard.jsonl"
    done = o1coder("attack", "--problems", problems, "--solutions", solutions, "--keep", nowhere)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"usage: --keep {nowhere}: No such file or directory"


ORACLE = """
from o1coder_gym.policies import Completion, Counters, LanguageModelPolicy

class Engine:
    parallel = 1
    counters = Counters()

    def encode(self, prompt):
        return ()

    def generate(self, requests):
        return [(Completion("2", (), 1, None, "stop"),) * one.n for one in requests]

def sure():
    return LanguageModelPolicy(Engine())
"""


def test_a_language_model_may_be_asked_what_is_right(o1coder, problems, solutions, tmp_path):
    (tmp_path / "oracle.py").write_text(ORACLE)
    asked = ("--oracle", f"{tmp_path / 'oracle.py'}:sure", "--json")
    done = o1coder("attack", "--problems", problems, "--solutions", solutions, *asked)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout.splitlines()[0])["attacks"]
    assert (found["right"], found["confidence"]) == ("2", 0.6667)  # 1 program and 3 votes, of 6
    scripted = o1coder("attack", "--problems", problems, "--solutions", solutions, "--oracle", "scripted")
    assert scripted.returncode == 2


def test_a_file_without_programs_is_refused(o1coder, problems, tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    done = o1coder("attack", "--problems", problems, "--solutions", tmp_path / "empty.jsonl")
    assert (done.returncode, done.stderr.splitlines()[-1][:6]) == (2, "usage:")


def test_no_program_takes_the_place_of_another(o1coder, problems, solutions):
    solutions.write_text(solutions.read_text() + json.dumps(SOLUTIONS[1]) + "\n")
    done = o1coder("attack", "--problems", problems, "--solutions", solutions)
    (line,) = done.stderr.splitlines()
    assert "line 6: field 'solution_id'" in line
    assert line.endswith("line 2")
    assert done.returncode == 1
