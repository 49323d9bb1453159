"""Tables as files for other tools: CSV, LaTeX (booktabs) and Parquet."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from o1coder_gym.errors import MissingExtraError, UsageError

Cell: TypeAlias = str | int | float | bool | None
"""NaN and None are empty cells."""

SUFFIXES: Mapping[str, str] = {"csv": ".csv", "latex": ".tex", "parquet": ".parquet"}
"""Endings of the files, by the name of the format."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table without formatting.

    Attributes:
        name: Of its file, without an ending.
        rows: By column; all rows have the columns of the first, at least one row. ``low`` and ``high`` are
            the ends of the interval of the column before them.
        details: Columns that a paper has no room for, left out in LaTeX.
    """

    name: str
    rows: Sequence[Mapping[str, Cell]]
    details: frozenset[str] = frozenset()


def write_grid(grid: Grid, path: Path) -> Path:
    """Writes a table in the format of the file's suffix, and returns the file.

    Raises:
        UsageError: When there is no format for that ending.
        MissingExtraError: When pyarrow is not installed, for Parquet.
    """
    write = _WRITERS.get(path.suffix)
    if write is None:
        raise UsageError(f"{path}: expected a file that ends in {', '.join(_WRITERS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write(grid, path)
    return path


def to_csv(grid: Grid) -> str:
    """Returns a table as CSV with a line of headings; shares stay in [0, 1], with all digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(grid.rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if _empty(cell) else cell for name, cell in row.items()} for row in grid.rows)
    return text.getvalue()


def to_latex(grid: Grid) -> str:
    r"""Returns a ``tabular`` with the rules of booktabs, to be read by ``\input``, for a column of a paper.

    Numbers are rounded, an interval stands beside its number, and what is the same in all rows is in a
    comment, for the caption.
    """
    columns = [name for name in grid.rows[0] if name not in grid.details]
    ranged = {columns[place - 1] for place, name in enumerate(columns) if name == _ENDS[0]}
    same = [name for name in columns if name not in (*_ENDS, *ranged) and _same(grid.rows, name)]
    shown = [name for name in columns if name not in (*_ENDS, *same)]
    lines = [" & ".join(_latex_cell(row, name, name in ranged) for name in shown) for row in grid.rows]
    numbers = [all(isinstance(row[name], int | float | None) for row in grid.rows) for name in shown]
    places = "".join("r" if number else "l" for number in numbers)
    comment = [f"% all rows: {', '.join(f'{name} {grid.rows[0][name]}' for name in same)}"] if same else []
    head = " & ".join(_tex(name.replace("_", " ")) for name in shown)
    body = [r"\toprule", rf"{head} \\", r"\midrule", *(rf"{line} \\" for line in lines), r"\bottomrule"]
    return "\n".join([*comment, rf"\begin{{tabular}}{{{places}}}", *body, r"\end{tabular}"]) + "\n"


def _same(rows: Sequence[Mapping[str, Cell]], name: str) -> bool:
    return len(rows) > 1 and len({_tex(row[name]) for row in rows}) == 1


def _write_parquet(grid: Grid, path: Path) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "data") from error
    rows = [{name: None if _empty(cell) else cell for name, cell in row.items()} for row in grid.rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


_WRITERS: Mapping[str, Callable[[Grid, Path], object]] = {
    ".csv": lambda grid, path: path.write_text(to_csv(grid), encoding="utf-8"),
    ".tex": lambda grid, path: path.write_text(to_latex(grid), encoding="utf-8"),
    ".parquet": _write_parquet,
}
_ENDS = ("low", "high")
"""Columns with the ends of an interval."""

_P_VALUES = frozenset({"p", "p_corrected"})
"""Columns in which 0.000 would claim too much: no p is 0."""

_LARGE = 1e6
"""From here on a float, such as FLOPs, is written as a power of ten."""

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def _latex_cell(row: Mapping[str, Cell], name: str, ranged: bool) -> str:
    text = "$<$0.001" if name in _P_VALUES and _tex(row[name]) == "0.000" else _tex(row[name])
    return f"{text} [{', '.join(_tex(row[end]) for end in _ENDS)}]" if ranged else text


def _tex(cell: Cell) -> str:
    if _empty(cell):
        return "--"
    if isinstance(cell, float) and _LARGE <= abs(cell) < math.inf:
        digits, power = f"{cell:.1e}".split("e")
        return rf"${digits}\times10^{{{int(power)}}}$"
    if isinstance(cell, float):
        return f"{cell:.3f}".replace("-", "$-$")
    text = f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)
    return re.sub(r"[\\~^&%$#_{}]", lambda found: _SPECIAL.get(found[0], f"\\{found[0]}"), text)


def _empty(cell: Cell) -> bool:
    return cell is None or cell != cell  # NaN is not equal to itself
