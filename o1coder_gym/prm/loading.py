"""From the string that names a step scorer to the scorer.

===================================  =======================================  ================================
spec                                 scorer                                   example
===================================  =======================================  ================================
``heuristic``                        no model: the form of a step             ``heuristic``
``prm:FOLDER?key=value&…``           trained by `o1coder prm train`           ``prm:RUN/model?dtype=float32``
``prm:NAME``                         a public PRM (`o1coder prm list`)        ``prm:skywork-o1-prm-1.5b``
``package.module:make?key=value&…``  what the factory makes of the arguments  ``mine.scorers:make?depth=3``
===================================  =======================================  ================================

Packages add scorers as plug-ins, see `registry`. Scorers are shared: equal strings, one scorer per process.
"""

from __future__ import annotations

import logging

from o1coder_gym.errors import UsageError, require
from o1coder_gym.prm.public import ScorerSettings
from o1coder_gym.runs.kept import kept
from o1coder_gym.specs import parse, registry
from o1coder_gym.types.protocols import StepScorer

_LOG = logging.getLogger(__name__)

_DEFAULTS = ScorerSettings()


@kept(16, lambda spec: [spec])
def load_scorer(spec: str) -> StepScorer:
    """Returns the step scorer that `spec` names; the same one while its files stay as they are.

    Raises:
        UsageError: When there is no such scorer, an option makes no sense, or what is made cannot score.
        UnknownNameError: When an option is unknown.
        MissingExtraError: When torch is needed and not installed.
        PluginError: When the package that it comes from does not work.
        WeightsError: When the model cannot be found.
    """
    _LOG.info("scorer %s", spec)
    scorer = registry.make("scorer", parse(spec), spec)
    if not isinstance(scorer, StepScorer):
        raise UsageError(f"scorer {spec!r} made a {type(scorer).__name__}, which has no score method")
    return scorer


def model_scorer(target: str, *, settings: ScorerSettings = _DEFAULTS) -> StepScorer:
    """Scores steps by a process reward model (PRM): a trained folder, or a public one by name."""
    require("hf", "torch", "transformers")
    from o1coder_gym.prm.scorer import model_scorer as make

    return make(target, settings)
