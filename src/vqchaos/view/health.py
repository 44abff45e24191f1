"""What the health probes said, in columns: there are four a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vqchaos.arrays import Floats, Mask, Places, np
from vqchaos.history.columns import HealthProbes
from vqchaos.history.events import HealthProbe
from vqchaos.view.evidence import health_text


class Health:
    """Health probes as they were written, or the ``rows`` of them. ``t`` is when each was
    answered."""

    def __init__(self, table: HealthProbes, rows: Places | None = None) -> None:
        self._table = table
        self._rows = np.arange(len(table)) if rows is None else rows

    @property
    def t(self) -> Floats:
        return self._moments(0)

    @property
    def sent(self) -> Floats:
        return self._moments(1)

    def _moments(self, column: int) -> Floats:
        found: Floats = np.asarray(self._table.moments).reshape(-1, 2)[self._rows, column]
        return found

    @property
    def _keys(self) -> Places:
        return np.asarray(self._table.key)[self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[HealthProbe]:
        return map(self._table.__getitem__, self._rows.tolist())

    def __getitem__(self, place: int) -> HealthProbe:
        return self._table[int(self._rows[place])]

    def saying(self, wanted: Callable[[HealthProbe], bool]) -> Mask:
        """Which of them said what is wanted, by status and error."""
        said = (HealthProbe(t=0, sent=0, status=s, error=e) for s, e in self._table.keys)
        found: Mask = np.array([wanted(probe) for probe in said] or [False], np.bool_)
        return found[self._keys]

    def pick(self, chosen: Mask | Places | slice) -> Health:
        return Health(self._table, self._rows[chosen])

    def first(self, chosen: Mask) -> HealthProbe | None:
        """The first of those."""
        place = int(np.argmax(chosen)) if len(chosen) else 0
        return self[place] if len(chosen) and chosen[place] else None

    def in_order(self) -> Health:
        """In order of time."""
        return self.pick(np.argsort(self.t, kind="stable"))

    def changes(self) -> Iterator[HealthProbe]:
        """The first probe, and each that did not say what the one before it said; of probes in
        order."""
        before = None
        for place in np.flatnonzero(np.diff(self._keys.astype(np.int64), prepend=-1)).tolist():
            probe = self[place]
            if before is None or health_text(probe) != before:
                before = health_text(probe)
                yield probe

    def last_before(self, moment: float) -> HealthProbe | None:
        """The latest of those before a moment."""
        t = self.t
        some = t < moment
        return self[int(np.argmax(np.where(some, t, -np.inf)))] if some.any() else None
