"""Time on the run queue is read from the kernel's account; what cannot be read counts as none."""

import os
from pathlib import Path

import pytest

from o1coder_gym.sandbox.workers import waiting


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(waiting, "_PROC", tmp_path)
    return tmp_path


def account(proc: Path, pid: int, *delays_ns: int | str) -> None:
    for thread, delay_ns in enumerate(delays_ns, start=pid):
        folder = proc / str(pid) / "task" / str(thread)
        folder.mkdir(parents=True)
        (folder / "schedstat").write_text(delay_ns if isinstance(delay_ns, str) else f"5 {delay_ns} 7\n")


@pytest.mark.parametrize(
    ("delays_ns", "seconds"),
    [
        ((3_000_000_000,), 3.0),
        ((1_000_000_000, 9_000_000_000, 2), 9.0),  # threads wait at the same time
        ((0,), 0.0),
        (("",), 0.0),  # a kernel without the account
        (("", 4_000_000_000), 4.0),
    ],
)
def test_the_thread_that_waited_longest_counts(
    proc: Path, delays_ns: tuple[int | str, ...], seconds: float
) -> None:
    account(proc, 40, *delays_ns)
    assert waiting.run_delay_s(40) == seconds


def test_processes_wait_one_after_the_other(proc: Path) -> None:
    for pidfd, pid in ((7, 40), (8, 60)):
        account(proc, pid, 1_500_000_000)
        place = proc / "self" / "fdinfo" / str(pidfd)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"pos:\t0\nflags:\t02000002\nPid:\t{pid}\nNSpid:\t{pid}\t3\n")
    assert waiting.waited_s([7, 8]) == 3.0


@pytest.mark.parametrize("said", ["Pid:\t-1\n", "pos:\t0\n", None])
def test_what_is_not_known_is_no_waiting(proc: Path, said: str | None) -> None:
    """It has ended, is no process, or there is no /proc here."""
    if said is not None:
        (proc / "self" / "fdinfo").mkdir(parents=True)
        (proc / "self" / "fdinfo" / "7").write_text(said)
    assert waiting.waited_s([7]) == 0.0


def test_the_account_of_this_process_can_be_read() -> None:
    pidfd = os.pidfd_open(os.getpid())
    try:
        assert waiting._pid(pidfd) == os.getpid()
        assert 0.0 <= waiting.waited_s([pidfd]) < 1e6
    finally:
        os.close(pidfd)
