"""The moments of all tokens of a run: tens of millions of them in a few hours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from vqchaos.arrays import Floats, Places, np
from vqchaos.view.group import Group

_AT_ONCE = 1 << 18
_EVER = float("inf")


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


@dataclass(frozen=True, slots=True)
class _Part:
    """Some requests, each with a token; the first and the last token of them all."""

    requests: Group
    first: float
    last: float

    @classmethod
    def of(cls, requests: Group) -> _Part:
        first, last = cls(requests, 0.0, 0.0).ends()
        return cls(requests, float(first.min()), float(last.max()))

    def ends(self) -> tuple[Floats, Floats]:
        """The first and the last token of each."""
        begin, counts = self.requests.spans()
        first, has = self.requests.first_token, counts > 0
        last = first.copy()
        tokens = np.asarray(self.requests.table.tokens)
        first[has] = tokens[begin[has]]
        last[has] = tokens[(begin + counts)[has] - 1]
        return first, last


class TokenMoments:
    """When a client or the pilot got a token: the tokens of ``requests``, which are in order of
    sending. Sorted piece by piece each time that they are asked for: all of them in order at once
    would double the memory of a history."""

    def __init__(self, requests: Group) -> None:
        _, counts = requests.spans()
        some = (counts > 0) | ~np.isnan(requests.first_token)
        requests, counts = requests.pick(some), counts[some]
        cuts = np.flatnonzero(np.diff(np.cumsum(np.maximum(counts, 1)) // _AT_ONCE)) + 1
        borders = [0, *cuts.tolist(), len(requests)]
        self._parts = [_Part.of(requests[a:b]) for a, b in pairwise(borders) if a < b]

    def longest_silences(self, start: float, end: float, most: int) -> list[float]:
        """The longest times between two consecutive tokens, both in [start, end): at most so many,
        the longest first."""
        longest, last = np.empty(0), np.empty(0)
        for piece in self._pieces(start, end):
            inside = np.concatenate((last, piece[(start <= piece) & (piece < end)]))
            found = np.concatenate((longest, np.diff(inside)))
            longest = np.partition(found, -most)[-most:] if len(found) > most else found
            last = inside[-1:]
        return sorted(longest.tolist(), reverse=True)

    def beside(self, asked: Floats, start: float = -_EVER, end: float = _EVER) -> Neighbours:
        """The tokens beside each moment, of those in [start, end)."""
        out = Neighbours(*(np.full(len(asked), e) for e in (-_EVER, -_EVER, _EVER, _EVER)))
        if not len(asked):
            return out
        # One token before all of them and one after: what lies further away is not beside any.
        least, most = min(asked.min(), end), max(asked.max(), start)
        low, high = start, end
        for part in reversed(self._parts):
            if part.first < least and low < part.last:
                last = part.ends()[1]
                low = max(low, last[last < least].max(initial=low))
        for part in self._parts:
            if most < part.last and part.first < high:
                first = part.ends()[0]
                high = min(high, first[first > most].min(initial=high))
        for whole in self._pieces(low, np.nextafter(high, _EVER)):
            piece = whole[(start <= whole) & (whole < end)]
            if len(piece):
                _beside(piece, np.searchsorted(piece, asked, "left"), out.before, out.since)
                _beside(piece, np.searchsorted(piece, asked, "right"), out.until, out.after)
        return out

    def _pieces(self, start: float, end: float) -> Iterator[Floats]:
        """All tokens of requests that had one in [start, end), in order, piece by piece. No token
        comes before its request was sent: what lies before the latest sending is complete."""
        waiting = np.empty(0)
        for part in self._parts:
            if part.last < start or end <= part.first:
                continue
            first, last = part.ends()
            some = part.requests.pick((last >= start) & (first < end))
            if not len(some):
                continue
            done = np.searchsorted(waiting, some.sent[0])
            yield waiting[:done]
            bare = some.pick(some.spans()[1] == 0).first_token
            tokens = np.asarray(some.table.tokens)[positions(some)]
            waiting = np.concatenate((waiting[done:], tokens, bare))
            waiting.sort(kind="stable")
        yield waiting


def _beside(piece: Floats, places: Places, before: Floats, after: Floats) -> None:
    """What this piece, which is later than those before it, adds."""
    there = places > 0
    before[there] = piece[places[there] - 1]
    there = (places < len(piece)) & np.isinf(after)
    after[there] = piece[places[there]]
