"""What is drawn while it happens: pictures drawn anew, and texts side by side as a model writes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_FRAMES_PER_S = 8


class LivePicture(ABC):
    """A picture that is redrawn while something runs; a context manager. A log gets only the last one.

    What it shows may change from any thread: a picture is drawn of whatever is there.
    """

    overflow: Literal["crop", "visible"] = "visible"
    """What becomes of lines that do not fit the screen."""

    def __init__(self, console: Console) -> None:
        """Prepares to draw on `console`."""
        self._console = console
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Starts to draw."""
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._picture,
                console=self._console,
                refresh_per_second=_FRAMES_PER_S,
                vertical_overflow=self.overflow,
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the last picture on the screen."""
        if self._live is not None:
            self._live.stop()
        else:
            self._console.print(self._picture())

    @abstractmethod
    def _picture(self) -> RenderableType:
        """Draws what there is now."""


class SideBySide(LivePicture):
    """Columns of text that grow, one at a time."""

    def __init__(self, console: Console, titles: Sequence[str]) -> None:
        """Makes empty columns with these titles."""
        super().__init__(console)
        self._titles = list(titles)
        self._texts = [""] * len(titles)
        self._ends: list[Text | None] = [None] * len(titles)

    def write(self, column: int, text: str) -> None:
        """Replaces the text of a column."""
        self._texts[column] = text

    def conclude(self, column: int, verdict: Text) -> None:
        """Puts a last line below a column."""
        self._ends[column] = verdict

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
