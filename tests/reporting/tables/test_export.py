"""Tables for other tools."""

import csv
import math
from pathlib import Path

import pytest

from o1coder_gym.errors import UsageError
from o1coder_gym.reporting.tables.export import Grid, to_csv, to_latex, write_grid

GRID = Grid(
    "t", [{"agent": "mcts?c=1_4", "share": 0.5, "n": 1024}, {"agent": "a&b", "share": math.nan, "n": None}]
)


def test_csv_is_read_back(tmp_path: Path) -> None:
    with write_grid(GRID, tmp_path / "new" / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"agent": "mcts?c=1_4", "share": "0.5", "n": "1024"},
        {"agent": "a&b", "share": "", "n": ""},
    ]


def test_latex_escapes_and_aligns() -> None:
    assert to_latex(GRID).splitlines() == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"agent & share & n \\",
        r"\midrule",
        r"mcts?c=1\_4 & 0.500 & 1,024 \\",
        r"a\&b & -- & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_latex_fits_a_column_of_a_paper() -> None:
    rows = [
        {"agent": name, "policy": "hf:a_b", "share": share, "low": share - 0.25, "high": 0.9, "calls": 7}
        for name, share in (("mcts", 0.5), ("puct", 0.125))
    ]
    assert to_latex(Grid("t", rows, frozenset({"calls"}))).splitlines() == [
        "% all rows: policy hf:a_b",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"agent & share \\",
        r"\midrule",
        r"mcts & 0.500 [0.250, 0.900] \\",
        r"puct & 0.125 [$-$0.125, 0.900] \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert to_latex(Grid("t", rows[:1])).splitlines()[2].startswith("agent & policy & share & calls")


@pytest.mark.parametrize(
    ("column", "number", "latex"),
    [
        ("p", 0.0004, "$<$0.001"),
        ("p_corrected", 0.0004, "$<$0.001"),
        ("p", 0.0006, "0.001"),
        ("difference", 0.0004, "0.000"),
        ("flops", 296122163.2, r"$3.0\times10^{8}$"),
        ("flops", 4e11, r"$4.0\times10^{11}$"),
        ("tokens", 2_000_000, "2,000,000"),
    ],
)
def test_latex_rounds_to_what_is_true_and_csv_keeps_all_digits(
    column: str, number: float, latex: str
) -> None:
    grid = Grid("t", [{column: number}])
    assert to_latex(grid).splitlines()[4] == rf"{latex} \\"
    assert to_csv(grid) == f"{column}\n{number}\n"


def test_parquet_is_read_back(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(write_grid(GRID, tmp_path / "t.parquet")).to_pylist()
    assert rows == [
        {"agent": "mcts?c=1_4", "share": 0.5, "n": 1024},
        {"agent": "a&b", "share": None, "n": None},
    ]


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.csv, \.tex, \.parquet"):
        write_grid(GRID, tmp_path / "t.xls")
