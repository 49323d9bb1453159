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
        rows: By column; all rows have the columns of the first, at least one row.
    """

    name: str
    rows: Sequence[Mapping[str, Cell]]


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
    r"""Returns a ``tabular`` with the rules of booktabs, to be read by ``\input``; numbers are rounded."""
    columns = list(grid.rows[0])
    numbers = [all(isinstance(row[name], int | float | None) for row in grid.rows) for name in columns]
    lines = [" & ".join(_tex_cell(name, row[name]) for name in columns) + r" \\" for row in grid.rows]
    head = " & ".join(_tex(name.replace("_", " ")) for name in columns) + r" \\"
    places = "".join("r" if number else "l" for number in numbers)
    parts = [rf"\begin{{tabular}}{{{places}}}", r"\toprule", head, r"\midrule", *lines, r"\bottomrule"]
    return "\n".join([*parts, r"\end{tabular}"]) + "\n"


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
_P_VALUES = frozenset({"p", "p_corrected"})
"""Columns in which 0.000 would claim too much: no p is 0."""

_LARGE = 1e6
"""From here on a float, such as FLOPs, is written as a power of ten."""

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def _tex_cell(column: str, cell: Cell) -> str:
    text = _tex(cell)
    return "$<$0.001" if column in _P_VALUES and text == "0.000" else text


def _tex(cell: Cell) -> str:
    if _empty(cell):
        return "--"
    if isinstance(cell, float) and _LARGE <= abs(cell) < math.inf:
        digits, power = f"{cell:.1e}".split("e")
        return rf"${digits}\times10^{{{int(power)}}}$"
    if isinstance(cell, float):
        return f"{cell:.3f}"
    text = f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)
    return re.sub(r"[\\~^&%$#_{}]", lambda found: _SPECIAL.get(found[0], f"\\{found[0]}"), text)


def _empty(cell: Cell) -> bool:
    return cell is None or cell != cell  # NaN is not equal to itself
