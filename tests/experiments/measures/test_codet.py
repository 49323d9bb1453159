"""CodeT's replay: what is cut out of samples, how sets are drawn from, and a download by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.errors import InfrastructureError, JournalError, ProblemFileError
from o1coder_gym.experiments.measures import codet
from o1coder_gym.experiments.measures.codet import asserts_in, chosen_pass_rate, download_folder, read_samples
from o1coder_gym.experiments.training.tcg import untracked
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.sandbox import default_judge
from o1coder_gym.types import AssertTest, Outcome, Problem, Submission, Verdict

PROMPT = 'def double(n):\n    """Twice n."""\n'


@pytest.mark.parametrize(
    ("scores", "k", "rate"),
    [
        # two sets, {right, wrong} and {right}: 1/2 from the best one, 1 − 1/2 · 0 from both
        ([2.0, 2.0, 1.0], 1, 0.5),
        ([2.0, 2.0, 1.0], 2, 1.0),
        # one set of a right and a wrong program is drawn from twice: 1 − (1/2)²
        ([2.0, 2.0, 0.0], 2, 0.75),
        ([2.0, 2.0, 0.0], 3, 0.875),
        # equal scores are one set: 2 of 3
        ([1.0, 1.0, 1.0], 1, 2 / 3),
        # no program passes a test: pass@k
        ([0.0, 0.0, 0.0], 1, 2 / 3),
        ([0.0, 0.0, 0.0], 2, 1.0),
    ],
)
def test_one_program_is_drawn_from_each_of_the_best_sets(scores: list[float], k: int, rate: float) -> None:
    assert chosen_pass_rate([True, False, True], scores, k) == pytest.approx(rate)


def test_tests_are_the_statements_that_name_the_function() -> None:
    text = " double(1) == 2\nassert double(\nassert other(3) == 4\nassert double(2) == 4\n# and\nassert x"
    assert asserts_in(text, "double") == ["assert double(1) == 2", "assert double(2) == 4"]
    assert asserts_in("double(1) == 2\nprint(double(1))", "double") == ["assert double(1) == 2"]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CodeT's files for one problem: three programs, one of them right; both tests are right."""
    folder = tmp_path / "codet"
    told = {"task_id": "HumanEval/0", "prompt": PROMPT, "entry_point": "double"}
    asking = PROMPT + "    pass\n\n# check\nassert"
    files = {
        "dataset/HumanEval_for_code_generation": told,
        "dataset/HumanEval_for_test_case_generation": told | {"prompt": asking},
        "generated_data/HumanEval_codegen16B_temp0.8_code_solution": {
            "prompt": PROMPT,
            "samples": ["    return n + n\n\ndef more(): pass", "    return n\n", "    return n\n"],
        },
        "generated_data/HumanEval_codegen16B_temp0.8_test_case": {
            "prompt": asking,
            "samples": [" double(1) == 2\nassert double(0) == 0\n", " double(1) == 2\n"],
        },
    }
    for name, row in files.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(row) + "\n")
    monkeypatch.setenv("O1CODER_DATA", str(tmp_path))
    return folder


def test_a_download_is_read(data: Path) -> None:
    (found,) = read_samples(data, ["HumanEval/0"]).values()
    assert found.programs == (PROMPT + "    return n + n\n", *[PROMPT + "    return n\n"] * 2)
    assert found.tests == {"assert double(1) == 2": 2, "assert double(0) == 0": 1}


def test_a_replay_chooses_what_tests_agree_on_and_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codet, "KS", (1, 2))
    row = ProblemRow(Problem("HumanEval/0", PROMPT, "double"), tests=(AssertTest("assert double(4) == 8"),))
    monkeypatch.setattr(codet, "load_rows", lambda name: [row])
    # The right program passes 3 tests as written, √1 · 3; the two wrong ones 1, √2 · 1: it is chosen.
    for resume in (False, True):
        found = codet.replay(tmp_path / "run", default_judge(), limit=None, resume=resume, track=untracked)
        assert found == {
            "pass@1": {"HumanEval/0": pytest.approx(1 / 3)},
            "pass@2": {"HumanEval/0": pytest.approx(2 / 3)},
            "CodeT, pass@1": {"HumanEval/0": 1.0},
            "CodeT, pass@2": {"HumanEval/0": 1.0},
        }


