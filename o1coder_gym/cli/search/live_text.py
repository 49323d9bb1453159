"""Two texts side by side as a model writes them; lines where there is no terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_FRAMES_PER_S = 8


class SideBySide:
    """Columns of text that grow; a context manager. One column grows at a time.

    What is written may come from any thread: a picture is drawn of whatever is there.
    """

    def __init__(self, console: Console, titles: Sequence[str]) -> None:
        """Makes empty columns with these titles."""
        self._console = console
        self._titles = list(titles)
        self._texts = [""] * len(titles)
        self._ends: list[Text | None] = [None] * len(titles)
        self._live = Live(
            get_renderable=self._picture,
            console=console,
            refresh_per_second=_FRAMES_PER_S,
            vertical_overflow="visible",
        )

    def write(self, column: int, text: str) -> None:
        """Replaces the text of a column."""
        self._texts[column] = text

    def conclude(self, column: int, verdict: Text) -> None:
        """Puts a last line below a column."""
        self._ends[column] = verdict

    def __enter__(self) -> SideBySide:
        """Starts to draw."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the last picture on the screen; without a terminal it is the only one."""
        if self._console.is_terminal:
            self._live.stop()
        else:
            self._console.print(self._picture())

    def _picture(self) -> RenderableType:
        grid = Table.grid(expand=True, padding=(0, 1, 0, 0))
        for _ in self._titles:
            grid.add_column(ratio=1)
        panels = [
            Panel(Text(text.strip(), overflow="fold"), title=title, title_align="left", border_style="dim")
            for title, text in zip(self._titles, self._texts, strict=True)
        ]
        grid.add_row(*panels)
        grid.add_row(*(end or Text("…", "dim") for end in self._ends))
        return grid
