"""Bootstrap intervals of medians, of their differences and ratios, and what precision costs."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from statistics import NormalDist

from vqchaos.stats.quantiles import quantile_sorted
from vqchaos.stats.survival import km_median

LEAST_FOR_INTERVAL = 6  # of 5 values not even lowest to highest holds the median 95 times of 100
_RESAMPLES = 2000
_LEVEL = 0.95
_NORMAL = NormalDist()
_MOST_REPEATS = 100_000
_Pairs = list[tuple[float, bool]]
_Interval = tuple[float | None, float | None]


def median_of(times: Sequence[float], censored: Sequence[bool] | None = None) -> float | None:
    """The median, Kaplan-Meier's where any is censored; None of nothing or beyond what was seen."""
    if censored is not None and any(censored):
        return km_median(times, censored)
    return quantile_sorted(sorted(times), 0.5)


def median_interval(
    times: Sequence[float], censored: Sequence[bool] | None = None, *, seed: int = 0
) -> _Interval | None:
    """A 95 % bootstrap interval of the median (Kaplan-Meier's where any is censored).

    None below ``LEAST_FOR_INTERVAL`` values. A bound is None where resamples end beyond the time
    watched.
    """
    if len(times) < LEAST_FOR_INTERVAL:
        return None
    draw = random.Random(seed)
    return _bounds(_medians(_pairs(times, censored), draw), _tail(len(times)))


def median_difference(
    base: Sequence[tuple[float, bool]], new: Sequence[tuple[float, bool]], *, seed: int = 0
) -> _Interval | None:
    """A 95 % bootstrap interval of median(new) - median(base), each (duration, is it censored).

    None where either has fewer than ``LEAST_FOR_INTERVAL``; a bound is None where it lies beyond
    the time watched.
    """
    return _two(base, new, lambda a, b: b - a, seed)


def median_ratio(base: Sequence[float], new: Sequence[float], *, seed: int = 0) -> _Interval | None:
    """As ``median_difference``, of median(new) / median(base); all values positive."""
    return _two(_pairs(base, None), _pairs(new, None), lambda a, b: b / a, seed)


def repeats_for(count: int, half_width: float, wanted: float) -> int | None:
    """How many values in all make an interval of ±``wanted``, where ``count`` made ±``half_width``:
    it shrinks with the root of their number. None: far too many to name."""
    if count < LEAST_FOR_INTERVAL or wanted <= 0:
        return None
    spread = half_width * math.sqrt(count) / _stretch(count)
    total = max(count, math.ceil((spread * -_NORMAL.inv_cdf((1 - _LEVEL) / 2) / wanted) ** 2))
    while total <= _MOST_REPEATS:
        if _stretch(total) * spread / math.sqrt(total) <= wanted * (1 + 1e-9):
            return total
        total += 1
    return None


def _two(
    base: Sequence[tuple[float, bool]],
    new: Sequence[tuple[float, bool]],
    combine: Callable[[float, float], float],
    seed: int,
) -> _Interval | None:
    fewest = min(len(base), len(new))
    if fewest < LEAST_FOR_INTERVAL:
        return None
    draw = random.Random(seed)
    ours, theirs = _medians(list(base), draw), _medians(list(new), draw)
    # Infinite against infinite says nothing: it counts on both ends.
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True)]
    low = sorted(-math.inf if math.isinf(a) else combine(a, b) for a, b in pairs)
    high = sorted(math.inf if math.isinf(b) else combine(a, b) for a, b in pairs)
    tail = _tail(fewest)
    return _bounds(low, tail)[0], _bounds(high, tail)[1]


def _pairs(times: Sequence[float], censored: Sequence[bool] | None) -> _Pairs:
    return list(zip(times, [False] * len(times) if censored is None else censored, strict=True))


def _medians(pairs: _Pairs, draw: random.Random) -> list[float]:
    """The medians of resamples, infinite where most have not ended; in the order drawn."""
    cut = any(c for _, c in pairs)
    out: list[float] = []
    for _ in range(_RESAMPLES):
        sample = draw.choices(pairs, k=len(pairs))
        found = (
            km_median([t for t, _ in sample], [c for _, c in sample])
            if cut
            else quantile_sorted(sorted(t for t, _ in sample), 0.5)
        )
        out.append(math.inf if found is None else found)
    return out


def _bounds(values: Sequence[float], tail: float) -> _Interval:
    ordered = sorted(values)
    low = ordered[int(tail * len(ordered))]
    high = ordered[math.ceil((1 - tail) * len(ordered)) - 1]
    return _finite(low), _finite(high)


def _tail(count: int) -> float:
    """What is cut off on either side. Plain percentiles are too narrow for few values (7 of them
    hold the median 88 times of 100): expanded as Hesterberg says, by Student's t."""
    return _NORMAL.cdf(-_stretch(count))


def _stretch(count: int) -> float:
    """How many standard errors the interval reaches to either side."""
    z, v = -_NORMAL.inv_cdf((1 - _LEVEL) / 2), count - 1
    t = z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    return t * math.sqrt(count / (count - 1))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
