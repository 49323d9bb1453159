"""Ranks: the processes of one training, started by ``torchrun`` or ``accelerate launch``.

The first rank alone writes the run folder and prints. All ranks have to be given the same, and stop together:
without a word from the rank that failed the others would wait in a collective operation, maybe for ever.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from o1coder_gym.errors import O1CoderError, UsageError

T = TypeVar("T")

_PATIENCE = timedelta(hours=6)
"""How long a rank waits for another, which may measure a policy or read hidden states meanwhile."""
_POLL_S = 0.2
_GRACE_S = 10.0
"""For a rank to end by itself after another has failed, and for the failed one to say why."""


def count() -> int:
    """Returns the number of ranks; 1 for a process that was started alone."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Returns the number of this one, from 0."""
    return int(os.environ.get("RANK", "0")) if count() > 1 else 0


def is_first() -> bool:
    """Whether this is the rank that writes and prints."""
    return rank() == 0


def leader() -> int:
    """Returns the first rank on this machine."""
    return rank() - int(os.environ.get("LOCAL_RANK", "0")) if count() > 1 else 0


def are_sharded() -> bool:
    """Whether FSDP shards the weights over the ranks, as ``accelerate launch`` sets it."""
    return count() > 1 and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"


def join() -> None:
    """Makes a group of all ranks; does nothing for a single rank, or a second time."""
    if count() > 1:
        import torch
        from accelerate import PartialState

        on_gpu = torch.cuda.is_available()
        if not on_gpu:
            # accelerate would number the CPU, and torch loads no checkpoint onto a "cpu:0".
            os.environ.setdefault("ACCELERATE_TORCH_DEVICE", "cpu")
        # Without a word about the CPU accelerate takes each process of a machine without GPUs for the only
        # one.
        PartialState(cpu=not on_gpu, timeout=_PATIENCE)


def from_first(work: Callable[[], T]) -> T:
    """Runs a function in the first rank; all ranks get its result, which is pickled."""
    if count() == 1:
        return work()
    join()
    from accelerate.utils import broadcast_object_list

    found: list[Any] = [work() if is_first() else None]
    return broadcast_object_list(found)[0]


def gathered(value: T) -> list[T]:
    """Returns the values of all ranks, in order; they are pickled."""
    if count() == 1:
        return [value]
    join()
    from accelerate.utils import gather_object

    return gather_object([value])


def require_equal(given: Mapping[str, Any]) -> None:
    """Refuses ranks that were given different values.

    Args:
        given: All that the result depends on, JSON-able.

    Raises:
        UsageError: On all ranks; names the first difference.
    """
    from o1coder_gym.runs.provenance import leaves  # here, for every command asks which rank it is

    first, *others = gathered(dict(given))
    for number, other in enumerate(others, start=1):
        if other != first:
            mine, its = leaves(first), leaves(other)
            name = next((name for name in sorted({*mine, *its}) if mine.get(name) != its.get(name)), "")
            raise UsageError(
                f"rank {number} was started with {name} {its.get(name)!r}, rank 0 with {mine.get(name)!r}; "
                "start all ranks with the same model, data and settings"
            )


@contextlib.contextmanager
def together(given: Mapping[str, Any]) -> Iterator[None]:
    """Runs a training on all ranks: if one fails, all end, and one reports the reason. May be nested.

    Args:
        given: All that the training depends on, see `require_equal`.

    Raises:
        UsageError: When ranks were given different things.
        SystemExit: In a rank that ends because another has failed.
    """
    if count() == 1 or _Alarm.is_heard:
        require_equal(given)
        yield
        return
    join()
    alarm = _Alarm()
    try:
        with alarm.heard():
            require_equal(given)
            yield
    except BaseException as error:
        # compare_set lets one rank win: it is the one whose error is told, all others end quietly.
        first, lost = alarm.raised(), isinstance(error, RuntimeError) and "onnection" in str(error)
        if not first and not (first is None and lost):
            raise SystemExit(1) from error
        if lost:
            raise O1CoderError("another rank ended without a message; continue with --resume") from error
        if isinstance(error, O1CoderError) and rank() > 0:
            error.args = (f"rank {rank()}: {error}",)
        raise


class _Alarm:
    """An alarm from one rank to all others, through the store of their rendezvous."""

    is_heard = False
    _made = 0

    def __init__(self) -> None:
        from torch.distributed import TCPStore

        # A second connection, for the group's own is busy while it waits for the others.
        self._store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
        # Ranks enter the same trainings in the same order; a restart by torchrun keeps the store.
        _Alarm._made += 1
        self._key = f"o1coder/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}/{_Alarm._made}"
        self._done = threading.Event()

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Ends this process if another rank raises the alarm meanwhile."""
        listener = threading.Thread(target=self._listen, name="alarm", daemon=True)
        listener.start()
        _Alarm.is_heard = True
        try:
            yield
        finally:
            _Alarm.is_heard = False
            self._done.set()
            listener.join()  # before the store is used here: a connection serves one thread at a time

    def raised(self) -> bool | None:
        """Raises the alarm; returns whether this rank reports why, None if the store ended with rank 0."""
        me = str(rank())
        try:
            return self._store.compare_set(self._key, "", me).decode() == me
        except RuntimeError:
            return None

    def _listen(self) -> None:
        try:
            while not self._store.check([self._key]):
                if self._done.wait(_POLL_S):
                    return
        except RuntimeError:  # the store is gone with the rank that had it, whose work is done
            return
        # The main thread may wait in C++ for a rank that is gone, where no exception reaches it.
        if not self._done.wait(_GRACE_S):
            os._exit(1)
