"""Quantiles, and how many samples one takes."""

from __future__ import annotations

import math
from collections.abc import Sequence


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
