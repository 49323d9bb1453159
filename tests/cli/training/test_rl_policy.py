"""What `o1coder rl policy` gives to its training."""

import json
from pathlib import Path

import pytest

from o1coder_gym.experiments.training.rl import RLPlan, TrainedPolicy
from o1coder_gym.runs.journal import RunFolder
from tests.command_line import Done, call

QUESTIONS = ("Return twice the given number.", "Return the square of a number.", "Return a number plus one.")


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Calls the command on three problems; returns what it said and the task ids that it would train on."""

    def train(plan: RLPlan, out: Path, **given) -> TrainedPolicy:
        assert plan.task_ids == tuple(row.problem.task_id for row in given["rows"])
        plans.append(plan)
        return TrainedPolicy(out)

    def ask(*words: object, held_out: list[tuple[str, str]]) -> tuple[Done, tuple[str, ...]]:
        plans.clear()
        given = ("--problems", own, "--held-out", written("other", held_out), "--out", tmp_path / "run")
        done = call("rl", "policy", "--model", "tiny", *given, *words)
        return done, plans[0].task_ids if plans else ()

    def written(name: str, problems: list[tuple[str, str]]) -> Path:
        rows = [{"task_id": task, "prompt": prompt, "entry_point": "f"} for task, prompt in problems]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row | {"public_tests": [], "tests": []}) + "\n" for row in rows))
        return path

    plans: list[RLPlan] = []
    monkeypatch.setattr("o1coder_gym.cli.training.rl_policy.train_policy", train)
    own = written("own", [(f"own/{place}", one) for place, one in enumerate(QUESTIONS)])
    return ask


@pytest.mark.parametrize(
    ("task", "name"), [("own/1", "own/1"), ("new/1", "new/1 is own/1")], ids=["same id", "new id"]
)
def test_training_leaves_held_out_problems_out(asked, task: str, name: str) -> None:
    done, trained = asked(held_out=[(task, QUESTIONS[1]), ("new/2", "Return the sum of all the digits.")])
    assert trained == ("own/0", "own/2")
    told = f"1 of 2 held-out problems is also a training problem ({name}); left out of training"
    assert done.stderr.splitlines() == [f"warning: {told}"]


def test_other_problems_leave_nothing_out(asked) -> None:
    done, trained = asked(held_out=[("new/2", "Return the sum of all the digits.")])
    assert (trained, done.stderr) == (("own/0", "own/1", "own/2"), "")


def test_a_training_without_problems_of_its_own_is_refused(asked) -> None:
    done, trained = asked(held_out=[(f"own/{place}", one) for place, one in enumerate(QUESTIONS)])
    assert (trained, done.exit_code) == ((), 2)
    assert "3 of 3 held-out problems are also training problems" in done.stderr


@pytest.mark.parametrize("begun", [("own/0", "own/1", "own/2"), ("own/0", "own/2")])
def test_a_resumed_run_keeps_its_problems(asked, begun: tuple[str, ...], tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", {"task_ids": begun}) as folder:
        folder.append("updates", {"t": 0})
    assert asked("--resume", held_out=[("own/1", QUESTIONS[1])])[1] == begun


@pytest.mark.parametrize(
    ("problems", "splits"), [("micro", " (test, train, validation)"), ("starter", ", which has none,")]
)
def test_held_out_problems_that_are_nowhere_are_told_the_splits(problems: str, splits: str) -> None:
    done = call("rl", "policy", "--problems", problems, "--held-out", "tset")
    told = f"'tset' is neither a split of {problems}{splits} nor a problem set or file"
    assert (done.exit_code, done.stderr) == (2, f"usage: --held-out: {told}\n")
