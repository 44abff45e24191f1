"""Quantiles, and how many samples one takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol


class Sorted(Protocol):
    """Numbers in order: a list, or an array of numpy's."""

    def __len__(self) -> int: ...
    def __getitem__(self, place: int, /) -> float: ...


def quantile(values: Sequence[float], q: float) -> float | None:
    """The ``q`` quantile (0 to 1) of unsorted values, linear between ranks; None of nothing."""
    return quantile_sorted(sorted(values), q)


def quantile_sorted(values: Sorted, q: float) -> float | None:
    """As ``quantile``, of values that are sorted already."""
    if not len(values):
        return None
    place = q * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    below, above = float(values[low]), float(values[high])
    return below + (above - below) * (place - low)


def samples_for(q: float) -> int:
    """How many samples a quantile or share needs to be told from the next: 1/(1 - q), at least 1.

    For 1 (all of them) one is enough: a single exception decides.
    """
    return 1 if q >= 1 else max(1, math.ceil(round(1 / (1 - q), 9)))
