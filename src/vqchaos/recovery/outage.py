"""How long nobody got a token: the gaps that hold a failed or stalled request."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import sub

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
    low, high = bisect_left(moments, since), bisect_left(moments, until)
    gaps = set[tuple[float, float]]()
    for trouble in troubles:  # it may lie on a token, and so in two gaps
        for place in {
            bisect_left(moments, trouble, low, high),
            bisect_right(moments, trouble, low, high),
        }:
            start = moments[place - 1] if place > low else since
            end = moments[place] if place < high else until
            if end - start > normal:
                gaps.add((start, end))
    return sorted(gaps)


def _normal_silence(run: RunView, moments: Sequence[float], injected: float) -> float:
    span = run.phase("baseline")
    if span is None:
        return 0.0
    end = min(injected, injected if span.end is None else span.end)
    inside = moments[bisect_left(moments, span.start) : bisect_left(moments, end)]
    longest = max(map(sub, inside[1:], inside), default=0.0)
    sent = sum(span.start <= sent_at(r) < end for r in run.requests)
    interval = (end - span.start) / sent if sent else 0.0
    return 2 * max(longest, interval)
