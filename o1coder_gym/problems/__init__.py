"""Problem sets by name or path, read row by row; hidden tests stay apart (hidden_tests.py)."""

from o1coder_gym.problems.loading import ProblemSet, limits_for, load_problems, load_rows

__all__ = ["ProblemSet", "limits_for", "load_problems", "load_rows"]
