"""ASPR of policies whose success rate is known."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from o1coder_gym.errors import JournalError, UsageError
from o1coder_gym.experiments.benchmark import Plan, Tools, run_plan
from o1coder_gym.experiments.measures import aspr
from o1coder_gym.experiments.measures.aspr import SAMPLED, measure_aspr
from o1coder_gym.policies.scripted import ScriptedPolicy
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.runs import journal
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder, read_rows
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import FORMATS
from o1coder_gym.types import Outcome, Submission, Verdict
from o1coder_gym.types.protocols import Judge

RIGHT, WRONG = "def double(x):\n    return 2 * x", "def double(x):\n    return x + 1"
PROBLEM = {
    "task_id": "toy/double",
    "prompt": "Return twice x.",
    "entry_point": "double",
    "public_tests": [{"kind": "call", "args": "[1]", "expected": "2"}],
    "tests": [{"kind": "call", "args": "[5]", "expected": "10"}],
}


def code(text: str) -> dict:
    return {"type": "code", "text": text}


def searched(
    folder: Path,
    script: dict,
    format: str = "pseudocode",
    agent: str = "best_of_n:n=12",
    inputs: Mapping[str, str] = MappingProxyType({}),
    files: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Runs a plan with a script and returns its folder."""
    folder.mkdir()
    problems, policy = folder / "problems.jsonl", folder / "script.json"
    problems.write_text(json.dumps(PROBLEM) + "\n")
    policy.write_text(json.dumps(script))
    plan = Plan(
        str(problems),
        ("toy/double",),
        (agent,),
        f"scripted:{policy}",
        format,
        Budget(),
        inputs=dict(inputs),
        files=dict(files),
    )
    tools = Tools(ScriptedPolicy.from_file(policy, FORMATS[format]), default_judge())
    with RunFolder.open(folder / "run", plan.to_row()) as opened:
        run_plan(plan, load_rows(problems), tools, opened, lambda row: None)
    return folder / "run"


def test_it_is_the_known_rate_of_the_paths_that_passed(tmp_path: Path) -> None:
    # in turn: after plan A 3 of 4 last steps pass, after plan B 1 of 4, after plan C none, so it is no path
    plans = {"A": [RIGHT, RIGHT, WRONG, RIGHT], "B": [RIGHT, WRONG, WRONG, WRONG], "C": [WRONG]}
    tree = [
        {"type": "define", "text": name, "then": [code(text) for text in programs]}
        for name, programs in plans.items()
    ]
    run = searched(
        tmp_path / "toy", {"draw": "cycle", "problems": {"*": tree}}, agent="mcts:width=4,simulations=40"
    )
    found = measure_aspr(run, samples=4, paths=9)["mcts:width=4,simulations=40"]
    assert (found.rate, found.samples, found.paths, found.solved) == ((0.75 + 0.25) / 2, 4, 2, 1)


def test_without_reasoning_the_question_is_the_path(tmp_path: Path) -> None:
    script = {"draw": "cycle", "problems": {"*": {"depths": [[code(RIGHT), code(WRONG)]]}}}
    run = searched(tmp_path / "toy", script, "vanilla")
    found = measure_aspr(run, samples=6, paths=4)["best_of_n:n=12"]
    assert (found.rate, found.samples, found.paths, found.solved) == (0.5, 6, 1, 1)


def test_a_last_step_that_is_no_program_fails(tmp_path: Path) -> None:
    steps = [[{"type": "define", "text": "plan"}], [code(RIGHT), {"type": "refine", "text": "more"}]]
    run = searched(tmp_path / "toy", {"draw": "cycle", "problems": {"*": {"depths": steps}}})
    assert measure_aspr(run, samples=2, paths=4)["best_of_n:n=12"].rate == 0.5


def test_a_random_policy_comes_out_at_its_rate(tmp_path: Path) -> None:
    # 2,000 draws at 0.3: three standard errors are 0.031
    steps = [[{"type": "define", "text": "plan"}], [code(RIGHT) | {"weight": 3}, code(WRONG) | {"weight": 7}]]
    run = searched(tmp_path / "toy", {"problems": {"*": {"depths": steps}}})
    assert measure_aspr(run, samples=2000, paths=1)["best_of_n:n=12"].rate == pytest.approx(0.3, abs=0.031)


