import json
from pathlib import Path

import pytest

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
