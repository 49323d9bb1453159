"""Solutions of files: rows of this project's runs and of other harnesses."""

import json

import pytest

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.answers.solutions import Solution, by_name, read_solutions
from o1coder_gym.types import Problem

CODE = Problem("p", 'def f(x):\n    """Return x."""\n', "f")
OPEN = Problem("p", "def f(x):", "f")
PROSE = Problem("p", "Double", "f")


@pytest.mark.parametrize(
    ("content", "solutions"),
    [
        (
            '{"task_id": "a", "completion": "    return 1"}\n',
            [Solution("a", "    return 1", "completion", 1)],
        ),
        (
            '{"task_id": "a", "solution": "x"}\n\n{"task_id": "b", "code": "y\u2028z"}',
            [Solution("a", "x", "program", 1), Solution("b", "y\u2028z", "program", 3)],
        ),
        ('{"task_id": "a", "solution_id": "s", "code": "x"}', [Solution("a", "x", "program", "s")]),
        (
            '[{"question_id": 7, "code_list": ["x", "y"]}]',
            [Solution("7", "x", "program", "1.1"), Solution("7", "y", "program", "1.2")],
        ),
        (
            '[\n{"question_id": "q", "output_list": ["z"], "code_list": []}\n]',
            [Solution("q", "z", "answer", 1)],
        ),
        (
            '{"task_id": "a", "agent": "mcts", "seed": 2, "budget": {"tokens": 64}, "code": "x"}\n'
            '{"task_id": "a", "agent": "mcts", "seed": 2, "budget": {"flops": 4e11}, "code": "x"}\n'
            '{"task_id": "a", "agent": "mcts", "seed": 2, "budget": {"flops": 2e12}, "code": "x"}\n'
            '{"task_id": "a", "agent": "mcts", "seed": 3, "code": null}\n'
            '{"task_id": "a", "agent": "mcts", "budget": null, "code": "y"}',
            [
                Solution("a", "x", "program", "mcts, seed 2 @64"),
                Solution("a", "x", "program", "mcts, seed 2 @4e+11 flops"),
                Solution("a", "x", "program", "mcts, seed 2 @2e+12 flops"),
                Solution("a", "y", "program", "mcts, seed 0"),
            ],
        ),
        ("", []),
        ("[]", []),
    ],
)
def test_rows_of_every_harness_are_read(tmp_path, content, solutions):
    path = tmp_path / "solutions.jsonl"
    path.write_text(content, encoding="utf-8")
    assert list(read_solutions(path)) == solutions


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "line 1: not JSON"),
        ("[{]", "jsonl: not JSON"),
        ("[" * 100_000, "jsonl: not JSON"),
        ('{"task_id": "a", "code": "x"}\n"x"', "line 2: expected an object"),
        ('{"code": "x"}', "line 1: field 'task_id'"),
        ('{"task_id": true, "code": "x"}', "line 1: field 'task_id'"),
        ('{"task_id": "nope", "code": "x"}', "line 1: field 'task_id': there is no problem 'nope'"),
        ('{"task_id": "a"}', "line 1: field 'code': missing"),
        ('{"task_id": "a", "code": null}', "line 1: field 'code': missing"),
        ('{"task_id": "a", "solution": 3}', "line 1: field 'solution': expected text, got a int"),
        ('[{"task_id": "a", "code_list": "x"}]', "row 1: field 'code_list': expected a list"),
        ('[{"task_id": "a", "code_list": [1]}]', "row 1: field 'code_list': expected text"),
        ('{"task_id": "a", "solution_id": null, "code": "x"}', "line 1: field 'solution_id'"),
        ('{"task_id": "a", "agent": "x", "budget": 7, "code": 7}', "line 1: field 'code': expected text"),
    ],
)
def test_a_bad_file_is_told_its_row_and_field(tmp_path, content, message):
    path = tmp_path / "solutions.jsonl"
    path.write_text(content)
    with pytest.raises(ProblemFileError, match=message):
        list(read_solutions(path, {"a"}))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ProblemFileError, match=r"/none: no such file$"):
        list(read_solutions(tmp_path / "none"))


@pytest.mark.parametrize(
    ("problem", "text", "program"),
    [
        (CODE, "    return x\n", CODE.prompt + "    return x\n"),
        (CODE, "\ndef f(x):\n    return x", CODE.prompt + "\ndef f(x):\n    return x"),
        (OPEN, " return x", "def f(x): return x"),
        (PROSE, "def f(x):\n    return x", "def f(x):\n    return x"),
    ],
)
def test_a_completion_follows_a_prompt_of_code(problem, text, program):
    assert Solution("p", text, "completion").program(problem) == program


def test_programs_stand_alone_and_answers_are_read():
    assert Solution("p", "    return x").program(CODE) == "    return x"
    assert Solution("p", "So:\n```python\ndef f(x):\n    return x\n```", "answer").program(CODE) == (
        "def f(x):\n    return x"
    )
    assert Solution("p", "<think>It never ends", "answer").program(CODE) is None


def test_a_row_of_a_file_is_json(tmp_path):
    path = tmp_path / "one.json"
    path.write_text(json.dumps([{"task_id": "a", "code": "x"}], indent=2))
    assert list(read_solutions(path)) == [Solution("a", "x", "program", 1)]


def test_solutions_without_ids_are_told_apart_by_their_rows(tmp_path):
    path = tmp_path / "solutions.jsonl"
    ran = '{"task_id": "a", "agent": "mcts", "budget": null, "code": "%s"}\n'
    rows = [
        '{"task_id": "a", "code": "first"}\n',
        '{"task_id": "a", "solution_id": "1", "code": "second"}\n',
        ran % "third",
        ran % "fourth",
        '{"task_id": "b", "solution_id": 1, "code": "fifth"}\n',
        '{"task_id": "c", "solution_id": 1, "code_list": ["sixth", "seventh"]}\n',
    ]
    path.write_text("".join(rows))
    found = by_name(read_solutions(path))
    assert {task: {name: one.text for name, one in named.items()} for task, named in found.items()} == {
        "a": {
            "1 (line 1)": "first",
            "1": "second",
            "mcts, seed 0": "third",
            "mcts, seed 0 (line 4)": "fourth",
        },
        "b": {"1": "fifth"},
        "c": {"1.1": "sixth", "1.2": "seventh"},
    }


@pytest.mark.parametrize("second", ['"twice"', '"twice", "agent": "mcts"'])
def test_one_id_for_two_solutions_names_both_rows(tmp_path, second):
    path = tmp_path / "solutions.jsonl"
    path.write_text(
        '{"task_id": "a", "solution_id": "twice", "code": "x"}\n\n'
        '{"task_id": "b", "solution_id": "twice", "code": "y"}\n'
        f'{{"task_id": "a", "solution_id": {second}, "code": "z"}}\n'
    )
    with pytest.raises(ProblemFileError) as caught:
        by_name(read_solutions(path))
    assert str(caught.value) == (
        f"{path}, line 4: field 'solution_id': 'twice' is a solution of a already: {path}, line 1"
    )
