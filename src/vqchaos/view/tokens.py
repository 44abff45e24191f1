"""The moments of all tokens of a run: tens of millions of them in a few hours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vqchaos.view.group import Floats, Group, Places

_AT_ONCE = 1 << 18


def positions(requests: Group) -> Places:
    """Where all their tokens lie in the table's, request by request."""
    begin, counts = requests.spans()
    ends = np.cumsum(counts)
    return np.repeat(begin - (ends - counts), counts) + np.arange(counts.sum())


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Of each moment asked about, the tokens beside it; infinite where there is none."""

    before: Floats  # the last token before it
    until: Floats  # the last before or at it
    since: Floats  # the first at or after it
    after: Floats  # the first after it


class TokenMoments:
    """When a client or the pilot got a token: the tokens of ``requests``, which are in order of
    sending. Sorted piece by piece each time that they are asked for: all of them in order at once
    would double the memory of a history."""

    def __init__(self, requests: Group) -> None:
        table = requests.table
        begin, counts = requests.spans()
        first, has = requests.first_token, counts > 0
        self._first, self._last = first.copy(), first.copy()
        tokens = np.asarray(table.tokens)
        self._first[has] = tokens[begin[has]]
        self._last[has] = tokens[begin[has] + counts[has] - 1]
        some = ~np.isnan(self._first)
        self._first, self._last = self._first[some], self._last[some]
        self._requests = requests.pick(some)

    def longest_silence(self, start: float, end: float) -> float:
        """The longest time between two consecutive tokens, both in [start, end); 0 for none."""
        longest, last = 0.0, np.nan
        for piece in self._pieces(start, end):
            inside = piece[(start <= piece) & (piece < end)]
            if len(inside):
                silences = np.diff(inside, prepend=last)
                longest = float(np.fmax.reduce(silences, initial=longest))
                last = inside[-1]
        return longest

    def beside(self, asked: Floats, start: float = -np.inf, end: float = np.inf) -> Neighbours:
        """The tokens beside each moment, of those in [start, end)."""
        out = Neighbours(*(np.full(len(asked), e) for e in (-np.inf, -np.inf, np.inf, np.inf)))
        if not len(asked):
            return out
        # One token before all of them and one after: what lies further away is not beside any.
        least, most = min(asked.min(), end), max(asked.max(), start)
        low = max(start, self._last[self._last < least].max(initial=start))
        high = min(end, self._first[self._first > most].min(initial=end))
        for whole in self._pieces(low, np.nextafter(high, np.inf)):
            piece = whole[(start <= whole) & (whole < end)]
            if not len(piece):
                continue
            _beside(piece, np.searchsorted(piece, asked, "left"), out.before, out.since)
            _beside(piece, np.searchsorted(piece, asked, "right"), out.until, out.after)
        return out

    def _pieces(self, start: float, end: float) -> Iterator[Floats]:
        """All tokens of requests that had one in [start, end), in order, piece by piece. No token
        comes before its request was sent: what lies before the latest sending is complete."""
        requests = self._requests.pick((self._last >= start) & (self._first < end))
        sent = requests.sent
        _, counts = requests.spans()
        tokens = np.asarray(requests.table.tokens)
        cuts = np.flatnonzero(np.diff(np.cumsum(np.maximum(counts, 1)) // _AT_ONCE)) + 1
        waiting = np.empty(0)
        for begin, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(requests)], strict=True):
            some = requests[begin:stop]
            bare = some.first_token[counts[begin:stop] == 0]
            waiting = np.concatenate((waiting, tokens[positions(some)], bare))
            waiting.sort(kind="stable")
            done = len(waiting) if stop == len(requests) else np.searchsorted(waiting, sent[stop])
            yield waiting[:done]
            waiting = waiting[done:]


def _beside(piece: Floats, places: Places, before: Floats, after: Floats) -> None:
    """What this piece, which is later than those before it, adds."""
    there = places > 0
    before[there] = piece[places[there] - 1]
    there = (places < len(piece)) & np.isinf(after)
    after[there] = piece[places[there]]
