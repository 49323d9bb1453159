"""Other surroundings for a program: what noise depends on is changed, what a right program reads is not.

The sandbox gives each process the same random numbers, the same heap and, within a second, the same time: a
program that returns any of these does so again, and looks as if it were sure of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from o1coder_gym.types import Problem

_SHIFT_S = 400 * 86400 + 5 * 3600 + 7 * 60 + 13
"""Later by over a year, and by no whole days, hours or minutes."""


def disturbed(problem: Problem, code: str, number: int) -> Problem:
    """Returns a problem whose prelude changes the surroundings of a program.

    The program finds other random numbers, another date, and other objects in memory. No name is defined
    for it, and its source stays as it is: what has to come first in it comes first.

    Args:
        problem: The problem.
        code: The program.
        number: Of the surroundings: 0 is those of the sandbox, each one above has its own.
    """
    if not number:
        return problem
    changes = [_disturb]
    if "datetime" in problem.prelude + code:  # few programs load it, and loading takes as long as they do
        changes.append(_disturb_dates)
    prelude = "from __future__ import annotations\n"  # as here: their types are not looked up there
    prelude += "".join(f"{_source(one)}{one.__name__}({number}, {number * _SHIFT_S})\n" for one in changes)
    prelude += f"del {', '.join(one.__name__ for one in changes)}\n"
    if problem.prelude:
        # Compiled by itself: it may begin with an import from the future.
        prelude += f"exec(compile({problem.prelude!r}, '<prelude>', 'exec', dont_inherit=True))\n"
    return replace(problem, prelude=prelude)


@cache
def _source(function: Callable[..., None]) -> str:
    return inspect.getsource(function)


def _disturb(number: int, shift_s: int) -> None:
    """Changes the surroundings. Only its source is used, before a program and in that one's process."""
    import builtins
    import sys
    import time

    # By chance: each input of a whole program has a process of its own, and needs other numbers there.
    for name, module in [*sys.modules.items()]:
        if name.rpartition(".")[2] == "random":  # also that of a loaded package
            getattr(module, "seed", int)()

    class Clock:  # not a function, which would be bound where a program makes it an attribute of its class
        ballast: list[Any]

        def __init__(self, read: Any) -> None:
            self.read = read

        def __call__(self, *given: Any) -> Any:
            return self.read(*given)

    def later(module: Any, name: str, shift: int) -> None:
        real = getattr(module, name)
        setattr(module, name, Clock(lambda *given: real(*given) + shift))

    def dated(name: str, now: Any, place: int) -> None:
        real = getattr(time, name)
        setattr(
            time, name, Clock(lambda *given: real(*given, now()) if len(given) == place else real(*given))
        )

    def filled(size: int) -> list[Any]:
        # Small objects lie among those of their size, in steps of 16 bytes; an empty `bytes` takes 33.
        small = {16: object, 32: lambda: int("1" * 12)}
        make = small.get(size, lambda: bytes(size - 33))
        places = [make() for _ in range(24 if size <= 512 else 3)]
        # The first third stays: it has the places that objects of the program would have had. Holes are
        # made in the rest, and the one made last is the first that an object gets.
        for turn in range(len(places) // 3):
            places.pop(-1 - hash((number, size, turn)) % (len(places) - len(places) // 3))
        return [*places, *small.values(), make]

    ballast = [filled(size) for size in range(16, 1600, 16)]
    Clock.ballast = [*locals().values(), _disturb]  # the place of none of these becomes free

    # Not CPU time: it begins with the process, and programs may stop by it.
    for name in ("time", "monotonic", "perf_counter", "clock_gettime"):
        later(time, name, shift_s)
        later(time, f"{name}_ns", shift_s * 10**9)
    for name in ("localtime", "gmtime", "ctime"):
        dated(name, time.time, 0)
    dated("asctime", time.localtime, 0)
    dated("strftime", time.localtime, 1)
    later(builtins, "id", shift_s << 4)  # of what is older than the process, as None is


def _disturb_dates(number: int, shift_s: int) -> None:
    """Changes the date that ``datetime`` tells, as `_disturb` does; ``today`` asks ``time`` for it."""
    import datetime as dates

    plain, shift = dates.datetime, dates.timedelta(seconds=shift_s)

    class Kind(type):  # objects of the class that loaded modules know are of the other class too
        def __instancecheck__(cls, one: Any) -> bool:
            return isinstance(one, plain) if cls is datetime else super().__instancecheck__(one)

        def __subclasscheck__(cls, kind: type) -> bool:
            return issubclass(kind, plain) if cls is datetime else super().__subclasscheck__(kind)

    class datetime(plain, metaclass=Kind):
        __slots__ = ()
        __module__, __qualname__ = "datetime", "datetime"

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return super().now(tz) + shift

        def __repr__(self) -> str:
            text = super().__repr__()  # of classes that Python code defines it leaves the module out
            return f"datetime.{text}" if type(self) is datetime else text

        @classmethod
        def utcnow(cls) -> Any:
            return super().utcnow() + shift

    dates.datetime = datetime
