"""Shares of yes among some: the interval of the difference of two."""

from __future__ import annotations

import math
from collections.abc import Sequence

_Z = 1.959963984540054  # of 95 %


def share_difference(
    base: tuple[float, float], new: tuple[float, float]
) -> tuple[float, float] | None:
    """Newcombe's 95 % interval of new - base, each (how many yes, of how many); None of nothing.

    Of two Wilson intervals; good where shares are near 0 or 1 and where counts are small.
    """
    if base[1] <= 0 or new[1] <= 0:
        return None
    p1, p2 = base[0] / base[1], new[0] / new[1]
    low1, high1 = _wilson(*base)
    low2, high2 = _wilson(*new)
    middle = p2 - p1
    return (
        middle - math.hypot(p2 - low2, high1 - p1),
        middle + math.hypot(high2 - p2, p1 - low1),
    )


def design_effect(groups: Sequence[tuple[int, int]]) -> float:
    """By how much the share of all, each group (yes, of how many) drawn as a whole, varies more
    than if each were drawn alone; at least 1. Requests of one run fail together."""
    groups = [(yes, of) for yes, of in groups if of]
    total = sum(of for _, of in groups)
    if len(groups) < 2 or not total:
        return 1.0
    share = sum(yes for yes, _ in groups) / total
    if not 0 < share < 1:
        return 1.0
    count = len(groups)
    between = sum((yes - share * of) ** 2 for yes, of in groups) * count / (count - 1)
    return max(1.0, between / (total * share * (1 - share)))


def _wilson(yes: float, of: float) -> tuple[float, float]:
    share, z2 = yes / of, _Z * _Z
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)
