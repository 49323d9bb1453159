"""Trainings of one process and of two, started as ``torchrun`` starts them: WEIGHTS OUT LORA_RANK.

This process imports what they need, once, and forks each of them: an import takes longer than a training.
"""

import os
import signal
import socket
import sys
import traceback
from dataclasses import replace
from pathlib import Path

from o1coder_gym.agents.rl.grpo import processes, train_policy
from o1coder_gym.steps.formats import PSEUDOCODE
from tests.agents.rl.conftest import SETTINGS, LetterModel


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def train(weights: str, out: Path, lora_rank: int) -> None:
    """Trains as one of the processes that the environment tells of."""
    told = []
    train_policy(
        weights,
        LetterModel(),
        LetterModel.task_ids,
        out,
        replace(SETTINGS, rows_at_once=4, lora_rank=lora_rank),
        step_format=PSEUDOCODE,
        on_update=lambda t, metrics: told.append((t, metrics["episodes/process"])),
    )
    (out / f"told-{processes().process_index}.txt").write_text(repr(told))


def fork(rank: int, count: int, port: int, weights: str, out: Path, lora_rank: int) -> int:
    """Starts process `rank` of `count`; returns its id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
            group |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            os.environ.update({name: str(value) for name, value in group.items()})
            train(weights, out, lora_rank)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return child


def succeed(children: set[int]) -> bool:
    """Waits for all; ends the others where one fails, for they would wait for it."""
    while children:
        child, status = os.wait()
        children.remove(child)
        if status:
            for other in children:
                os.kill(other, signal.SIGKILL)
            return False
    return True


def main() -> int:
    """Trains in one process, then in two."""
    weights, folder, lora_rank = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    for count in (1, 2):
        out, port = folder / str(count), free_port()
        out.mkdir()
        if not succeed({fork(rank, count, port, weights, out, lora_rank) for rank in range(count)}):
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
