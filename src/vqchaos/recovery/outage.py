"""How long nobody got a token: the gaps that hold a failed or stalled request."""

from __future__ import annotations

from vqchaos.arrays import np
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
    at = run.troubles.at
    at = np.unique(at[(since <= at) & (at <= until)])
    if not len(at):
        return []
    normal = _normal_silence(run, since)
    beside = run.tokens.beside(at, since, until)
    gaps = set[tuple[float, float]]()
    # One may lie on a token, and so in two gaps.
    for before, after in ((beside.before, beside.since), (beside.until, beside.after)):
        starts, ends = np.maximum(before, since), np.minimum(after, until)
        long = ends - starts > normal
        gaps.update(zip(starts[long].tolist(), ends[long].tolist(), strict=True))
    return sorted(gaps)


def _normal_silence(run: RunView, injected: float) -> float:
    span = run.phase("baseline")
    if span is None:
        return 0.0
    end = min(injected, injected if span.end is None else span.end)
    longest = run.tokens.longest_silence(span.start, end)
    moments = run.requests.sent
    sent = int(np.count_nonzero((span.start <= moments) & (moments < end)))
    interval = (end - span.start) / sent if sent else 0.0
    return 2 * max(longest, interval)
