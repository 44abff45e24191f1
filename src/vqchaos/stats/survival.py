"""Durations of which some are only known to be longer (censored): Kaplan-Meier, log-rank."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence


def km_median(times: Sequence[float], censored: Sequence[bool]) -> float | None:
    """The Kaplan-Meier median of durations, some of them only known to be longer.

    The first time at which the estimated share still going is 0.5 or less; None if it stays above.
    A duration censored at a time counts as still going at that time.
    """
    all_ends = Counter(times)
    known = Counter(t for t, cut in zip(times, censored, strict=True) if not cut)
    going, alive = 1.0, len(times)
    for time in sorted(all_ends):
        going *= 1 - known[time] / alive
        if going <= 0.5 + 1e-12:
            return time
        alive -= all_ends[time]
    return None


def log_rank(
    base: Sequence[tuple[float, bool]], new: Sequence[tuple[float, bool]]
) -> tuple[float, bool] | None:
    """Whether two groups of durations (each with whether it is censored) end at the same pace.

    (p of the log-rank test, whether ``new`` ends later); None where nothing ended or nothing can
    differ.
    """
    seen, expected, variance = 0.0, 0.0, 0.0
    for time in sorted({t for t, cut in [*base, *new] if not cut}):
        ours = sum(t >= time for t, _ in new)
        alive = ours + sum(t >= time for t, _ in base)
        ends_new = sum(t == time and not cut for t, cut in new)
        ends = ends_new + sum(t == time and not cut for t, cut in base)
        seen += ends_new
        expected += ends * ours / alive
        if alive > 1:
            part = ours * (alive - ours) * ends * (alive - ends)
            variance += part / (alive * alive * (alive - 1))
    if variance <= 0:
        return None
    statistic = (seen - expected) ** 2 / variance
    return math.erfc(math.sqrt(statistic / 2)), seen < expected
