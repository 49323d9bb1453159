"""From the string that names a step scorer to the scorer.

======================  ==================================================  =================================
string                  scorer                                              example
======================  ==================================================  =================================
``heuristic``           no model: the form of a step                        ``heuristic``
``prm:FOLDER``          trained by `o1coder prm train`; options             ``prm:runs/prm/model?batch=16``
``prm:NAME``            a public PRM by name (`o1coder prm list`)           ``prm:skywork-o1-prm-1.5b``
``package.mod:make``    what the factory makes when called without arguments  ``mine.scorers:make``
======================  ==================================================  =================================

Scorers are shared: equal strings mean one scorer per process.
"""

from __future__ import annotations

import importlib.util
import pkgutil
from functools import lru_cache

from o1coder_gym.errors import MissingExtraError, UsageError
from o1coder_gym.prm.heuristic import HeuristicScorer
from o1coder_gym.protocols import StepScorer


@lru_cache(maxsize=16)
def load_scorer(spec: str) -> StepScorer:
    """Returns the step scorer that `spec` names.

    Raises:
        UsageError: When there is no such scorer, or a factory makes something that cannot score.
        UnknownNameError: When an option is unknown.
        MissingExtraError: When torch is needed and not installed.
        WeightsError: When the model cannot be found.
    """
    kind, _, rest = spec.partition(":")
    if spec == "heuristic":
        return HeuristicScorer()
    if kind == "prm" and rest:
        for package in ("torch", "transformers"):
            if importlib.util.find_spec(package) is None:
                raise MissingExtraError(package, "hf")
        from o1coder_gym.prm.scorer import scorer_from_name

        return scorer_from_name(rest)
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
