"""Which folder a command runs in, and what it refuses before it computes anything."""

import os
from pathlib import Path

import pytest

from o1coder_gym.cli.run_folders import check_free, resumable, run_folder
from o1coder_gym.errors import UsageError
from tests.command_line import call


def test_a_run_has_the_folder_that_is_named_or_a_new_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_folder("bench", Path("mine"), resume=True) == Path("mine")
    assert run_folder("bench", None, resume=False).match("runs/bench-2*")


def test_runs_of_one_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "20260101-000000")
    for name in ("bench-20260101-000000", "bench-20260101-000000-2", "bench-20260101-000000-3"):
        folder = run_folder("bench", None, resume=False)
        assert folder == Path("runs") / name
        folder.mkdir(parents=True)


def test_to_resume_names_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"name its folder$"):
        run_folder("bench", None, resume=True)
    for name in ("bench-20260101-000000", "bench-20260102-000000", "bench-notes", "demo-20270101-000000"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    with pytest.raises(UsageError, match=r"--out runs/bench-20260102-000000"):
        run_folder("bench", None, resume=True)


def test_folders_that_cannot_be_begun_in_are_refused_and_nothing_is_made(tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    check_free(taken, resume=False)  # an empty one is free
    (taken / "notes.txt").touch()
    with pytest.raises(UsageError, match="is not empty; --resume"):
        check_free(taken, resume=False)
    check_free(taken, resume=True)
    check_free(tmp_path / "new" / "deeper", resume=False)
    with pytest.raises(UsageError, match=r"notes\.txt is not a writable folder"):
        check_free(taken / "notes.txt" / "run", resume=False)
    with pytest.raises(UsageError, match="not a writable folder"):
        check_free(taken / "notes.txt", resume=False)
    assert sorted(os.listdir(tmp_path)) == ["taken"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(UsageError, match="not a writable folder"):
        check_free(tmp_path / "run", resume=False)


def test_an_interrupted_run_says_how_to_go_on_where_there_is_one(tmp_path, capsys):
    for out, said in (
        (tmp_path, f"interrupted; continue with: --out {tmp_path} --resume\n"),
        (tmp_path / "none", "interrupted\n"),
    ):
        with pytest.raises(SystemExit) as stopped, resumable(out):
            raise KeyboardInterrupt
        assert stopped.value.code == 130
        assert capsys.readouterr().err == said


def test_the_demo_refuses_before_it_draws(o1coder, tmp_path):
    (tmp_path / "x").touch()
    done = o1coder("demo", "--out", tmp_path)
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    done = o1coder("demo", "--resume")
    assert done.returncode == 2
    assert "name its folder" in done.stderr
    done = o1coder("demo", "--model", "nonsense", "--out", tmp_path / "run")
    assert done.returncode != 0
    assert "nonsense" in done.stderr
    assert "Three chosen problems" not in done.stderr


@pytest.mark.parametrize(
    ("words", "made_by"),
    [
        (("report", "RUN"), "bench"),
        (("compare", "RUN"), "bench"),
        (("bench", "compare", "RUN#mcts@512", "RUN"), "bench"),
        (("bench", "aspr", "RUN"), "bench"),
        (("explain", "RUN", "micro/test-0000"), "bench"),
        (("tree", "RUN"), "bench or solve"),
        (("export", "RUN", "--format", "atif"), "bench, synthesize or solve"),
        (("rl", "export", "RUN"), "rl policy, rl dpo or sft"),
    ],
)
def test_a_run_that_is_not_there_is_named(words: tuple[str, ...], made_by: str) -> None:
    done = call(*(word.replace("RUN", "runs/none") for word in words))
    told = f"usage: runs/none: no such folder; give the --out of an earlier o1coder {made_by}\n"
    assert (done.exit_code, done.stderr) == (2, told)
