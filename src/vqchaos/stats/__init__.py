"""The few statistics that verdicts need. Pure and seeded: the same values give the same bytes.

docs/statistics.md says what each is good for, and where it was tried.
"""

from vqchaos.stats.intervals import (
    LEAST_FOR_INTERVAL,
    median_difference,
    median_interval,
    median_of,
    median_ratio,
    repeats_for,
)
from vqchaos.stats.quantiles import quantile, quantile_sorted, samples_for
from vqchaos.stats.shares import design_effect, share_difference
from vqchaos.stats.survival import km_median, log_rank

__all__ = [
    "LEAST_FOR_INTERVAL",
    "design_effect",
    "km_median",
    "log_rank",
    "median_difference",
    "median_interval",
    "median_of",
    "median_ratio",
    "quantile",
    "quantile_sorted",
    "repeats_for",
    "samples_for",
    "share_difference",
]
