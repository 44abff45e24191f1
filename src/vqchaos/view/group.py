"""``Group``: some requests of a run, in columns. What is asked of all of them is reckoned at once;
a request is an object only where somebody looks at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar, overload

from vqchaos.arrays import Floats, Mask, Places, np
from vqchaos.history.columns import Kind, Requests
from vqchaos.history.events import Request
from vqchaos.history.history import History

T = TypeVar("T", bound=Hashable)


class Group(Sequence[Request]):
    """The requests of a table's ``rows``, in that order. Columns are copies; NaN is never."""

    def __init__(self, table: Requests, rows: Places) -> None:
        self.table = table
        self.rows = rows

    @classmethod
    def of(cls, requests: Iterable[Request]) -> Group:
        """Requests that are objects, in their order."""
        table = History(requests).requests
        return cls(table, np.arange(len(table)))

    # ------------------------------------------------------------ columns

    @property
    def sent(self) -> Floats:
        """When each was sent; when it was due, if it never was."""
        sent = self._moments(Requests.SENT)
        return np.where(np.isnan(sent), self._moments(Requests.DUE), sent)

    @property
    def really_sent(self) -> Floats:
        return self._moments(Requests.SENT)

    @property
    def first_token(self) -> Floats:
        return self._moments(Requests.FIRST_TOKEN)

    @property
    def ended(self) -> Floats:
        return self._moments(Requests.ENDED)

    @property
    def ttft(self) -> Floats:
        """Seconds from sending to the first token."""
        return self.first_token - self.sent

    @property
    def known(self) -> Floats:
        """When each client knew the outcome, as ``Request.known``."""
        first = self.first_token
        good = self.ended_as("ok") & ~np.isnan(first)
        return np.where(good, first, self.ended)

    def spans(self) -> tuple[Places, Places]:
        """Where each one's tokens begin in the table's, and how many there are."""
        starts = np.asarray(self.table.starts)
        begin = starts[self.rows]
        return begin, starts[self.rows + 1] - begin

    def _moments(self, column: int) -> Floats:
        moments = np.asarray(self.table.moments).reshape(-1, Requests.WIDTH)
        found: Floats = moments[self.rows, column]
        return found

    # ------------------------------------------------------------ what many have in common

    def by_kind(self, value: Callable[[Kind], float]) -> Floats:
        """A number for each request, that depends on its kind alone."""
        values: Floats = np.array([value(k) for k in self.table.keys] or [0.0], np.float64)
        return values[self.kinds]

    def having(self, wanted: Callable[[Kind], bool]) -> Mask:
        """Which of them are of a wanted kind."""
        found: Mask = np.array([wanted(k) for k in self.table.keys] or [False], np.bool_)
        return found[self.kinds]

    def ended_as(self, outcome: str) -> Mask:
        return self.having(lambda kind: kind.outcome == outcome)

    def where(self, wanted: Callable[[Kind], bool]) -> Group:
        """Those of a wanted kind."""
        return self.pick(self.having(wanted))

    def pick(self, chosen: Mask | Places | slice) -> Group:
        return Group(self.table, self.rows[chosen])

    @property
    def ok(self) -> Group:
        return self.pick(self.ended_as("ok"))

    def count(self, outcome: str) -> int:
        """How many ended so."""
        return int(np.count_nonzero(self.ended_as(outcome)))

    def counts(self, of: Callable[[Kind], T]) -> Counter[T]:
        """How many requests each value has; in no order that means something."""
        found = np.bincount(self.kinds, minlength=len(self.table.keys))
        out: Counter[T] = Counter()
        for kind, count in zip(self.table.keys, found.tolist(), strict=True):
            if count:
                out[of(kind)] += count
        return out

    def split(
        self, of: Callable[[Kind], T], parts: Places | int = 0, most: int = 1
    ) -> dict[tuple[T, int], Group]:
        """The requests of each value, and of each of their ``parts`` (numbers below ``most``), in
        the order of their first requests."""
        number = {value: n for n, value in enumerate(dict.fromkeys(map(of, self.table.keys)))}
        values = np.array([number[of(kind)] for kind in self.table.keys] or [0], np.int32)
        both = values[self.kinds] * most + parts
        found = {
            (value, part): np.flatnonzero(both == n * most + part)
            for value, n in number.items()
            for part in range(most)
        }
        some = sorted((key for key in found if len(found[key])), key=lambda key: found[key][0])
        return {key: self.pick(found[key]) for key in some}

    def outcomes(self) -> Counter[str]:
        return self.counts(lambda kind: kind.outcome)

    @property
    def kinds(self) -> Places:
        """The place of each one's kind in the table's ``keys``."""
        return np.asarray(self.table.key)[self.rows]

    # ------------------------------------------------------------ one by one

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Request]:
        return map(self.table.__getitem__, self.rows.tolist())

    @overload
    def __getitem__(self, place: int) -> Request: ...
    @overload
    def __getitem__(self, place: slice) -> Group: ...
    def __getitem__(self, place: int | slice) -> Request | Group:
        if isinstance(place, slice):
            return self.pick(place)
        return self.table[int(self.rows[place])]

    def first(self) -> Request | None:
        """The one whose client knew first."""
        ended = self.ended
        if not len(ended):
            return None
        earliest = self.pick(ended == ended.min())
        return min(earliest, key=lambda r: r.id)


def in_order_of_sending(group: Group) -> Group:
    """Requests in order of sending; the id only makes it total."""
    rows, sent = group.rows, group.sent
    order = np.argsort(sent, kind="stable")
    rows, sent = rows[order], sent[order]
    for start, end in streaks(sent[1:] == sent[:-1]):
        same = rows[start : end + 1]
        rows[start : end + 1] = sorted(same.tolist(), key=group.table.id)
    return Group(group.table, rows)


def streaks(mask: Mask) -> list[tuple[int, int]]:
    """The runs of true as (first place, place behind the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
