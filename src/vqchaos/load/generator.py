"""Open-loop load: requests are sent when they are due, however slow the server is."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from vqchaos.history.events import Request
from vqchaos.load.alarm import Alarm
from vqchaos.load.classify import OUR_ID
from vqchaos.load.client import Client, Flight
from vqchaos.load.plan import LoadPlan

_SPACE = 2**32


class Issuer:
    """Hands out request ids, ``vqc-`` and 8 hex digits, no two alike; knows all it handed out.

    Not seeded: a nonce that came back in the next run would meet that run's prefix cache. The n-th
    id is start + n * step (mod 2**32) with a random odd step, which meets every number once; so
    the ids of a run of hours need no memory, and none is ever forgotten.
    """

    def __init__(self) -> None:
        self._start = secrets.randbelow(_SPACE)
        # Not near 0 or its negative: ids that follow each other shall look unlike.
        self._step = secrets.randbelow(_SPACE // 2) + _SPACE // 4 | 1
        self._back = pow(self._step, -1, _SPACE)
        self._count = 0

    def __call__(self) -> str:
        number = (self._start + self._count * self._step) % _SPACE
        self._count += 1
        return f"vqc-{number:08x}"

    def __contains__(self, identity: object) -> bool:
        if not isinstance(identity, str) or not OUR_ID.fullmatch(identity):
            return False
        number = int(identity[4:], 16)
        return (number - self._start) * self._back % _SPACE < self._count


class Generator:
    """The arrivals of one workload. Time stands still for them while it is paused, so that a
    resume brings no burst. ``emit`` gets each request's event when it ended; ``crashed`` an
    error of ours."""

    def __init__(
        self,
        plan: LoadPlan,
        *,
        seed: int,
        client: Client,
        issue: Callable[[], str],
        emit: Callable[[Request], None],
        crashed: Callable[[BaseException], None],
    ) -> None:
        self._plan = plan
        self._client = client
        self._issue = issue
        self._emit = emit
        self._crashed = crashed
        self._offsets = plan.arrive(seed)
        self._prompts = plan.ask(seed)
        self._loop = asyncio.get_running_loop()
        self._alarm: Alarm | None = None  # while running
        self._due = 0.0  # of the next request, while running
        self._offset = next(self._offsets)
        self._left = self._offset  # seconds until the next request, while paused
        self._flights: dict[asyncio.Task[None], Flight] = {}

    @property
    def name(self) -> str:
        """The workload's."""
        return self._plan.name

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    @property
    def streaming(self) -> int:
        """Requests that would be cut now: with a token and not ended or, where the workload does
        not stream, sent and not answered."""
        if not self._plan.stream:
            return sum(1 for flight in self._flights.values() if flight.sent is not None)
        return sum(1 for flight in self._flights.values() if flight.tokens)

    @property
    def running(self) -> bool:
        return self._alarm is not None

    def resume(self) -> None:
        """Go on where ``pause`` stopped. Idempotent."""
        if self._alarm is None:
            self._due = self._loop.time() + self._left
            self._alarm = Alarm(self._fire)
            self._alarm.set(self._due)

    def pause(self) -> None:
        """No more arrivals; what is in flight goes on. Idempotent."""
        if self._alarm is not None:
            self._alarm.close()
            self._alarm = None
            self._left = max(0.0, self._due - self._loop.time())

    async def quiet(self) -> None:
        """Returns when nothing is in flight."""
        while self._flights:
            await asyncio.wait(list(self._flights))

    async def cancel(self) -> None:
        """Pause, and end everything in flight as ``cancelled``."""
        self.pause()
        for task in list(self._flights):
            task.cancel()
        await self.quiet()

    def _fire(self) -> None:
        try:
            now = self._loop.time() + 1e-4  # timers may fire a clock tick early
            while self._due <= now:
                self._launch(self._due)
                offset = next(self._offsets)
                self._due += offset - self._offset
                self._offset = offset
            if self._alarm is not None:
                self._alarm.set(self._due)
        except Exception as error:
            self._crashed(error)

    def _launch(self, due: float) -> None:
        identity = self._issue()
        flight = Flight(self._plan.call(next(self._prompts), identity, due))
        task = self._loop.create_task(self._fly(flight))
        self._flights[task] = flight
        task.add_done_callback(self._landed)

    async def _fly(self, flight: Flight) -> None:
        request, _ = await self._client.send(flight)
        self._emit(request)

    def _landed(self, task: asyncio.Task[None]) -> None:
        flight = self._flights.pop(task)
        if task.cancelled():  # before it began
            self._emit(self._client.unsent(flight))
        elif (error := task.exception()) is not None:
            self._crashed(error)
