"""Problem sets by name or path, read row by row; hidden tests stay apart (hidden_tests.py)."""

from o1coder_gym.problems.loading import ProblemSet, limits_for, load_problems, load_rows, stream_rows
from o1coder_gym.problems.rows import ProblemRow, problem_row_from_json, problem_row_to_json
from o1coder_gym.problems.sources import KNOWN_SETS, KnownSet, find_files

__all__ = [
    "KNOWN_SETS",
    "KnownSet",
    "ProblemRow",
    "ProblemSet",
    "find_files",
    "limits_for",
    "load_problems",
    "load_rows",
    "problem_row_from_json",
    "problem_row_to_json",
    "stream_rows",
]
