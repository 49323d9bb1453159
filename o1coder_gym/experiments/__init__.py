"""The work of the commands, for use from Python: benchmarks, synthesis, training runs, self-play.

Each is one call into a run folder: it prints nothing, tells callbacks of its progress, continues with
``resume=True`` where it was interrupted, and returns frozen values. Weights and torch are loaded by the calls
that need them. docs/experiments.md shows them.
"""

from o1coder_gym.experiments.benchmark import NoAnswersError, run_benchmark, run_plan
from o1coder_gym.experiments.measures.aspr import measure_aspr
from o1coder_gym.experiments.measures.held_out import Gain, HeldOut, PolicyQuality, policy_quality
from o1coder_gym.experiments.measures.rejudging import Rejudged, rejudge
from o1coder_gym.experiments.measures.reproduction import reproduce
from o1coder_gym.experiments.micro.make import Micro, make_micro
from o1coder_gym.experiments.self_play import SelfPlayResult, self_play
from o1coder_gym.experiments.self_play.config import SelfPlayConfig, read_config
from o1coder_gym.experiments.shards import SynthesisPlan
from o1coder_gym.experiments.solving import Solved, Solver, solve
from o1coder_gym.experiments.suite import ProblemChoice, Suite, parts, read_cells, read_suite, run_suite
from o1coder_gym.experiments.synthesis import FailedSearchesError, HarvestRules, synthesize
from o1coder_gym.experiments.tools import Plan, Tools
from o1coder_gym.experiments.training.choice import ChoiceSettings, ChoiceTraining, train_choice
from o1coder_gym.experiments.training.rl import RLPlan, TrainedPolicy, train_on_pairs, train_policy
from o1coder_gym.experiments.training.sft import SFTSettings, fine_tune

__all__ = [
    "ChoiceSettings",
    "ChoiceTraining",
    "FailedSearchesError",
    "Gain",
    "HarvestRules",
    "HeldOut",
    "Micro",
    "NoAnswersError",
    "Plan",
    "PolicyQuality",
    "ProblemChoice",
    "RLPlan",
    "Rejudged",
    "SFTSettings",
    "SelfPlayConfig",
    "SelfPlayResult",
    "Solved",
    "Solver",
    "Suite",
    "SynthesisPlan",
    "Tools",
    "TrainedPolicy",
    "fine_tune",
    "make_micro",
    "measure_aspr",
    "parts",
    "policy_quality",
    "read_cells",
    "read_config",
    "read_suite",
    "rejudge",
    "reproduce",
    "run_benchmark",
    "run_plan",
    "run_suite",
    "self_play",
    "solve",
    "synthesize",
    "train_choice",
    "train_on_pairs",
    "train_policy",
]
