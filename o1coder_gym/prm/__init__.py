"""Process reward models: values of reasoning steps (paper, equations 3 and 4). Loads no torch."""

from o1coder_gym.prm.heuristic import HeuristicScorer
from o1coder_gym.prm.loading import load_scorer

__all__ = ["HeuristicScorer", "load_scorer"]
