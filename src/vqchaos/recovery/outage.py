"""How long nobody got a token: the gaps that hold a failed or stalled request."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

from vqchaos.view.requests import sent_at
from vqchaos.view.run import RunView


def outages(run: RunView) -> list[tuple[float, float]]:
    """The outages as (start, end), from the first injection to the end of watching.

    A gap counts if it is longer than twice the longest silence of the baseline (and twice the mean
    time between its requests): with one of two replicas down some requests fail between the tokens
    of others, and that is lost availability, no outage.
    """
    since = run.first_injection
    if since is None:
        return []
    until = max(since, run.watched_until)
    troubles = sorted(t for t, _ in run.troubles if since <= t <= until)
    if not troubles:
        return []
    moments = run.tokens
    normal = _normal_silence(run, moments, since)
    after = bisect_left(moments, since)
    edges = [since, *(m for m in moments[after:] if m < until), until]
    out = []
    for start, end in pairwise(edges):
        if end - start > normal:
            place = bisect_left(troubles, start)
            if place < len(troubles) and troubles[place] <= end:
                out.append((start, end))
    return out


def _normal_silence(run: RunView, moments: list[float], injected: float) -> float:
    span = run.phase("baseline")
    if span is None:
        return 0.0
    end = min(injected, injected if span.end is None else span.end)
    inside = moments[bisect_left(moments, span.start) : bisect_left(moments, end)]
    longest = max((b - a for a, b in pairwise(inside)), default=0.0)
    sent = sum(span.start <= sent_at(r) < end for r in run.requests)
    interval = (end - span.start) / sent if sent else 0.0
    return 2 * max(longest, interval)
