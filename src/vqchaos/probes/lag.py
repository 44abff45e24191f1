"""How late the observer's own timers fire. A run whose observer lags is void: what it measured
may be its own doing."""

from __future__ import annotations

from vqchaos.history.events import LagProbe
from vqchaos.probes.protocols import Emit, Now, Ticker

INTERVAL = 0.05
_REPORT = 20  # samples an event


class LagWatch:
    """One sample each 50 ms, one event a second."""

    def __init__(self, *, emit: Emit, now: Now) -> None:
        self._emit = emit
        self._now = now
        self._samples: list[float] = []

    async def run(self) -> None:
        """Until cancelled."""
        # Not on the grid: each wait is measured by itself, so a long stall is one late sample
        # as long as it was.
        while True:
            ticker = Ticker(INTERVAL)
            self.add(await ticker.tick())

    def add(self, late: float) -> None:
        self._samples.append(late)
        if len(self._samples) >= _REPORT or late > 0.5:
            self.flush()

    def flush(self) -> None:
        """Report what is left."""
        if self._samples:
            self._emit(LagProbe(t=self._now(), samples=self._samples))
            self._samples = []
