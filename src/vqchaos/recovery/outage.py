"""How long nobody got a token: the gaps that hold a failed or stalled request."""

from __future__ import annotations

from vqchaos.arrays import np
from vqchaos.history.events import PILOT
from vqchaos.view.run import RunView


def outages(run: RunView) -> list[tuple[float, float]]:
    """The outages as (start, end), from the first injection to the end of watching.

    A gap counts if it is longer than twice the longest silence of the baseline, hiccups left out
    (and twice the mean time between its requests): with one of two replicas down some requests
    fail between the tokens of others, and that is lost availability, no outage.
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
    moments = run.requests.sent
    sent = int(np.count_nonzero((span.start <= moments) & (moments < end)))
    interval = (end - span.start) / sent if sent else 0.0
    return 2 * max(_longest_silence(run, span.start, end), interval)


def _longest_silence(run: RunView, start: float, end: float) -> float:
    """The baseline's longest silence, but for hiccups: while service is good, the pilot alone has a
    token every interval of its own and the time of its answer. One or two that were longer count
    as that much, or as twice the third longest."""
    silences = run.tokens.longest_silences(start, end, 3)
    longest = max(silences, default=0.0)
    asked, answer = run.pilots.sent, run.baseline(PILOT).ttft_p50
    pilots = int(np.count_nonzero((start <= asked) & (asked < end)))
    if len(silences) < 3 or not pilots or answer is None:
        return longest
    return min(longest, max(2 * silences[-1], (end - start) / pilots + answer))
