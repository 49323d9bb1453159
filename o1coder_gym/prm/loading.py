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

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from o1coder_gym import registry
from o1coder_gym.errors import MissingExtraError, UsageError
from o1coder_gym.parameters import AtLeastOne, Count, check_fields
from o1coder_gym.protocols import StepScorer
from o1coder_gym.specs import parse


@dataclass(frozen=True, slots=True)
class ScorerSettings:
    """Options of ``prm:``.

    Attributes:
        dtype: Of the weights; ``auto`` is bfloat16 on a GPU, else float32.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, …
        batch_tokens: Tokens of a forward pass at most, padding included; a longer chain runs alone.
        prefix_mib: Memory for what steps before have computed, kept between calls, in MiB; 0 keeps nothing.
        kind: Family of the model (`public.KINDS`) where its folder does not say.
        format: Step format where its folder does not say.
        calibrated: Whether to use the calibration beside the weights: ``yes`` or ``no``.
    """

    dtype: str = "auto"
    device: str = "auto"
    batch_tokens: AtLeastOne = 16384
    prefix_mib: Count = 1024
    kind: str = ""
    format: str = "pseudocode"
    calibrated: Literal["yes", "no"] = "yes"

    def __post_init__(self) -> None:
        """Raises `UsageError` when a value makes no sense."""
        check_fields(self)


_DEFAULTS = ScorerSettings()


@lru_cache(maxsize=16)
def load_scorer(spec: str) -> StepScorer:
    """Returns the step scorer that `spec` names.

    Raises:
        UsageError: When there is no such scorer, an option makes no sense, or what is made cannot score.
        UnknownNameError: When an option is unknown.
        MissingExtraError: When torch is needed and not installed.
        PluginError: When the package that it comes from does not work.
        WeightsError: When the model cannot be found.
    """
    scorer = registry.make("scorer", parse(spec), spec)
    if not isinstance(scorer, StepScorer):
        raise UsageError(f"scorer {spec!r} made a {type(scorer).__name__}, which has no score method")
    return scorer


def model_scorer(target: str, *, settings: ScorerSettings = _DEFAULTS) -> StepScorer:
    """Scores steps by a process reward model (PRM): a trained folder, or a public one by name."""
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "hf")
    from o1coder_gym.prm.scorer import model_scorer as make

    return make(target, settings)
