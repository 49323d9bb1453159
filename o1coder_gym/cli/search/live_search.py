"""One search as it happens: its tree, redrawn while it grows; lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from o1coder_gym.cli.search.live_text import LivePicture
from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.reporting.results import counted
from o1coder_gym.reporting.tree_text import terminal_tree
from o1coder_gym.types import Usage
from o1coder_gym.types.queries import Answer, Query

LEGEND = "● thought  ■ program · v: value W / N, orange 0 to teal 1 · N: visits"

_REST = 12
"""Lines of a screen that are not the tree's."""


class LiveSearch(LivePicture):
    """Shows a tree search; an observer for the driver, and a context manager around its run.

    What is drawn is the tree that the agent searches, its visits and its values, not an account of them.
    """

    overflow = "crop"

    def __init__(self, console: Console, look: Callable[[], SearchTree], tokens: int) -> None:
        """Prepares to draw.

        Args:
            console: Where.
            look: Returns the tree as far as it has grown.
            tokens: Its budget, > 0.
        """
        super().__init__(console)
        self._look = look
        self._tokens = tokens
        self._usage = Usage()
        self._begun = time.monotonic()
        self._seconds = 0.0
        self._over = False

    def __call__(self, task: object, query: Query, answer: Answer, usage: Usage) -> None:
        """Takes note of what was spent; the tree has the rest."""
        self._usage = usage
        self._seconds = time.monotonic() - self._begun

    def __enter__(self) -> Self:
        """Starts the clock, and to draw."""
        self._begun = time.monotonic()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        """Leaves the last picture on the screen, with the time that it took."""
        self._over = True
        super().__exit__()

    def _picture(self) -> RenderableType:
        most = max(8, min(24, self._console.height - _REST))
        tree = self._look()
        title = f"{counted(len(tree.nodes) - 1, 'step')}, {counted(tree.nodes[0].visits, 'simulation')}"
        return Group(terminal_tree(tree, most=most, title=title), Text(LEGEND, "dim"), self._pace())

    def _pace(self) -> RenderableType:
        """Returns a line: the share of the budget spent, the speed, and how long it took or takes at most."""
        spent = self._usage.tokens
        speed = spent / self._seconds if self._seconds else 0.0
        line = Table.grid(padding=(0, 1, 0, 0))
        words = f"{spent:,} of {self._tokens:,} tokens"
        if speed:
            left = f"at most {max(0, self._tokens - spent) / speed:.0f} s more"
            words += f" · {speed:,.0f} tokens/s · {f'{self._seconds:.1f} s' if self._over else left}"
        line.add_row(ProgressBar(total=self._tokens, completed=spent, width=16), Text(words))
        return line
