"""The recovered window: a run of good requests, long and fast enough to call service back.

Requests are taken in order of sending. ``Scan`` searches one run of good requests for its first
window; it may grow at any place, since requests become known in the order in which they end.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from vqchaos.arrays import np
from vqchaos.history.events import PILOT, Request
from vqchaos.scenario import Recovered
from vqchaos.stats import quantile_sorted
from vqchaos.view.group import Group
from vqchaos.view.latency import Figures
from vqchaos.view.requests import sent_at, ttft

_EVER = float("inf")
_AT_ONCE = 1000  # requests
_P95_FROM = 40  # samples; below, the median


class Good(NamedTuple):
    """A request that ended ok and was never stalled, as far as a window needs it. In order of
    sending by its first two values."""

    sent: float
    id: str
    known: float
    ttft: float | None
    workload: str

    @classmethod
    def of(cls, request: Request) -> Good:
        sent, first = sent_at(request), ttft(request)
        return cls(sent, request.id, request.known, first, request.workload)


class Goods:
    """Those of ``requests`` that ended ok; the requests are in order of sending. What is known of
    all of them is reckoned once: a run of good requests between two bad ones is a slice of it."""

    def __init__(self, requests: Group) -> None:
        ok = requests.ended_as("ok")
        good = requests.pick(ok)
        self.places = np.flatnonzero(ok)  # among the requests
        self.sent = good.sent
        self._known, self._ttft = good.known, good.ttft
        self._rows, self._kinds = good.rows, good.kinds
        self._id = good.table.id
        self._workloads = [kind.workload for kind in good.table.keys]

    def __iter__(self) -> Iterator[Good]:
        return self.some(0, len(self.places))

    def some(self, begin: int, end: int) -> Iterator[Good]:
        """Those from the ``begin``-th on, up to the ``end``-th."""
        for start in range(begin, end, _AT_ONCE):
            part = slice(start, min(start + _AT_ONCE, end))
            yield from map(
                Good,
                self.sent[part].tolist(),
                map(self._id, self._rows[part].tolist()),
                self._known[part].tolist(),
                (None if t != t else t for t in self._ttft[part].tolist()),  # noqa: PLR0124 - NaN
                map(self._workloads.__getitem__, self._kinds[part].tolist()),
            )


@dataclass(frozen=True, slots=True)
class Window:
    """A recovered window: its first and last request, how many clients' requests it holds."""

    first: Good
    last: Good
    successes: int

    @property
    def at(self) -> float:
        """When the client of its first request knew: at its first token."""
        return self.first.known

    @property
    def complete_at(self) -> float:
        """When its last request's client knew."""
        return max(self.first.known, self.last.known)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a window must be. Latency is judged against each workload's own baseline, so that
    several workloads can be pooled; the pilot takes another path and is not in it."""

    settings: Recovered
    baseline: Callable[[str], Figures]

    def ratios(self, request: Good) -> tuple[float, float] | None:
        """TTFT over the baseline's median and over its p95; None where there is no measure."""
        base, first = self.baseline(request.workload), request.ttft
        if request.workload == PILOT or first is None:
            return None
        if not base.ttft_p50 or not base.ttft_p95:
            return None
        return (first / base.ttft_p50, first / base.ttft_p95)

    def may_start(self, request: Good) -> bool:
        """A window does not begin with a request that was itself slow: medians would let up to
        half of a slow time in, and date the recovery too early."""
        found = self.ratios(request)
        return found is None or found[1] <= self.settings.slowdown


class _Held:
    """The requests of the window under test; knows its latency while it slides."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._middle: list[float] = []
        self._high: list[float] = []
        self.successes = 0

    def add(self, request: Good) -> None:
        self.successes += request.workload != PILOT
        if (found := self._rule.ratios(request)) is not None:
            insort(self._middle, found[0])
            insort(self._high, found[1])

    def remove(self, request: Good) -> None:
        self.successes -= request.workload != PILOT
        if (found := self._rule.ratios(request)) is not None:
            del self._middle[bisect_left(self._middle, found[0])]
            del self._high[bisect_left(self._high, found[1])]

    def fast_enough(self) -> bool:
        pooled, q = (self._high, 0.95) if len(self._high) >= _P95_FROM else (self._middle, 0.5)
        value = quantile_sorted(pooled, q)
        return value is None or value <= self._rule.settings.slowdown


class Scan:
    """Searches one run of good requests for its first window. For each possible first request the
    window is the shortest that spans and holds enough."""

    def __init__(self, rule: Rule, requests: Iterable[Good] = ()) -> None:
        """``requests`` in order of sending."""
        self._rule = rule
        self._requests = list(requests)
        # _reach[i]: the last request of the window from i, which was not fast enough. A request
        # inserted behind it cannot change that.
        self._reach: list[int] = []
        self._found: tuple[Window, int] | None = None  # the window and its last place
        self._open: tuple[_Held, int] | None = None  # the window under test and its end

    def insert(self, request: Good) -> None:
        """One more good request, sent at any time."""
        place = self._behind(request.sent, request.id)
        self._requests.insert(place, request)
        if self._found is not None and place <= self._found[1]:
            self._found = None
        del self._reach[bisect_left(self._reach, place) :]
        if self._open is not None and place < self._open[1]:
            self._open = None

    def drop_through(self, key: tuple[float, str]) -> None:
        """A bad request at ``key``: what was sent before it is no part of this run."""
        place = self._behind(*key)
        if place:
            del self._requests[:place]
            self._reach.clear()
            self._found = self._open = None

    def find(self) -> Window | None:
        """The first window, if there is one by now."""
        if self._found is None and not self._too_short():
            self._found = self._search()
        return None if self._found is None else self._found[0]

    def _too_short(self) -> bool:
        start = len(self._reach)
        if start >= len(self._requests):
            return True
        span = self._requests[-1].sent - self._requests[start].sent
        return span < self._rule.settings.for_

    def _behind(self, sent: float, name: str) -> int:
        """The place behind all that were sent until then."""
        return bisect_right(self._requests, (sent, name, _EVER))

    def _search(self) -> tuple[Window, int] | None:
        settings, requests = self._rule.settings, self._requests
        first = len(self._reach)  # the window under test is [first, end)
        held, end = self._open or (_Held(self._rule), first)
        self._open = None
        while first < len(requests):
            opened = requests[first].sent
            while end < len(requests) and (
                end == first
                or requests[end - 1].sent - opened < settings.for_
                or held.successes < settings.successes
            ):
                held.add(requests[end])
                end += 1
            long_enough = requests[end - 1].sent - opened >= settings.for_
            if not long_enough or held.successes < settings.successes:
                break
            if held.fast_enough() and self._starts_fast(first):
                window = Window(requests[first], requests[end - 1], held.successes)
                return window, end - 1
            self._reach.append(end - 1)
            held.remove(requests[first])
            first += 1
        self._open = (held, end)
        return None

    def _starts_fast(self, first: int) -> bool:
        """Its first client's request decides: the pilot may go on while clients wait."""
        for place in range(first, len(self._requests)):
            if self._requests[place].workload != PILOT:
                return self._rule.may_start(self._requests[place])
        return True
