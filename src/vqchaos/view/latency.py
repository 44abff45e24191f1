"""The latency figures of some requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vqchaos.arrays import Floats, np
from vqchaos.history.columns import Kind
from vqchaos.history.events import PILOT
from vqchaos.stats import quantile_sorted
from vqchaos.view.group import Group

# Inter-token gaps above this number are thinned evenly: a quantile of 50,000 is exact enough, and
# a history of a million tokens is judged in a second.
_MOST_GAPS = 50_000
_FOR_P95 = 40  # answers


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


def slowness(good: Group, baseline: Callable[[str], Figures]) -> tuple[float, str] | None:
    """(ratio, statistic) of TTFT against each workload's own baseline, clients only: of the
    medians below 40 samples, of the p95 from 40 on. None without samples or baseline."""

    def measured(kind: Kind) -> bool:
        base = baseline(kind.workload)
        return kind.workload != PILOT and bool(base.ttft_p50) and bool(base.ttft_p95)

    found = good.pick(good.having(measured) & ~np.isnan(good.first_token))
    enough = len(found) >= _FOR_P95
    q, statistic, of = (0.95, "p95", "p95") if enough else (0.5, "median", "p50")
    usual = found.by_kind(lambda kind: baseline(kind.workload).get("ttft", of) or np.nan)
    value = quantile_sorted(np.sort(found.ttft / usual), q)
    return None if value is None else (value, statistic)
