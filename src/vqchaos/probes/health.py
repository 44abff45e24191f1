"""What the health URL says, asked at a fixed interval whatever it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vqchaos.history.events import HealthProbe
from vqchaos.probes.protocols import Emit, Get, Now, Ticker


class HealthWatch:
    """GETs overlap: a health URL that hangs is still asked each ``interval``."""

    def __init__(
        self,
        *,
        url: str,
        interval: float,
        timeout: float,
        get: Get,
        emit: Emit,
        now: Now,
        crashed: Callable[[BaseException], None],
    ) -> None:
        self._url = url
        self._interval = interval
        self._timeout = timeout
        self._get = get
        self._emit = emit
        self._now = now
        self._crashed = crashed
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled."""
        ticker = Ticker(self._interval)
        try:
            while True:
                task = asyncio.create_task(self.once())
                self._tasks.add(task)
                task.add_done_callback(self._ended)
                await ticker.tick()
        finally:
            for task in self._tasks:
                task.cancel()

    async def once(self) -> None:
        sent = self._now()
        answer = await self._get(self._url, self._timeout)
        self._emit(HealthProbe(t=self._now(), sent=sent, status=answer.status, error=answer.error))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crashed(error)
