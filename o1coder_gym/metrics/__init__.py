"""Metrics: rates of solved problems, estimates with intervals, reliability of scores. Pure functions."""

from o1coder_gym.metrics.estimates import (
    Estimate,
    Numbers,
    bootstrap_interval,
    estimate,
    estimate_difference,
    estimate_mean,
    estimate_share,
    paired_difference,
    wilson_interval,
)
from o1coder_gym.metrics.rates import (
    SamplingPassRate,
    area_under_curve,
    average_sampling_pass_rate,
    estimate_pass_at_k,
    generation_flops,
    pass_at_k,
)
from o1coder_gym.metrics.reliability import Bin, by_score, calibration_error, reliability

__all__ = [
    "Bin",
    "Estimate",
    "Numbers",
    "SamplingPassRate",
    "area_under_curve",
    "average_sampling_pass_rate",
    "bootstrap_interval",
    "by_score",
    "calibration_error",
    "estimate",
    "estimate_difference",
    "estimate_mean",
    "estimate_pass_at_k",
    "estimate_share",
    "generation_flops",
    "paired_difference",
    "pass_at_k",
    "reliability",
    "wilson_interval",
]
