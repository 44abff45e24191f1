"""The few statistics that verdicts need: quantiles, a bootstrap interval, Kaplan-Meier.

Pure and seeded: the same values give the same bytes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

_RESAMPLES = 2000
_LEVEL = 0.95


def quantile(values: Sequence[float], q: float) -> float | None:
    """The ``q`` quantile (0 to 1) of unsorted values, linear between ranks; None of nothing."""
    return quantile_sorted(sorted(values), q)


def quantile_sorted(values: Sequence[float], q: float) -> float | None:
    """As ``quantile``, of values that are sorted already."""
    if not values:
        return None
    place = q * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def samples_for(q: float) -> int:
    """How many samples a quantile or share needs to be told from the next: 1/(1 - q), at least 1.

    For 1 (all of them) one is enough: a single exception decides.
    """
    return 1 if q >= 1 else max(1, math.ceil(round(1 / (1 - q), 9)))


def km_median(times: Sequence[float], censored: Sequence[bool]) -> float | None:
    """The Kaplan-Meier median of durations, some of them only known to be longer.

    The first time at which the estimated share still going is 0.5 or less; None if it stays above.
    A duration censored at a time counts as still going at that time.
    """
    order = sorted(zip(times, censored, strict=True))
    going, alive = 1.0, len(order)
    for time in sorted(set(times)):
        ends = sum(1 for t, cut in order if t == time and not cut)
        going *= 1 - ends / alive
        if going <= 0.5 + 1e-12:
            return time
        alive -= sum(1 for t, _ in order if t == time)
    return None


def median_interval(
    times: Sequence[float], censored: Sequence[bool] | None = None, *, seed: int = 0
) -> tuple[float | None, float | None] | None:
    """A 95 % bootstrap interval of the median (Kaplan-Meier's where any is censored).

    None below two values. A bound is None where resamples end beyond the time watched.
    """
    if len(times) < 2:
        return None
    cut = list(censored) if censored is not None else [False] * len(times)
    if not any(cut):
        cut = []
    draw = random.Random(seed)
    pairs = list(zip(times, cut or [False] * len(times), strict=True))
    medians: list[float] = []
    for _ in range(_RESAMPLES):
        sample = draw.choices(pairs, k=len(pairs))
        if cut:
            found = km_median([t for t, _ in sample], [c for _, c in sample])
        else:
            found = quantile([t for t, _ in sample], 0.5)
        medians.append(math.inf if found is None else found)
    medians.sort()
    tail = (1 - _LEVEL) / 2
    low = medians[int(tail * _RESAMPLES)]
    high = medians[min(_RESAMPLES - 1, math.ceil((1 - tail) * _RESAMPLES) - 1)]
    return (_finite(low), _finite(high))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