def test_a_replay_of_other_samples_is_another_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codet, "KS", (1,))
    row = ProblemRow(Problem("HumanEval/0", PROMPT, "double"), tests=(AssertTest("assert double(4) == 8"),))
    monkeypatch.setattr(codet, "load_rows", lambda name: [row])
    run = tmp_path / "run"
    codet.replay(run, default_judge(), limit=None, resume=False, track=untracked)
    (path,) = (data / "generated_data").glob("*_code_solution.jsonl")
    path.write_text(path.read_text().replace("n + n", "n * 3"))
    with pytest.raises(JournalError, match="other"):
        codet.replay(run, default_judge(), limit=None, resume=True, track=untracked)


def test_a_replay_that_an_earlier_version_began_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ProblemRow(Problem("HumanEval/0", PROMPT, "double"), tests=(AssertTest("assert double(4) == 8"),))
    monkeypatch.setattr(codet, "load_rows", lambda name: [row])
    run, rates = tmp_path / "run", {"pass@1": 0.25}
    with RunFolder.open(run, {"codet": ["HumanEval/0"], "limits": str(codet._LIMITS)}) as folder:
        folder.append("rates", {"task_id": "HumanEval/0", "rates": rates})
    found = codet.replay(run, default_judge(), limit=None, resume=True, track=untracked)
    assert found == {name: {"HumanEval/0": rate} for name, rate in rates.items()}


def test_where_the_judge_fails_nothing_is_recorded(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        def evaluate(self, submissions: Sequence[Submission], **options: Any) -> list[Verdict]:
            return [Verdict(Outcome.INFRASTRUCTURE) for _ in submissions]

    monkeypatch.setattr(codet, "KS", (1,))
    row = ProblemRow(Problem("HumanEval/0", PROMPT, "double"), tests=(AssertTest("assert double(4) == 8"),))
    monkeypatch.setattr(codet, "load_rows", lambda name: [row])
    with pytest.raises(InfrastructureError, match="HumanEval/0"):
        codet.replay(tmp_path / "run", Failing(), limit=None, resume=False, track=untracked)
    found = codet.replay(tmp_path / "run", default_judge(), limit=None, resume=True, track=untracked)
    assert found["pass@1"] == {"HumanEval/0": pytest.approx(1 / 3)}


def test_without_the_download_a_line_says_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("O1CODER_DATA", str(tmp_path))
    with pytest.raises(ProblemFileError, match=r"github\.com/microsoft/CodeT.*O1CODER_DATA") as caught:
        download_folder()
    assert "\n" not in str(caught.value)
    (tmp_path / "codet").mkdir()
    with pytest.raises(ProblemFileError, match="has no file dataset/HumanEval_for_code_generation"):
        read_samples(tmp_path / "codet", ["HumanEval/0"])


def test_files_that_do_not_belong_together_are_told(data: Path) -> None:
    with pytest.raises(ProblemFileError, match="no samples of HumanEval/1"):
        read_samples(data, ["HumanEval/1"])
    path = next(data.glob("dataset/*code_generation.jsonl"))
    path.write_text(json.dumps({"task_id": "HumanEval/0", "prompt": "other", "entry_point": "double"}) + "\n")
    with pytest.raises(ProblemFileError, match="does not belong to"):
        read_samples(data, ["HumanEval/0"])
    path.write_text("{")
    with pytest.raises(ProblemFileError, match="not JSON lines"):
        read_samples(data, ["HumanEval/0"])
