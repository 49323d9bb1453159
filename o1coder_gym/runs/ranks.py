"""Ranks: the processes of one training, started by ``torchrun`` or ``accelerate launch``.

The first rank alone writes the run folder and prints. All ranks have to be given the same, and stop together:
without a word from the rank that failed the others would wait in a collective operation, maybe for ever.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypeVar

from o1coder_gym.errors import O1CoderError, UsageError

T = TypeVar("T")

_PATIENCE = timedelta(hours=6)
"""How long a rank waits for another, which may measure a policy or read hidden states meanwhile."""
_POLL_S = 0.2
_GRACE_S = 10.0
"""For a rank to end by itself after another has failed, and for the failed one to say why."""
_HEARD_S = 10 * _POLL_S
"""For all others to hear that a rank has failed, before the store of their rendezvous ends with it."""
_LAUNCHERS = "start the ranks by torchrun or accelerate launch, or unset WORLD_SIZE to train in one process"


def count() -> int:
    """Returns the number of ranks; 1 for a process that was started alone.

    Raises:
        UsageError: When the environment names a number that is none.
    """
    return _number("WORLD_SIZE", range(1, 1 << 31), default=1)


def rank() -> int:
    """Returns the number of this one, from 0.

    Raises:
        UsageError: When the environment names one that there is not.
    """
    return _number("RANK", range(count()), default=0) if count() > 1 else 0


def is_first() -> bool:
    """Whether this is the rank that writes and prints."""
    return rank() == 0


def leader() -> int:
    """Returns the first rank on this machine."""
    return rank() - _number("LOCAL_RANK", range(rank() + 1), default=0) if count() > 1 else 0


def are_sharded() -> bool:
    """Whether FSDP shards the weights over the ranks, as ``accelerate launch`` sets it."""
    return count() > 1 and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"


def join() -> None:
    """Makes a group of all ranks; does nothing for a single rank, or a second time.

    Raises:
        UsageError: When the environment lacks what a launcher says in it.
        O1CoderError: When the ranks do not meet.
    """
    if count() == 1:
        return
    place = _meeting_place()
    import torch
    from accelerate import PartialState

    on_gpu = torch.cuda.is_available()
    if not on_gpu:
        # accelerate would number the CPU, and torch loads no checkpoint onto a "cpu:0".
        os.environ.setdefault("ACCELERATE_TORCH_DEVICE", "cpu")
    try:
        # Without a word about the CPU accelerate takes each process of a machine without GPUs for the only
        # one.
        PartialState(cpu=not on_gpu, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise O1CoderError(f"rank {rank()} cannot meet the others at {place}: {told}") from error


def _meeting_place() -> str:
    """Returns the address at which ranks meet.

    Raises:
        UsageError: When the environment does not say which rank this is, or where they meet.
    """
    needed = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    if missing := [name for name in needed if not os.environ.get(name)]:
        raise UsageError(
            f"WORLD_SIZE={count()} in the environment means several ranks, and it has no "
            f"{', '.join(missing)}; {_LAUNCHERS}"
        )
    leader()  # refuses numbers that no rank can have
    return f"{os.environ['MASTER_ADDR']}:{_number('MASTER_PORT', range(1, 1 << 16), default=0)}"


def _number(name: str, allowed: range, *, default: int) -> int:
    """Returns a number that a launcher has put into the environment."""
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and int(text) in allowed):
        raise UsageError(
            f"{name}={text} in the environment is not a number from {allowed[0]} to {allowed[-1]}; "
            f"{_LAUNCHERS}"
        )
    return int(text)


def from_first(work: Callable[[], T]) -> T:
    """Runs a function in the first rank; all ranks get its result, which is pickled.

    Raises:
        SystemExit: In the other ranks, when it raises in the first.
    """
    if count() == 1:
        return work()
    with together():
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
def together(given: Mapping[str, Any] = MappingProxyType({})) -> Iterator[None]:
    """Runs a training on all ranks: if one fails, all end, and one reports the reason. May be nested.

    Args:
        given: All that the training depends on, see `require_equal`; empty compares nothing.

    Raises:
        UsageError: When ranks were given different things.
        SystemExit: In a rank that ends because another has failed.
    """
    if count() == 1 or _Alarm.is_heard:
        if given:
            require_equal(given)
        yield
        return
    join()
    alarm = _Alarm()
    try:
        with alarm.heard():
            if given:
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
        self._sounded = False  # by another rank, as the listener has heard

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
        if self._sounded and not is_first():  # the store may be gone already, which torch logs at length
            return False
        me = str(rank())
        try:
            first = self._store.compare_set(self._key, "", me).decode() == me
            self._store.set(f"{self._key}/{me}", "")
            if is_first():
                self._wait_for_others()
            return first
        except RuntimeError:
            return None

    def _wait_for_others(self) -> None:
        """Keeps the store, which without a launcher is the first rank's, until all have heard the alarm."""
        everyone = [f"{self._key}/{number}" for number in range(count())]
        until = time.monotonic() + _HEARD_S
        while not self._store.check(everyone) and time.monotonic() < until:
            time.sleep(_POLL_S / 10)

    def _listen(self) -> None:
        try:
            while not self._store.check([self._key]):
                if self._done.wait(_POLL_S):
                    return
            self._sounded = True
            self._store.set(f"{self._key}/{rank()}", "")
        except RuntimeError:  # the store is gone with the rank that had it, whose work is done
            return
        # The main thread may wait in C++ for a rank that is gone, where no exception reaches it.
        if not self._done.wait(_GRACE_S):
            os._exit(1)
