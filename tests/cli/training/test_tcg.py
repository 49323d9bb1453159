"""The commands under `o1coder tcg`, called as a user calls them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from o1coder_gym.errors import JournalError, UsageError
from o1coder_gym.experiments.training.tcg import GeneratorSettings, learned_problems
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.tcg.quality.measures import reward_agreement
from tests.command_line import call


def run(*arguments: str) -> str:
    result = call("tcg", *arguments)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def write_programs(path: Path, count: int) -> Path:
    """Writes for some problems a wrong program and the reference."""
    rows = load_rows("starter").rows[:count]
    lines = []
    for row in rows:
        wrong = f"def {row.problem.entry_point}(*args):\n    return None"
        for code in (wrong, row.reference):
            lines.append(json.dumps({"task_id": row.problem.task_id, "code": code}) + "\n")
    path.write_text("".join(lines))
    return path


def test_eval_measures_and_resumes(tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    command = ("eval", "starter", "--limit", "3", "--tests", "5", "--mutants", "6", "--out", out, "--json")
    first = json.loads(run(*command))
    assert first["pass_rate_of_asked"]["mean"] == 1.0
    assert first["kill_rate"]["problems"] == 3
    quality = (tmp_path / "run" / "quality.jsonl").read_text()
    assert json.loads(run(*command, "--resume")) == first
    assert (tmp_path / "run" / "quality.jsonl").read_text() == quality


@pytest.mark.parametrize(
    ("name", "lines"),
    [("programs", 0), ("programs", 3), ("programs", 4), ("programs", 11), ("tests", 1), ("quality", 1)],
)
def test_a_problem_that_was_half_written_is_done_again(tmp_path: Path, name: str, lines: int) -> None:
    """Three problems, with four programs each; a file was cut after so many lines."""
    out = tmp_path / "run"
    command = ("eval", "starter", "--limit", "3", "--tests", "3", "--mutants", "2", "--json")
    command += ("--policy", "fake:depth=1", "--samples", "4", "--voters", "1", "--mode", "b")
    first = json.loads(run(*command, "--out", str(out)))
    names = ("programs", "tests", "quality")
    whole = {one: sorted((out / f"{one}.jsonl").read_text().splitlines()) for one in names}
    assert [*map(len, whole.values())] == [12, 3, 3]
    file = out / f"{name}.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:lines]))
    assert json.loads(run(*command, "--out", str(out), "--resume")) == first
    assert {one: sorted((out / f"{one}.jsonl").read_text().splitlines()) for one in names} == whole


def test_eval_does_not_go_on_with_other_programs(tmp_path: Path) -> None:
    programs = write_programs(tmp_path / "programs.jsonl", 2)
    command = ("eval", "starter", "--limit", "2", "--tests", "2", "--mutants", "0", "--as-reward")
    command += ("--programs", str(programs), "--out", str(tmp_path / "run"), "--resume")
    run(*command)
    write_programs(programs, 3)
    with pytest.raises(JournalError, match="differs in: inputs"):
        run(*command)


def test_a_generator_says_which_problems_it_learned_from(tmp_path: Path) -> None:
    run("data", "starter", "--limit", "4", "--augment", "4", "--out", str(tmp_path), "--validation", "0")
    generator = f"scripted:{tmp_path}"
    asked = (GeneratorSettings(problems="starter", limit=n, generator=generator) for n in (3, 9))
    assert [len(learned_problems(one)) for one in asked] == [3, 4]
    assert learned_problems(GeneratorSettings(problems="starter")) == []


def test_eval_as_reward_compares_with_hidden_tests(tmp_path: Path) -> None:
    programs = write_programs(tmp_path / "programs.jsonl", 3)
    command = ("eval", "starter", "--limit", "3", "--tests", "5", "--mutants", "0")
    found = json.loads(run(*command, "--as-reward", "--programs", str(programs), "--json"))
    assert found["reward"] == {
        "programs": 6, "agreement": 1.0, "false_positive": 0.0, "false_negative": 0.0, "tpr": 1.0, "tnr": 1.0,
    }  # fmt: skip
    assert "agrees with the hidden tests on 100.0% of 6" in run(
        *command, "--as-reward", "--programs", str(programs)
    )
    with pytest.raises(UsageError, match="--programs"):
        run(*command, "--as-reward")


def test_a_rate_of_no_programs_is_none() -> None:
    nothing = reward_agreement([])
    assert str(nothing) == "no program to compare on"
    assert "TPR –" in str(replace(nothing, programs=1, agreement=1.0, tnr=1.0))


def test_eval_measures_the_dataset_beside_it() -> None:
    found = json.loads(run("eval", "starter", "--generator", "dataset", "--limit", "2", "--json"))
    assert found["pass_rate_of_parsed"]["mean"] == 1.0


def test_data_writes_rows_and_a_card(tmp_path: Path) -> None:
    printed = run("data", "starter", "--limit", "4", "--augment", "4", "--out", str(tmp_path), "--rows", "2")
    paths = [Path(line) for line in printed.split()]
    assert all(path.exists() for path in paths)
    assert paths[-1].name == "README.md"
    assert (
        sum(
            len((tmp_path / f"sft-{split}.jsonl").read_text().splitlines())
            for split in ("train", "validation")
        )
        == 8
    )


def test_data_turns_mistakes_into_pairs(tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    # two of the five show what the question shows, and are no targets
    run("eval", "starter", "--limit", "4", "--tests", "5", "--mutants", "0", "--out", out)
    tests = tmp_path / "run" / "tests.jsonl"
    command = ("data", "starter", "--limit", "4", "--written", str(tests), "--out", str(tmp_path))
    card = Path(run(*command).split()[-1]).read_text()
    assert "what the model wrote" in card
    assert "| pair: all outputs are right | 4 |" in card
    with pytest.raises(UsageError, match="--written"):
        run(*command, "--augment", "2")
    programs = write_programs(tmp_path / "programs.jsonl", 4)
    card = Path(run(*command, "--programs", str(programs)).split()[-1]).read_text()
    assert "reject no sampled program" in card


def test_select_chooses_by_tests(tmp_path: Path) -> None:
    programs = write_programs(tmp_path / "programs.jsonl", 2)
    run("eval", "starter", "--limit", "2", "--tests", "4", "--mutants", "0", "--out", str(tmp_path / "run"))
    tests = str(tmp_path / "run" / "tests.jsonl")
    lines = [
        json.loads(line)
        for line in run("select", "starter", "--solutions", str(programs), "--tests", tests).splitlines()
    ]
    assert [line["index"] for line in lines] == [1, 1]
    assert lines[0]["scores"]["tests"] == 1.0
    assert "def " in lines[0]["code"]
