"""What one request says: when it was sent, when it stalled, when its client knew of trouble."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import sub

from vqchaos.history.events import Request
from vqchaos.stats import quantile_sorted

# Inter-token gaps above this number are thinned evenly: a quantile of 50,000 is exact enough, and
# a history of a million tokens is judged in a second.
_MOST_GAPS = 50_000


def sent_at(request: Request) -> float:
    """When it was sent; when it was due, if it never was."""
    return request.due if request.sent is None else request.sent


def order(request: Request) -> tuple[float, str]:
    """The order of sending; the id only makes it total."""
    return (sent_at(request), request.id)


def ttft(request: Request) -> float | None:
    """Seconds from sending to the first token (to the answer, if not streamed)."""
    return None if request.first_token is None else request.first_token - sent_at(request)


def stalled_at(request: Request, limit: float) -> float | None:
    """The moment at which it had been without a token for ``limit`` seconds, if there was one."""
    previous = sent_at(request)
    if request.ended - previous <= limit:
        return None
    for moment in request.tokens:
        if moment - previous > limit:
            return previous + limit
        previous = moment
    return previous + limit if request.ended - previous > limit else None


def trouble_at(request: Request, limit: float) -> float | None:
    """When its client first knew that something was wrong: a stall or a failure. None if neither.

    A request that vqchaos itself cancelled has not failed, but it may have stalled before.
    """
    stalled = stalled_at(request, limit)
    if request.outcome in ("ok", "cancelled"):
        return stalled
    return request.ended if stalled is None else min(stalled, request.ended)


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


def figures(requests: Iterable[Request]) -> Figures:
    """The latency figures of those that ended ``ok``."""
    good = [r for r in requests if r.outcome == "ok"]
    firsts = sorted(t for r in good if (t := ttft(r)) is not None)
    whole = sorted(r.ended - sent_at(r) for r in good)
    count = sum(max(0, len(r.tokens) - 1) for r in good)
    gaps = _gaps(good, max(1, -(-count // _MOST_GAPS)))
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


def _gaps(requests: Iterable[Request], step: int) -> list[float]:
    """Every ``step``-th gap between tokens, sorted."""
    gaps: list[float] = []
    skip = 0  # gaps until the next that is taken
    for request in requests:
        tokens = request.tokens
        count = len(tokens) - 1
        if count > skip:
            gaps.extend(map(sub, tokens[1 + skip :: step], tokens[skip::step]))
        skip = (skip - max(0, count)) % step
    gaps.sort()
    return gaps
