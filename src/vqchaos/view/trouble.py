"""The failed and stalled requests of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vqchaos.arrays import Floats, Mask, Places, np
from vqchaos.history.events import Request
from vqchaos.view.group import Group
from vqchaos.view.requests import trouble_at
from vqchaos.view.tokens import positions

_AT_ONCE = 1 << 18  # tokens


@dataclass(frozen=True, slots=True)
class Troubles:
    """Failed or stalled requests in order of sending: ``at`` is when each client first knew,
    ``places`` where they are among the run's requests."""

    at: Floats
    places: Places
    requests: Group

    def __iter__(self) -> Iterator[tuple[float, Request]]:
        return zip(self.at.tolist(), self.requests, strict=True)

    def pick(self, chosen: Mask) -> Troubles:
        return Troubles(self.at[chosen], self.places[chosen], self.requests.pick(chosen))


def troubles(requests: Group, stall: Callable[[str], float]) -> Troubles:
    """``stall`` gives a workload's stall limit."""
    at = np.where(
        requests.having(lambda kind: kind.outcome not in ("ok", "cancelled")),
        requests.ended,
        np.nan,
    )
    for place in np.flatnonzero(_silent(requests, stall)).tolist():
        request = requests[place]
        moment = trouble_at(request, stall(request.workload))
        if moment is not None:
            at[place] = moment
    places = np.flatnonzero(~np.isnan(at))
    return Troubles(at[places], places, requests.pick(places))


def _silent(requests: Group, stall: Callable[[str], float]) -> Mask:
    """Which of them were without a token for longer than their limit."""
    limit = requests.by_kind(lambda kind: stall(kind.workload))
    out = requests.ended - requests.sent > limit
    slow = np.flatnonzero(out)  # no others can have been
    _, counts = requests.pick(slow).spans()
    cuts = np.flatnonzero(np.diff(np.cumsum(counts) // _AT_ONCE)) + 1
    for some in np.split(slow, cuts):
        out[some] = _longest_silence(requests.pick(some)) > limit[some]
    return out


def _longest_silence(requests: Group) -> Floats:
    sent, ended = requests.sent, requests.ended
    _, counts = requests.spans()
    out = ended - sent
    has = counts > 0
    if not has.any():
        return out
    counts, sent, ended = counts[has], sent[has], ended[has]
    times = np.asarray(requests.table.tokens)[positions(requests.pick(has))]
    ends = np.cumsum(counts)
    starts = ends - counts
    before = np.concatenate(([0.0], times[:-1]))
    before[starts] = sent
    out[has] = np.maximum(np.maximum.reduceat(times - before, starts), ended - times[ends - 1])
    return out
