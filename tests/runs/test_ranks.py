"""Ranks stop together, and one of them says why."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from o1coder_gym.errors import O1CoderError, UsageError
from o1coder_gym.models.training.settings import passes
from o1coder_gym.runs import ranks
from tests.ranks import run


def test_a_process_alone_is_the_first_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert (ranks.count(), ranks.rank(), ranks.is_first(), ranks.leader()) == (1, 0, True, 0)
    assert ranks.gathered("own") == ["own"]
    assert ranks.from_first(lambda: 3) == 3
    with ranks.together({"seed": 1}):
        pass


def test_the_leader_is_the_first_rank_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "8", "RANK": "6", "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    assert (ranks.leader(), ranks.is_first()) == (4, False)


@pytest.mark.parametrize(
    ("count", "found"),
    [
        ("1", 4),
        ("2", 2),
        ("3", "a batch of 16 rows cannot be shared by 3 processes, 4 at once$"),
        ("8", "a batch of 16 rows cannot be shared by 8 processes, 4 at once; give --rows-at-once 2"),
    ],
)
def test_ranks_share_a_batch_or_say_what_would_do(
    count: str, found: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", count)
    if isinstance(found, int):
        assert passes(16, 4) == found
        return
    with pytest.raises(UsageError, match=found):
        passes(16, 4)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"MASTER_ADDR": None},
            "WORLD_SIZE=2 in the environment .* it has no MASTER_ADDR; start the ranks by",
        ),
        ({"RANK": None, "LOCAL_RANK": ""}, "it has no RANK, LOCAL_RANK; start"),
        (
            {"MASTER_PORT": "http"},
            "MASTER_PORT=http in the environment is not a number from 1 to 65535; start",
        ),
        ({"RANK": "2"}, "RANK=2 in the environment is not a number from 0 to 1; start"),
        ({"LOCAL_RANK": "-1"}, "LOCAL_RANK=-1 in the environment is not a number from 0 to 1; start"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE=two in the environment is not a number from 1 to"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE=0 in the environment is not a number from 1 to"),
    ],
)
def test_an_environment_that_no_launcher_makes_is_told(
    changes: dict[str, str | None], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    for name, value in {**whole, **changes}.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=told) as raised:
        ranks.from_first(lambda: 1)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_ranks_that_do_not_meet_are_told() -> None:
    pytest.importorskip("accelerate")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        place = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
        # in a process of its own: one that belongs to a group already, as of another test, joins none
        found = subprocess.run(
            [sys.executable, "-c", "from o1coder_gym.runs import ranks; ranks.join()"],
            env=os.environ | place | {"MASTER_PORT": port},
            stderr=subprocess.PIPE,
            text=True,
        )
    last = found.stderr.splitlines()[-1]
    assert f"O1CoderError: rank 0 cannot meet the others at 127.0.0.1:{port}: " in last


def meet(what: str) -> int:
    """Runs a training of no steps, in which something happens."""
    try:
        if what == "the first alone":
            ranks.from_first(lambda: happen(what))
        with ranks.together({"settings": {"seed": ranks.rank() if what == "other data" else 0}}):
            assert ranks.gathered(ranks.rank()) == [0, 1]
            assert ranks.from_first(lambda: f"of {ranks.rank()}") == "of 0"
            with ranks.together({"nested": True}):
                happen(what)
            ranks.gathered(what)
        print("done")
    except O1CoderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


def happen(what: str) -> None:
    """Fails in both ranks, or in one."""
    if what == "usage error":
        raise UsageError("a batch of 3 cannot be shared")
    if ranks.rank() == 0 and what == "the first alone":
        raise O1CoderError("the folder is taken")
    if ranks.rank() == 1 and what == "failure":
        raise O1CoderError("the judge failed")
    if ranks.rank() == 1 and what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


OTHER = (
    "rank 1 was started with seed 1, rank 0 with 0; start all ranks with the same model, data and settings"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "told", "status"),
    [
        ("nothing", [], 0),
        ("failure", ["error: rank 1: the judge failed"], 1),
        ("usage error", ["a batch of 3 cannot be shared"], 2),
        ("other data", [OTHER], 2),
        ("the first alone", ["error: the folder is taken"], 1),
        ("kill", ["error: another rank ended without a message; continue with --resume"], -9),
    ],
)
def test_ranks_stop_together_and_one_says_why(what: str, told: list[str], status: int) -> None:
    pytest.importorskip("accelerate")
    found = run(2, meet, what)
    if what == "the first alone":
        assert [one.stderr for one in found] == ["error: the folder is taken\n", ""]
    # torch's own log may stand beside, with a C++ trace: of the store that a rank has closed
    lines = [line for one in found for line in one.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == len(told), lines
    assert all(line.endswith(wanted) for line, wanted in zip(lines, told, strict=True))
    statuses = [one.status for one in found]
    assert status in statuses
    assert all(statuses) == bool(told)  # none goes on after another has failed
    assert [one.stdout for one in found] == ([""] * 2 if told else ["done\n"] * 2)
