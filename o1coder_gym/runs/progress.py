"""Progress on standard error, which leaves standard output to the results of the command.

A terminal gets bars; a file or a pipe, such as a batch system's log, gets a line per quarter of the work.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from o1coder_gym.runs import ranks

Item = TypeVar("Item")

_SILENCE_S = 30.0
"""A log gets a line after this many seconds even where less than a quarter was done."""


_silent = True  # a call from Python tells its callbacks; a command, which starts with `silence`, its user


def silence(silent: bool) -> None:
    """Silences `notes` or lets them print; without a command they are silent. Warnings always print."""
    global _silent
    _silent = silent


def notes(**options: Any) -> Console:
    """Returns a console on standard error for progress and remarks of the first rank; not with ``--quiet``.

    Args:
        options: Of `rich.console.Console`.
    """
    return Console(stderr=True, quiet=_silent or not ranks.is_first(), **options)


def progress_bars(console: Console, *, transient: bool = False) -> Progress:
    """Returns bars of title, count, what the field ``told`` says, and time; lines where there is no terminal.

    Args:
        console: Where they are drawn.
        transient: Whether they vanish at the end.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
    )
    # Bars send what is printed meanwhile through their console: a quiet one would lose it, and rows that are
    # meant for a file would be shown in the terminal instead, folded to its width.
    kind = Progress if console.is_terminal and not console.quiet else ProgressLines
    return kind(*columns, console=console, transient=transient, redirect_stdout=sys.stdout.isatty())


def tracked(items: Iterable[Item], total: int, title: str) -> Iterator[Item]:
    """Yields items and moves a bar, which vanishes when done; lines where there is no terminal."""
    with progress_bars(notes(), transient=True) as progress:
        bar = progress.add_task(escape(title), total=total, told="")
        for item in items:
            progress.advance(bar)
            yield item


def warn(*lacks: str) -> None:
    """Prints one line on standard error; nothing for an empty text."""
    if (told := "; ".join(filter(None, lacks))) and ranks.is_first():
        Console(stderr=True, soft_wrap=True).print(f"warning: {told}", markup=False, highlight=False)


class ProgressLines(Progress):
    """Progress for a log: the same columns as a plain line, bars aside, whenever there is news."""

    def __init__(self, *columns: str | ProgressColumn, **options: Any) -> None:
        """Takes what `rich.progress.Progress` takes; nothing is drawn over."""
        super().__init__(*columns, **options)
        self._said: dict[TaskID, tuple[int, float]] = {}

    def start(self) -> None:
        """Draws nothing: lines come with the work."""

    def stop(self) -> None:
        """Leaves the lines as they are."""

    def update(self, task_id: TaskID, **fields: Any) -> None:
        """Updates a task, and prints its line after each further quarter of the work."""
        super().update(task_id, **fields)
        self._say(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Advances a task, and prints its line as `update` does."""
        super().advance(task_id, advance)
        self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        task = self._tasks[task_id]
        quarter, now = int(task.percentage // 25), time.monotonic()
        said, at = self._said.get(task_id, (0, now))
        if quarter > said or (now - at > _SILENCE_S and not task.finished):
            self._said[task_id] = quarter, now
            parts = [column(task) for column in self.columns if not isinstance(column, str | BarColumn)]
            self.console.print(" ".join(filter(None, map(str, parts))), markup=False, highlight=False)
        elif task_id not in self._said:
            self._said[task_id] = said, at
