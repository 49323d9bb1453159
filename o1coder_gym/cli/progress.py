"""Progress bars on standard error, so that standard output stays the command's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Item = TypeVar("Item")


def progress_bars(console: Console, words: str = "{task.fields[told]}") -> Progress:
    """Returns bars of title, count, `words` on how it goes, and time; they stay when done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(words))
    return Progress(*columns, TimeElapsedColumn(), console=console)


def tracked(items: Iterable[Item], total: int, title: str) -> Iterator[Item]:
    """Yields items and moves a bar, which vanishes when done and is not shown to a file."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(escape(title), total=total)
        for item in items:
            progress.advance(bar)
            yield item
