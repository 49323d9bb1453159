"""The data types of the decision process: frozen values without behaviour beyond serialization.

The Markov decision process is that of O1-CODER (arXiv 2412.00154, section 2): a state is the
question and the reasoning steps so far, an action is one reasoning step written as text.

Beside the data lie what you can implement (`types.protocols`) and what a search can ask (`types.queries`);
authors import both from `o1coder_gym.protocols` and `o1coder_gym.queries`.
"""

from o1coder_gym.types.proposals import GREEDY, Author, Finish, PolicyRequest, Proposal, Sampling
from o1coder_gym.types.searches import Parting, Scored, SearchResult, Usage
from o1coder_gym.types.states import ActionType, Problem, State, Step
from o1coder_gym.types.tests import (
    AssertTest,
    CallTest,
    CheckerTest,
    CheckTest,
    GeneratedTests,
    StdioTest,
    TestCase,
    Tests,
)
from o1coder_gym.types.transitions import Transition
from o1coder_gym.types.verdicts import CaseResult, Limits, Outcome, Submission, Verdict

__all__ = [
    "GREEDY",
    "ActionType",
    "AssertTest",
    "Author",
    "CallTest",
    "CaseResult",
    "CheckTest",
    "CheckerTest",
    "Finish",
    "GeneratedTests",
    "Limits",
    "Outcome",
    "Parting",
    "PolicyRequest",
    "Problem",
    "Proposal",
    "Sampling",
    "Scored",
    "SearchResult",
    "State",
    "StdioTest",
    "Step",
    "Submission",
    "TestCase",
    "Tests",
    "Transition",
    "Usage",
    "Verdict",
]
