"""What probes need of HTTP. The observer hands in the load's client, which is one of these."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from vqchaos.history.events import Event, Request

Emit = Callable[[Event], None]
Now = Callable[[], float]  # seconds since the run's start


class Response(Protocol):
    """An answer to a GET. ``error``: refused, reset, timeout or malformed, when no status came."""

    @property
    def status(self) -> int | None: ...

    @property
    def body(self) -> bytes: ...

    @property
    def error(self) -> str: ...


class Get(Protocol):
    """A GET with a time limit; never raises for what the target does."""

    def __call__(self, url: str, timeout: float, /) -> Awaitable[Response]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One generation that a probe asks for, not streamed. ``due``: seconds since the start."""

    workload: str
    api: str
    base_url: str
    body: dict[str, Any]
    due: float
    deadline: float


class Ask(Protocol):
    """Sends a question: its event, and the JSON of the answer if there was any. A cancelled task
    ends it as ``cancelled``; that is returned too."""

    def __call__(self, question: Question) -> Awaitable[tuple[Request, Any]]: ...


class Ticker:
    """Ticks on a grid. Ticks that were missed are skipped, not made up for: probes sample."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next = time.monotonic()

    async def tick(self) -> float:
        """Wait for the next tick; returns how late it is in seconds."""
        now = time.monotonic()
        if self._next <= now:
            self._next += (int((now - self._next) / self._interval) + 1) * self._interval
        await asyncio.sleep(self._next - now)
        return max(0.0, time.monotonic() - self._next)
