"""The latency figures of some requests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vqchaos.stats import quantile_sorted
from vqchaos.view.group import Floats, Group

# Inter-token gaps above this number are thinned evenly: a quantile of 50,000 is exact enough, and
# a history of a million tokens is judged in a second.
_MOST_GAPS = 50_000


@dataclass(frozen=True, slots=True)
class Figures:
    """Latencies of the successes among some requests, in seconds; None where there is none."""

    count: int = 0
    ttft_p50: float | None = None
    ttft_p95: float | None = None
    itl_p50: float | None = None
    itl_p95: float | None = None
    e2e_p50: float | None = None
    e2e_p95: float | None = None
    gaps: int = 0  # how many inter-token gaps there were

    def get(self, metric: str, quantile: str) -> float | None:
        """``ttft``, ``itl`` or ``e2e`` at ``p50`` or ``p95``."""
        value: float | None = getattr(self, f"{metric}_{quantile}")
        return value


def figures(requests: Group) -> Figures:
    """The latency figures of those that ended ``ok``."""
    good = requests.ok
    firsts, whole = good.ttft, good.ended - good.sent
    firsts = np.sort(firsts[~np.isnan(firsts)])
    whole.sort()
    gaps, count = _gaps(good)
    return Figures(
        count=len(good),
        ttft_p50=quantile_sorted(firsts, 0.5),
        ttft_p95=quantile_sorted(firsts, 0.95),
        itl_p50=quantile_sorted(gaps, 0.5),
        itl_p95=quantile_sorted(gaps, 0.95),
        e2e_p50=quantile_sorted(whole, 0.5),
        e2e_p95=quantile_sorted(whole, 0.95),
        gaps=count,
    )


def _gaps(requests: Group) -> tuple[Floats, int]:
    """(gaps between tokens, sorted: all of them, or every n-th; how many there are)."""
    begin, tokens = requests.spans()
    counts = np.maximum(tokens - 1, 0)
    ends = np.cumsum(counts)
    total = int(counts.sum())
    taken = np.arange(0, total, max(1, -(-total // _MOST_GAPS)))
    whose = np.searchsorted(ends, taken, "right")
    place = begin[whose] + taken - (ends - counts)[whose]
    moments = np.asarray(requests.table.tokens)
    return np.sort(moments[place + 1] - moments[place]), total
