"""Run folders of an earlier version are read, reported, resumed and built upon.

``tests/golden/earlier.tar.gz`` holds what the version of revision 268bfca wrote; earlier.sh there says how.
"""

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from o1coder_gym.reporting.results import read_results
from o1coder_gym.runs.journal import read_rows
from tests.command_line import call

ARCHIVE = Path(__file__).resolve().parents[1] / "golden" / "earlier.tar.gz"


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders, with the working directory among them: their configurations name files beside them."""
    with tarfile.open(ARCHIVE) as archive:
        if hasattr(tarfile, "data_filter"):  # since 3.11.4
            archive.extractall(tmp_path, filter="data")
        else:
            archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ok(*words: str) -> str:
    done = call(*words)
    assert done.exit_code == 0, done.output
    return done.stdout


def options(*more: str) -> list[str]:
    words = ["--problems", "starter", "--limit", "4", "--policy", "scripted:script.json"]
    return [*words, *more]


BENCH = options("--agent", "best_of_n", "--agent", "mcts:simulations=12", "--agent", "beam")


def test_a_benchmark_is_read_and_reported(earlier: Path) -> None:
    rows = read_results(earlier / "bench")
    assert len(rows) == 4 * 6 * 2 * 2  # problems, agents with the controls, seeds, budgets
    ok("report", "bench")
    assert "mcts" in (earlier / "bench" / "report.html").read_text()
    assert json.loads(ok("bench", "compare", "bench", "--json"))
    assert "starter/001-vowel-words" in ok(
        "tree", "bench", "starter/001-vowel-words", "--agent", "mcts:simulations=12"
    )


@pytest.mark.filterwarnings("ignore:.*asking again")
def test_a_benchmark_that_was_stopped_goes_on(earlier: Path) -> None:
    results = earlier / "bench" / "results.jsonl"
    before = results.read_bytes().splitlines(keepends=True)
    results.write_bytes(b"".join(before[:-20]))
    ok("bench", *BENCH, "--tokens", "64,256", "--seeds", "2", "--out", "bench", "--resume")
    after = results.read_bytes().splitlines(keepends=True)
    assert after[: len(before) - 20] == before[:-20]

    def keys(lines: list[bytes]) -> set[tuple[object, ...]]:
        rows = map(json.loads, lines)
        return {(row["task_id"], row["agent"], row["seed"], row["budget"]["tokens"]) for row in rows}

    assert keys(after) == keys(before)


def test_data_that_was_searched_for_is_read_and_trained_on(earlier: Path) -> None:
    assert [*read_rows(earlier / "data" / "paths.jsonl")]
    small = ["--model", "model", "--lora-rank", "2", "--batch", "2", "--rows-at-once", "1"]
    ok("sft", "--data", "data", *small, "--max-steps", "1", "--out", "again")


@pytest.mark.parametrize(("command", "name"), [(["sft"], "sft"), (["prm", "train"], "prm")])
def test_a_training_goes_on(earlier: Path, command: list[str], name: str) -> None:
    """From its checkpoint of step 2, as if it had been stopped there."""
    small = [
        "--model",
        "model",
        "--lora-rank",
        "2",
        "--batch",
        "2",
        "--rows-at-once",
        "1",
        "--save-steps",
        "2",
    ]
    (earlier / name / "training.json").unlink()
    shutil.rmtree(earlier / name / "model")
    ok(*command, "--data", "data", *small, "--max-steps", "4", "--out", name, "--resume")
    assert json.loads((earlier / name / "training.json").read_text())["settings"]["max_steps"] == 4


def test_models_that_were_trained_answer(earlier: Path) -> None:
    ok("prm", "score", "prm:prm/model", "--data", "data")
    told = options("--agent", "greedy", "--tokens", "32", "--no-controls", "--out", "with")
    ok("bench", *[word.replace("scripted:script.json", "hf:sft/model") for word in told])


def test_a_chooser_that_was_trained_searches_and_learns_on(earlier: Path) -> None:
    ok("bench", *options("--agent", "choice_ppo:path=choice", "--tokens", "64", "--out", "chosen"))
    learn = ["--problems", "starter", "--policy", "scripted:script.json", "--k", "2", "--max-steps", "3"]
    learn += ["--num-envs", "2", "--rollout", "8", "--episodes", "4", "--out", "choice", "--resume"]
    ok("rl", "choice", *learn, "--steps", "48")


def test_a_checkpoint_becomes_a_model(earlier: Path) -> None:
    assert ok("rl", "export", "sft").strip() == "hf:sft/model-2"
    assert (earlier / "sft" / "model-2" / "model.safetensors").exists()
    assert "it has: 2" in call("rl", "export", "sft", "--step", "7").stderr
