"""``History``: the events of one run in order, those that are many of in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from operator import attrgetter, itemgetter
from typing import Any, overload

from vqchaos.history.coding import decode
from vqchaos.history.columns import HealthProbes, LagProbes, MetricsProbes, Requests, Table
from vqchaos.history.events import Event, HealthProbe, LagProbe, MetricsProbe, Request

_OTHER = 255  # in ``_order``: no table's event


class History(Sequence[Event]):
    """Append-only. Requests and the probes of many times a second lie in tables, and are events
    again when asked for; ``others`` has the rest, in order."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.requests = Requests()
        self.health = HealthProbes()
        self.lag = LagProbes()
        self.metrics = MetricsProbes()
        self.others: list[Event] = []
        self._tables: list[Table] = [self.requests, self.health, self.lag, self.metrics]
        self._order = bytearray()  # of each event, the place of its table
        classes: tuple[type[Event], ...] = (Request, HealthProbe, LagProbe, MetricsProbe)
        self._by_class = {
            cls: (place, self._tables[place].add, attrgetter(*self._tables[place].names))
            for place, cls in enumerate(classes)
        }
        self._by_type = {
            cls.type: (place, add, itemgetter(*self._tables[place].names))
            for cls, (place, add, _) in self._by_class.items()
        }
        for event in events:
            self.append(event)

    def append(self, event: Event) -> None:
        found = self._by_class.get(type(event))
        if found is None:
            self._order.append(_OTHER)
            self.others.append(event)
        else:
            place, add, values = found
            add(values(event))
            self._order.append(place)

    def append_json(self, data: dict[str, Any]) -> None:
        """An event as its JSON object; types that this version does not know are passed over.

        Raises TypeError where a required key is missing or no column takes a value, ValueError
        where a moment is not finite; the history is then as it was.
        """
        found = self._by_type.get(str(data.get("type")))
        if found is not None:
            place, add, values = found
            try:
                row = values(data)
            except KeyError:  # of an older version, or not whole
                pass
            else:
                try:
                    add(row)
                except (TypeError, AttributeError, OverflowError) as error:
                    raise TypeError(f"a value of the wrong type: {error}") from error
                self._order.append(place)
                return
        event = decode(data)
        if event is not None:
            for name, value in data.items():
                if isinstance(value, float) and not isfinite(value) and hasattr(event, name):
                    raise ValueError(f"{name} must be a finite number, not {value}")
            self.append(event)

    @property
    def latest(self) -> float:
        """The latest moment of all events; 0 of none."""
        times = [event.t for event in self.others]
        return max([*times, *(max(table.times) for table in self._tables if table)], default=0.0)

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> list[Event]: ...
    def __getitem__(self, place: int | slice) -> Event | list[Event]:
        if isinstance(place, slice):
            return list(self)[place]
        place = range(len(self))[place]
        where = self._order[place]
        number = self._order.count(where, 0, place)
        return self.others[number] if where == _OTHER else self._tables[where][number]

    def __iter__(self) -> Iterator[Event]:
        numbers = dict.fromkeys(range(len(self._tables)), 0)
        others = iter(self.others)
        for where in self._order:
            if where == _OTHER:
                yield next(others)
            else:
                yield self._tables[where][numbers[where]]
                numbers[where] += 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]