def test_the_kept_path_is_drawn(tmp_path: Path) -> None:
    tree = [{"type": "define", "text": name, "then": [code(RIGHT)]} for name in "ABCD"]
    agent = "mcts:width=4,simulations=40"
    run = searched(tmp_path / "toy", {"draw": "cycle", "problems": {"*": tree}}, agent=agent)
    for seed in range(8):
        found = measure_aspr(run, samples=1, paths=1, seed=seed)[agent]
        assert (found.paths, found.solved) == (1, 1)
    kept = {row["path"] for row in read_rows(run / f"{SAMPLED}.jsonl")}
    assert len(kept) > 1  # the first one each time before


def test_another_policy_by_the_same_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = {"draw": "cycle", "problems": {"*": {"depths": [[code(RIGHT)]]}}}
    spec = f"scripted:{tmp_path / 'toy' / 'script.json'}"
    run = searched(tmp_path / "toy", script, inputs={spec: "digest of its weights"})
    monkeypatch.setattr(journal, "input_hashes", lambda *specs: {spec: "digest of its weights"})
    measure_aspr(run, samples=1)
    monkeypatch.setattr(journal, "input_hashes", lambda *specs: {spec: "another"})
    with pytest.raises(UsageError, match="has changed since"):
        measure_aspr(run, samples=1)


def test_other_problems_in_the_same_file_are_refused(tmp_path: Path) -> None:
    script = {"draw": "cycle", "problems": {"*": {"depths": [[code(RIGHT)]]}}}
    problems = tmp_path / "toy" / "problems.jsonl"
    run = searched(tmp_path / "toy", script, files={str(problems): "digest of its tests"})
    with pytest.raises(UsageError, match=r"problems\.jsonl has changed since the run began; its paths"):
        measure_aspr(run, samples=1)


class Undecided:
    """A judge that fails on some programs, so that it can say nothing of them."""

    def __init__(self, judge: Judge, failing: str) -> None:
        self._judge, self.failing = judge, failing

    def evaluate(self, submissions: Sequence[Submission], **options: Any) -> list[Verdict]:
        verdicts = self._judge.evaluate(submissions, **options)
        return [
            Verdict(Outcome.INFRASTRUCTURE) if self.failing and self.failing in one.code else verdict
            for one, verdict in zip(submissions, verdicts, strict=True)
        ]


def test_a_path_on_which_the_judge_fails_is_missing_and_sampled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # after plan A 1 of 2 last steps pass, after B both; the judge fails on A's wrong program
    plans = {"A": [RIGHT, WRONG], "B": [RIGHT]}
    tree = [
        {"type": "define", "text": name, "then": [code(text) for text in programs]}
        for name, programs in plans.items()
    ]
    agent = "mcts:width=4,simulations=40"
    run = searched(tmp_path / "toy", {"draw": "cycle", "problems": {"*": tree}}, agent=agent)
    judge = Undecided(default_judge(), "x + 1")
    monkeypatch.setattr(aspr, "default_judge", lambda: judge)
    found = measure_aspr(run, samples=2, paths=9)[agent]
    assert (found.rate, found.paths) == (1.0, 1)  # and not 3 of 4: a failure of ours is no wrong program
    judge.failing = ""
    found = measure_aspr(run, samples=2, paths=9)[agent]
    assert (found.rate, found.paths) == (0.75, 2)


def test_nothing_is_sampled_twice(tmp_path: Path) -> None:
    steps = [[{"type": "define", "text": "plan"}], [code(RIGHT), code(WRONG)]]
    run = searched(tmp_path / "toy", {"problems": {"*": {"depths": steps}}})
    first = measure_aspr(run, samples=4, paths=4)
    rows = list(read_rows(run / f"{SAMPLED}.jsonl"))
    assert measure_aspr(run, samples=4, paths=4) == first
    assert list(read_rows(run / f"{SAMPLED}.jsonl")) == rows
    measure_aspr(run, samples=4, paths=4, seed=1)
    assert len(list(read_rows(run / f"{SAMPLED}.jsonl"))) == 2 * len(rows)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run with problems, split, task_ids, policy, format"):
        measure_aspr(tmp_path, samples=4, paths=4)
    with RunFolder.open(tmp_path / "other", {"problems": "starter", "split": None}) as other:
        other.append("rows", {})
    with pytest.raises(UsageError, match="holds no run with task_ids, policy, format"):
        measure_aspr(other.path, samples=4, paths=4)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(JournalError, match="not the config of a run"):
        measure_aspr(tmp_path, samples=4, paths=4)
