"""From the string that names a step scorer to the scorer.

======================  ==================================================  =================================
string                  scorer                                              example
======================  ==================================================  =================================
``heuristic``           no model: the form of a step                        ``heuristic``
``package.mod:make``    what the factory makes when called without arguments  ``mine.scorers:make``
======================  ==================================================  =================================

Scorers are shared: equal strings mean one scorer per process.
"""

from __future__ import annotations

import pkgutil
from functools import lru_cache

from o1coder_gym.errors import UsageError
from o1coder_gym.prm.heuristic import HeuristicScorer
from o1coder_gym.protocols import StepScorer


@lru_cache(maxsize=16)
def load_scorer(spec: str) -> StepScorer:
    """Returns the step scorer that `spec` names; a model is loaded with the first state that it scores.

    Raises:
        UsageError: When there is no such scorer, or a factory makes something that cannot score.
        UnknownNameError: When an option is unknown.
        MissingExtraError: When torch is needed and not installed.
        WeightsError: When the model cannot be found.
    """
    if spec == "heuristic":
        return HeuristicScorer()
    return _made(spec)


def _made(spec: str) -> StepScorer:
    try:
        scorer = pkgutil.resolve_name(spec)()
    except (ValueError, ImportError, AttributeError) as error:
        known = "neither heuristic, nor prm:NAME, nor an importable 'package.module:factory'"
        raise UsageError(f"scorer {spec!r} is {known}: {error}") from error
    if not isinstance(scorer, StepScorer):
        raise UsageError(f"scorer {spec!r} made a {type(scorer).__name__}, which has no score method")
    return scorer
